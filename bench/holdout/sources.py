"""Reading a data source into arrays. Only the sealer does this."""

from __future__ import annotations

import gzip
import io
import pickle
import sys
import tarfile
import threading
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import psutil

from bench import hardware
from bench.data.catalog import FASHION_FILES, FOLDER_FILES, KNOWN, Source, download_folder, places_of, source_of
from bench.data.split import stratified
from bench.disk import megabytes
from bench.errors import DataError

Arrays = dict[str, npt.NDArray[Any]]

CONNECT_SECONDS = 10
COPIES = 3  # of the images, that sealing holds at once
DIGITS_TEST, DIGITS_SEED = 360, 1797
NEEDED = ("x_train", "y_train", "x_test", "y_test")
OPTIONAL = ("x_val", "y_val", "class_names")


def read(name: str, source: Source) -> tuple[Arrays, list[str]]:
    """The arrays of a source by name (x_train, y_train, ...), and a sentence for each that could not be read.

    Raises:
        DataError: nothing can be read at all.
    """
    if source.path is None:
        return read_digits(), []
    path = Path(source.path)
    try:
        if path.is_dir() and "cifar" in path.name:
            return read_cifar(lambda member: (path / member).open("rb")), []
        if path.is_dir():
            return read_fashion(path), []
        if path.suffix == ".npz":
            return read_npz(path)
        return _read_cifar_archive(path), []
    except (OSError, EOFError, ValueError, KeyError, zlib.error, pickle.UnpicklingError, tarfile.TarError) as error:
        where = KNOWN[name].how_to_get if name in KNOWN else "save it again with numpy.savez"
        raise DataError(f"{path} cannot be read: {error}. Remove it and get it again ({where}).") from None


def read_npz(path: Path) -> tuple[Arrays, list[str]]:
    """The arrays of an .npz with one of the known names; objects, which would need pickle, are refused.

    Raises:
        DataError: it is no zip file, or cut short.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            begun = file.read(2) == b"PK"
        what = (
            "is cut short: its table of contents is missing. Copy or fetch it again."
            if begun
            else ("is not an .npz file (a zip archive of arrays). Save it with numpy.savez.")
        )
        raise DataError(f"{path} {what}")
    _check_room(path)
    arrays, problems = {}, []
    with np.load(path, allow_pickle=False) as archive:
        for name in (*NEEDED, *OPTIONAL):
            if name not in archive.files:
                continue
            try:
                arrays[name] = archive[name]
            except ValueError as error:
                pickled = "allow_pickle" in str(error)
                problems.append(
                    f"{name} holds Python objects, which only pickle can read; save one plain array of numbers"
                    if pickled
                    else f"{name} cannot be read ({error}); save it again"
                )
            except (RuntimeError, NotImplementedError) as error:  # zipfile's words for a password or another packing
                problems.append(f"{name} cannot be unpacked ({error}); save it with numpy.savez")
            except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
                problems.append(f"{name} is damaged ({error}); copy or fetch the file again")
            if not isinstance(arrays.get(name), (np.ndarray, type(None))):
                del arrays[name]  # np.load hands over the bytes of a member that is no array
                problems.append(f"{name} is no NumPy array; save it with numpy.savez")
    return arrays, problems


def _check_room(path: Path) -> None:
    """Refuse what would not fit into memory before any of it is unpacked: a small zip file can hold a huge array.

    Raises:
        DataError: naming what is needed and what is free.
    """
    with zipfile.ZipFile(path) as archive:
        wanted = {f"{name}.npy" for name in (*NEEDED, *OPTIONAL)}
        needed = sum(member.file_size for member in archive.infolist() if member.filename in wanted)
    free = min(psutil.virtual_memory().available, hardware.memory())
    if COPIES * needed > free:
        raise DataError(
            f"{path} unpacks to {megabytes(needed)}, and sealing takes {COPIES} times that, but of memory only "
            f"{megabytes(free)} are free. Free some, or use a smaller data set."
        )


def read_digits() -> Arrays:
    """scikit-learn's 1,797 digits, 8 x 8, scaled from 0..16 to 0..255; a fixed stratified fifth is the test set."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    y = digits.target.astype(np.int32)
    rest, test = stratified(y, DIGITS_TEST, DIGITS_SEED)
    return {"x_train": x[rest], "y_train": y[rest], "x_test": x[test], "y_test": y[test]}


def read_fashion(folder: Path) -> Arrays:
    """Four gzipped IDX files (yann.lecun.com/exdb/mnist: magic number, sizes, bytes)."""
    names = ("x_train", "y_train", "x_test", "y_test")
    return {name: _read_idx(folder / file) for name, (file, _) in zip(names, FASHION_FILES, strict=True)}


