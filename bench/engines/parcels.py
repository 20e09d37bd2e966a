"""What a node of a cluster needs and cannot read where it is: the training data, and a family's files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from bench.data.sealed import Sealed
from bench.family import texts_of
from bench.files import write_atomic

PREFIX, DATA_PREFIX = "bench-ray-", "bench-data-"
LOCK = "lock"  # in every folder of ours, which nothing else is known by


@dataclass(frozen=True)
class DataParcel:
    """The training part of a sealed data set: train.npz and seal.json. The test images are in no parcel.

    Attributes:
        content: the bytes of train.npz, uint8, shape (bytes,); in an actor a view of the node's object store.
    """

    data_id: str
    seal: bytes
    content: Any

    @classmethod
    def of(cls, sealed: Sealed) -> DataParcel:
        import numpy as np

        content = np.fromfile(sealed.train_path, np.uint8)
        return cls(sealed.data_id, (sealed.folder / "seal.json").read_bytes(), content)

    def unpack(self) -> Shelf:
        """Write the data to this node, unless another worker has; whoever maps it checks it against its seal."""
        shelf = Shelf(Path(tempfile.gettempdir()) / f"{DATA_PREFIX}{os.getuid()}-{self.data_id}")
        with (shelf.folder / "writing").open("ab") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX)
            for name, content in (("train.npz", self.content), ("seal.json", self.seal)):
                if not (shelf.folder / name).is_file():
                    write_atomic(shelf.folder / name, partial(_write, content))
        return shelf


def _write(content: Any, file: BinaryIO) -> None:
    file.write(memoryview(content))


class Shelf:
    """A folder that several processes use, and that the last of them removes; the kernel counts, by their locks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        while True:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = folder / LOCK
            with contextlib.suppress(FileNotFoundError):  # the last one has just removed it
                self._lock = path.open("ab")
                fcntl.flock(self._lock, fcntl.LOCK_SH)
                if os.fstat(self._lock.fileno()).st_ino == path.stat().st_ino:
                    return

    @classmethod
    def new(cls, parent: str) -> Shelf:
        """One of our own, after what killed processes left was removed: of the folders called like ours those with a
        lock. Another one may be somebody's home.
        """
        for prefix in (PREFIX, DATA_PREFIX):
            for lock in Path(parent).glob(f"{prefix}*/{LOCK}"):
                with contextlib.suppress(OSError):  # another user's, or removed by somebody else
                    cls(lock.parent).leave()
        return cls(Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)))

    def leave(self) -> None:
        """Let go; nothing is removed while others are there."""
        with self._lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class FilesParcel:
    """A family's file and those beside it that it imports.

    Attributes:
        path: where the family stands on the machine that searches.
        files: name -> text of each.
    """

    path: Path
    files: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, path: Path) -> FilesParcel:
        texts = texts_of(path)
        package = path.with_name("__init__.py")
        if package.is_file():
            texts[package] = package.read_bytes()
        return cls(path, tuple((file.name, text) for file, text in texts.items()))

    def unpack(self, scratch: Path) -> Path:
        """The family's path below `scratch`, in a folder that is called like the one it came from.

        What is started from here on finds that folder as a package, as a process in the owner's working directory does.
        """
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(scratch), *([before] if before else [])])
        folder = scratch / self.path.parent.name
        folder.mkdir(exist_ok=True)
        for name, text in self.files:
            (folder / name).write_bytes(text)
        return folder / self.path.name

    def named(self, said: str, scratch: Path) -> str:
        """What was said of the unpacked file, with the name that its owner knows it by."""
        with contextlib.suppress(OSError):
            scratch = scratch.resolve()
        return said.replace(str(scratch / self.path.parent.name), str(self.path.parent))
