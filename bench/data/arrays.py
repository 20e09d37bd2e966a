"""Train and validation arrays, mapped into memory: every worker of a machine shares one copy."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.sealed import Sealed
from bench.data.split import fingerprint
from bench.errors import SealError

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # PKWARE APPNOTE 4.3.7


@dataclass(frozen=True)
class Arrays:
    """Read-only arrays on disk, the training images first, then the validation images.

    Attributes:
        x: uint8 in 0 to 255 or float32 in [0, 1], shape (n_train + n_validation, height, width, channels).
        y: labels in [0, classes), shape (n_train + n_validation,).
        index: position of each image in the source's training arrays (validation arrays of its own count on).
    """

    x: Images
    y: Labels
    index: npt.NDArray[np.int64]
    n_train: int
    image_shape: tuple[int, int, int]
    classes: int

    @property
    def train(self) -> tuple[Images, Labels]:
        return self.x[: self.n_train], self.y[: self.n_train]

    @property
    def validation(self) -> tuple[Images, Labels]:
        return self.x[self.n_train :], self.y[self.n_train :]

    @property
    def both(self) -> tuple[Images, Labels]:
        return self.x, self.y

    @property
    def scale(self) -> float:
        """What pixels are multiplied by to lie in [0, 1]."""
        return 1 / 255 if self.x.dtype == np.uint8 else 1.0


def open_arrays(sealed: Sealed) -> Arrays:
    """Map the arrays of train.npz and hold them against seal.json.

    Raises:
        SealError: the file is damaged, or shapes, counts or the split are not those that were sealed.
    """
    path, again = sealed.train_path, f"Delete {sealed.folder} and run again to seal anew."
    try:
        x, y, index = (map_member(path, name) for name in ("x", "y", "index"))
    except (OSError, ValueError, KeyError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise SealError(f"{path} is damaged or cut short ({error}). {again}") from None
    count = sealed.n_train + sealed.n_validation
    sealed_as = {
        "x": ((count, *sealed.image_shape), sealed.dtype),
        "y": ((count,), "int32"),
        "index": ((count,), "int64"),
    }
    now = {name: (array.shape, array.dtype.name) for name, array in (("x", x), ("y", y), ("index", index))}
    wrong = [
        f"{name} was sealed as {dtype} {shape}, and is {now[name][1]} {now[name][0]}"
        for name, (shape, dtype) in sealed_as.items()
        if now[name] != (shape, dtype)
    ]
    if wrong:
        raise SealError(f"{path} is not what was sealed. {again}", wrong)
    split = fingerprint(index, y, sealed.n_train)
    if split != sealed.split_fingerprint:
        raise SealError(
            f"The split in {path} changed: its fingerprint was {sealed.split_fingerprint[:12]}, "
            f"and is {split[:12]}. {again}"
        )
    return Arrays(x, y, index, sealed.n_train, sealed.image_shape, sealed.classes)


def map_member(path: Path, name: str) -> npt.NDArray[Any]:
    """Map one array of an uncompressed .npz, read-only; np.load would copy it into memory.

    Raises:
        KeyError: no such array.
        ValueError: it is compressed, holds objects, or the file is shorter than it says.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    with path.open("rb") as file:
        file.seek(member.header_offset)
        *_, name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        start = file.seek(name_length + extra_length, 1)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        offset = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    if offset - start + dtype.itemsize * int(np.prod(shape, dtype=np.int64)) != member.file_size:
        raise ValueError(f"{name} is shorter or longer than its shape {shape}")
    mapped = np.memmap(path, dtype, "r", offset, shape, order="F" if fortran else "C")
    return mapped.view(np.ndarray)