def _read_idx(path: Path) -> npt.NDArray[np.uint8]:
    data = gzip.decompress(path.read_bytes())
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path.name} is no IDX file of bytes")
    shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


class _ArrayUnpickler(pickle.Unpickler):
    """CIFAR-10 comes as pickles. Besides dict, list, str and bytes this one makes NumPy arrays, and nothing else."""

    ALLOWED = frozenset({"ndarray", "dtype", "_reconstruct"})

    def find_class(self, module: str, name: str) -> Any:
        if name in self.ALLOWED and module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            return np._core.multiarray._reconstruct if name == "_reconstruct" else getattr(np, name)  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of images")


def read_cifar(open_member: Callable[[str], BinaryIO]) -> Arrays:
    """Six pickled batches of 10,000 images, channels first, as www.cs.toronto.edu/~kriz/cifar.html describes them."""
    images, labels = [], []
    for member in FOLDER_FILES["cifar"]:
        with open_member(member) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the batches were written by a NumPy of 2009
            batch = _ArrayUnpickler(file, encoding="bytes").load()
        images.append(batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(np.asarray(batch[b"labels"], np.int32))
    return {
        "x_train": np.concatenate(images[:-1]),
        "y_train": np.concatenate(labels[:-1]),
        "x_test": np.ascontiguousarray(images[-1]),
        "y_test": labels[-1],
    }


def _read_cifar_archive(path: Path) -> Arrays:
    """Read straight out of the archive: nothing is unpacked to disk."""
    with tarfile.open(path) as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}

        def open_member(name: str) -> BinaryIO:
            file = archive.extractfile(members[name])
            assert file is not None
            return io.BytesIO(file.read())

        return read_cifar(open_member)


def fetch(name: str, data_dir: Path | None) -> Source:
    """Download a known data set, checked by SHA-256, and say where it now stands.

    Raises:
        DataError: it cannot be reached within 10 seconds, the transfer broke, or the file is not the published one.
    """
    import pooch

    known, folder = KNOWN[name], download_folder()
    pooch.get_logger().setLevel("ERROR")
    for wanted in known.downloads:
        target = folder / wanted.path
        try:
            _check_reachable(wanted.url)
            pooch.retrieve(
                wanted.url,
                known_hash=f"sha256:{wanted.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=pooch.HTTPDownloader(
                    progressbar=_Progress(target.name), chunk_size=1 << 18, timeout=(CONNECT_SECONDS, 30)
                ),
            )
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            looked = ", ".join(str(path) for _, path in places_of(name, data_dir))
            raise DataError(
                f"{name} is not on disk and could not be fetched.",
                [
                    f"looked for it in {looked}",
                    f"{wanted.url}: {_reason(error)}",
                    f"fetch it elsewhere, put {known.places[0]} into a folder and name that with --data-dir",
                    "or use --dataset digits, which is built in",
                ],
            ) from None
    source = source_of(name, data_dir)
    assert source is not None
    return source


def _check_reachable(url: str) -> None:
    """Fail after 10 seconds in all: with one time-out an address of the host, and name servers, it would be minutes."""
    import pooch

    failed: list[Exception] = []

    def ask() -> None:
        try:
            pooch.HTTPDownloader(timeout=CONNECT_SECONDS)(url, None, None, check_only=True)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {CONNECT_SECONDS} seconds")
    if failed:
        raise OSError(_reason(failed[0]))


def _reason(error: Exception) -> str:
    text = str(error)
    for mark, plain in (
        ("NameResolution", "its host is not known here (no network?)"),
        ("Failed to resolve", "its host is not known here (no network?)"),
        ("ProxyError", "the proxy cannot be reached"),
        ("Connection refused", "the connection was refused"),
        ("timed out", f"no answer within {CONNECT_SECONDS} seconds"),
        ("hash", "the file that came is not the published one (its SHA-256 differs); it was not kept"),
    ):
        if mark in text:
            return plain
    return text.splitlines()[0] if text else type(error).__name__


class _Progress:
    """What pooch tells of a transfer, as one line on stderr at every tenth."""

    def __init__(self, name: str) -> None:
        self.name, self.total, self._done, self._said, self._began = name, 0, 0, 0, time.monotonic()

    def update(self, amount: int) -> None:
        self._done += amount
        tenth = 10 * self._done // self.total if self.total else 0
        if self._said < tenth < 10:
            self._said = tenth
            print(f"fetching {self.name}: {10 * tenth} % of {self.total / 1e6:.0f} MB", file=sys.stderr, flush=True)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        print(f"fetched {self.name} in {time.monotonic() - self._began:.0f} s", file=sys.stderr, flush=True)
