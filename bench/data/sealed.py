"""What seal.json says: a data set that was checked, split and sealed. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.data.catalog import Source, dataset_name, source_of, stat_source
from bench.errors import SealError
from bench.files import write_json

SCHEMA = 1


@dataclass(frozen=True)
class Sealed:
    """A sealed data set, in `folder`.

    Attributes:
        data_id: name and the first digits of the checksum; also the folder's name.
        name: what results are kept under.
        checksum: SHA-256 (hex) over the sealed arrays, train, validation and test.
        split_fingerprint: SHA-256 (hex) over the assignment of images to train and validation.
        image_shape: (height, width, channels).
        dtype: uint8 (0 to 255) or float32 (0 to 1).
        overlap: test images that also stand, byte for byte, among the training or validation images.
        warnings: sentences that belong beside every result.
        source: kind, path, size and mtime_ns of what was read.
        train_bytes, test_bytes: sizes of the two files.
    """

    data_id: str
    name: str
    checksum: str
    split_fingerprint: str
    image_shape: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...]
    n_train: int
    n_validation: int
    n_test: int
    dtype: str
    overlap: int
    warnings: tuple[str, ...]
    source: Mapping[str, Any]
    train_bytes: int
    test_bytes: int
    folder: Path

    @property
    def train_path(self) -> Path:
        return self.folder / "train.npz"

    @property
    def test_path(self) -> Path:
        return self.folder / "test.npz"

    @property
    def intact(self) -> bool:
        """Whether both files are there in full, as far as their sizes tell."""
        try:
            sizes = (self.train_path.stat().st_size, self.test_path.stat().st_size)
        except OSError:
            return False
        return sizes == (self.train_bytes, self.test_bytes)

    def save(self) -> None:
        """Write seal.json; the last step of sealing."""
        document = asdict(self)
        del document["folder"]
        write_json(self.folder / "seal.json", {"schema": SCHEMA, **document})

    @classmethod
    def load(cls, folder: Path) -> Sealed:
        """Read seal.json.

        Raises:
            SealError: it is missing or does not read back.
        """
        path = folder / "seal.json"
        try:
            document = json.loads(path.read_bytes())
            if document.pop("schema") != SCHEMA:
                raise ValueError("another schema")
            for name in ("class_names", "warnings"):
                document[name] = tuple(document[name])
            height, width, channels = document.pop("image_shape")
            return cls(**document, image_shape=(height, width, channels), folder=folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SealError(
                f"{path} does not read back ({error}); delete {folder} and run again to seal anew."
            ) from None


def sealed_in(home: Path) -> list[Sealed]:
    """Every complete sealed data set of a home, the one sealed last first. Broken or half-written ones are left out."""
    found = []
    for path in sorted((home / "cache").glob("*/seal.json")):
        try:
            sealed = Sealed.load(path.parent)
        except SealError:
            continue
        if sealed.intact:
            found.append((path.stat().st_mtime_ns, sealed))
    return [sealed for _, sealed in sorted(found, key=lambda pair: -pair[0])]


def find(home: Path, dataset: str, data_dir: Path | None) -> Sealed | None:
    """The sealed copy of `dataset` whose source has not changed; None where the data must be sealed (again).

    Looks at sizes and times only. A named data set that stands nowhere any more is found by its sealed copy.

    Raises:
        UnknownDataset, DataError, UsageError: as `catalog.source_of`.
    """
    source, name = source_of(dataset, data_dir), dataset_name(dataset)
    for sealed in sealed_in(home):
        was = Source(**sealed.source)
        if sealed.name != name:
            continue
        if was.stamp == source.stamp if source else was.kind != "file" and _unchanged_or_gone(was):
            return sealed
    return None


def _unchanged_or_gone(was: Source) -> bool:
    now = stat_source(was.kind, Path(was.path)) if was.path else was
    return now is None or now.stamp == was.stamp
