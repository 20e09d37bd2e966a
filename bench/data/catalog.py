"""The data sets that have a name, and where they are looked for. Files are looked at, never into."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import DataError, UnknownDataset, UsageError, did_you_mean
from bench.files import slug

# (file, SHA-256) as published with TensorFlow Datasets, url_checksums/fashion_mnist.txt
FASHION_FILES = (
    ("train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
    ("train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
    ("t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
    ("t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
)
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


@dataclass(frozen=True, slots=True)
class Download:
    """One file to fetch: `path` is where it goes below the download folder."""

    url: str
    sha256: str
    path: str


@dataclass(frozen=True, slots=True)
class Known:
    """A named data set.

    Attributes:
        image_shape: (height, width, channels).
        n_train, n_validation, n_test: images after the split; the source holds n_train + n_validation for training.
        places: names below a data folder where it may stand, the first one found counts.
        keras_places: the same below Keras's cache.
        downloads: the files to fetch, all with their SHA-256; empty for what is built in.
        megabytes: size of the download.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    n_train: int
    n_validation: int
    n_test: int
    places: tuple[str, ...] = ()
    keras_places: tuple[str, ...] = ()
    downloads: tuple[Download, ...] = ()
    megabytes: int = 0

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def how_to_get(self) -> str:
        """One sentence for someone who does not have it."""
        if not self.places:
            return "built in"
        return f"fetched on first use ({self.megabytes} MB), or put {self.places[0]} into --data-dir"


DIGIT_NAMES = tuple(str(digit) for digit in range(10))

