"""Writing files so that a kill or a full disk never leaves a torn one."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bench import failpoints

LONGEST = 80  # characters of a slug


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, then rename it into place.

    Raises:
        OSError: the disk is full or not writable; `path` is then what it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        failpoints.reach(f"files: before {path.name}")
        Path(temporary).replace(path)
        failpoints.reach(f"files: after {path.name}")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically, with sorted keys so that equal documents are equal files."""
    write_atomic(path, lambda file: file.write(dump_json(document)))


def dump_json(document: Any) -> bytes:
    return (json.dumps(document, indent=2, sort_keys=True, allow_nan=False, default=str) + "\n").encode()


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_folder(home: Path, what: str, study: str, settings: Mapping[str, Any]) -> Path:
    """Where states of a study's paused trials lie, say; one of its name in another storage has a folder of its own."""
    return home / what / unique_slug(study) / str(settings.get("id", "without an id"))


def unique_slug(name: str) -> str:
    """A slug that no other name has, and is its own: what is no slug gets six digits of its hash."""
    safe = slug(name)
    return safe if safe == name else f"{safe[: LONGEST - 7]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def slug(name: str) -> str:
    """A file-name-safe form of a name: letters, digits, '.', '_', '-'; anything else becomes '-'."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return safe.strip(".-")[:LONGEST] or "unnamed"