KNOWN = {
    known.name: known
    for known in (
        Known("digits", (8, 8, 1), DIGIT_NAMES, 1_197, 240, 360),
        Known(
            "mnist",
            (28, 28, 1),
            DIGIT_NAMES,
            50_000,
            10_000,
            10_000,
            places=("mnist.npz",),
            keras_places=("mnist.npz",),
            downloads=(
                Download(
                    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
                    "mnist.npz",
                ),
            ),
            megabytes=11,
        ),
        Known(
            "fashion_mnist",
            (28, 28, 1),
            (
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            50_000,
            10_000,
            10_000,
            places=("fashion_mnist.npz", "fashion-mnist", "fashion_mnist"),
            keras_places=("fashion-mnist",),
            downloads=tuple(
                Download(FASHION_URL + name, sha256, f"fashion-mnist/{name}") for name, sha256 in FASHION_FILES
            ),
            megabytes=31,
        ),
        Known(
            "cifar10",
            (32, 32, 3),
            ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            41_667,
            8_333,
            10_000,
            places=("cifar10.npz", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
            keras_places=(
                "cifar-10-batches-py-target/cifar-10-batches-py",
                "cifar-10-batches-py",
                "cifar-10-batches-py.tar.gz",
            ),
            downloads=(
                Download(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
                    "cifar-10-python.tar.gz",
                ),
            ),
            megabytes=171,
        ),
    )
}

FOLDER_FILES = {
    "fashion": tuple(name for name, _ in FASHION_FILES),
    "cifar": (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a data set was read from.

    Attributes:
        kind: built-in, file, data dir, keras cache or download.
        path: a file, or a folder of several files; None for built-in.
        size: bytes, of all files together.
        mtime_ns: of the file that changed last.
        target: what `path` leads to, links followed.
    """

    kind: str
    path: str | None = None
    size: int | None = None
    mtime_ns: int | None = None
    target: str | None = None

    @property
    def stamp(self) -> tuple[str | None, int | None, int | None]:
        """What tells an unchanged source from a changed one, without reading it."""
        return self.target or self.path, self.size, self.mtime_ns


def is_path(dataset: str) -> bool:
    """Whether a data set is given as a path rather than a name."""
    return dataset.endswith(".npz") or "/" in dataset or os.sep in dataset


def dataset_name(dataset: str) -> str:
    """What results are kept under: the name, or the slug of the file's stem."""
    return slug(Path(dataset).stem) if is_path(dataset) else dataset


def source_of(dataset: str, data_dir: Path | None) -> Source | None:
    """Where `dataset` stands on disk; None for a known name that is nowhere (yet).

    Raises:
        UnknownDataset: no such name, or no such file.
        DataError: the path is no file, or not an .npz.
        UsageError: the data folder does not exist.
    """
    if is_path(dataset):
        return _file_source(Path(dataset).expanduser())
    if dataset not in KNOWN:
        raise UnknownDataset(
            f"No data set named {dataset!r}.{did_you_mean(dataset, KNOWN)} Known: {', '.join(KNOWN)}. "
            "For one of your own give the path of an .npz file with x_train, y_train, x_test, y_test."
        )
    if not KNOWN[dataset].places:
        return Source("built-in")
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"The data folder {data_dir} does not exist; correct --data-dir or $BENCH_DATA_DIR.")
    for kind, path in places_of(dataset, data_dir):
        source = stat_source(kind, path)
        if source:
            return source
    return None


def places_of(name: str, data_dir: Path | None) -> Iterator[tuple[str, Path]]:
    """(kind, path) of every place where a known data set is looked for, in order."""
    known = KNOWN[name]
    if data_dir is not None:
        yield from (("data dir", data_dir / place) for place in known.places)
    yield from (("keras cache", keras_cache() / place) for place in known.keras_places)
    yield from (("download", download_folder() / place) for place in known.places if place in _fetched(known))


def copies_of(name: str, data_dir: Path | None) -> list[Path]:
    """Where the whole of a known data set, test images included, may lie on this machine; empty for another name."""
    if name not in KNOWN:
        return []
    found = [path for _, path in places_of(name, data_dir)]
    # Where Keras puts what it fetches if its own folder cannot be written.
    fallback = Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()) / ".keras" / "datasets"
    found += [fallback / place for place in KNOWN[name].keras_places]
    if not KNOWN[name].places:  # scikit-learn's own
        spec = importlib.util.find_spec("sklearn")
        locations = spec.submodule_search_locations if spec is not None else None
        found += [Path(location) / "datasets" / "data" / "digits.csv.gz" for location in locations or ()]
    return found


def _fetched(known: Known) -> set[str]:
    return {download.path.split("/")[0] for download in known.downloads}


def keras_cache() -> Path:
    """Keras's folder of data sets: $KERAS_HOME/datasets, else ~/.keras/datasets."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "datasets"


def download_folder() -> Path:
    """Where fetched files are kept, for every home of this user."""
    from platformdirs import user_cache_path

    return user_cache_path("bench") / "datasets"


def stat_source(kind: str, path: Path) -> Source | None:
    """The source at `path` with its size and time, or None where it is missing or a folder lacks a file."""
    files = _files(path)
    if not files or not all(file.is_file() for file in files):
        return None
    found = [file.stat() for file in files]
    size, mtime_ns = sum(stat.st_size for stat in found), max(stat.st_mtime_ns for stat in found)
    # What a link leads to may have another name, which says nothing of what it holds.
    return Source(kind, str(path.absolute()), size, mtime_ns, str(path.resolve()))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = FOLDER_FILES["cifar" if "cifar" in path.name else "fashion"]
    return [path / name for name in names]


def _file_source(path: Path) -> Source:
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of an .npz file with x_train, y_train, x_test, y_test.")
    if not path.exists():
        near = sorted(other.name for other in path.parent.glob("*.npz")) if path.parent.is_dir() else []
        raise UnknownDataset(
            f"There is no file {path}.{did_you_mean(path.name, near)} Give the path of an .npz file, "
            f"or one of {', '.join(KNOWN)}."
        )
    source = stat_source("file", path)
    if path.suffix != ".npz" or source is None:
        raise DataError(f"{path} is not an .npz file; save one with numpy.savez (x_train, y_train, x_test, y_test).")
    return source
