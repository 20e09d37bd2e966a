"""Keeps a process of a search away from what is sealed.

The guard stops accidents and habits: a family file that calls `np.load` on the test images, a helper that walks through
`results/`. It does not stop a hostile family file: an audit hook hears what Python opens, not what a C library or a
child process opens, and of `os.open(..., dir_fd=...)` the name alone, not the folder that it is relative to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import SealError

# Audit events (docs.python.org/3/library/audit_events.html) and how many of their first arguments are paths. A sealed
# file that is renamed, copied or linked would be out of reach of the rule under its new name.
EVENTS = {
    "open": 1,
    "os.rename": 2,
    "os.link": 1,
    "os.truncate": 1,
    "os.remove": 1,
    "os.listdir": 1,
    "os.scandir": 1,
    "shutil.copyfile": 2,
    "shutil.copytree": 1,
    "shutil.move": 2,
    "sqlite3.connect": 1,
}

_refusals: list[SealError] = []


def refusal() -> SealError | None:
    """The first access that this process was refused since it was asked, whether or not somebody caught the error."""
    found = _refusals[0] if _refusals else None
    _refusals.clear()
    return found


def forbid(paths: Sequence[Path]) -> None:
    """From now on, opening any of these files, or anything below these folders, raises SealError in this process.

    Paths need not exist yet. Symbolic links and relative paths are followed. A guard cannot be taken off again; a
    second call adds to the first.
    """
    rules = [_real(path) for path in paths]
    # A file that is being written, or never was to its end, stands beside its place; see bench.files.write_atomic.
    forbidden = tuple((rule, f"{rule.rpartition(os.sep)[0]}{os.sep}.{rule.rpartition(os.sep)[2]}.") for rule in rules)
    # A hard link has another path and the same inode.
    inodes = frozenset(_inodes(paths))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        paths_of = EVENTS.get(event)
        if paths_of is None:
            return
        for path in arguments[:paths_of]:
            if isinstance(path, (str, bytes, os.PathLike)):
                _check(path, forbidden, inodes)

    sys.addaudithook(hook)


def _check(
    path: str | bytes | os.PathLike[Any], forbidden: tuple[tuple[str, str], ...], inodes: frozenset[tuple[int, int]]
) -> None:
    real = _real(path)
    for rule, begun in forbidden:
        if real == rule or real.startswith((rule + os.sep, begun)):
            raise _refused(path, rule)
    if inodes:
        try:
            stat = os.stat(real)  # noqa: PTH116  (runs at every open: no Path is made)
        except (OSError, ValueError):
            return
        if (stat.st_dev, stat.st_ino) in inodes:
            raise _refused(path, "a hard link to a sealed file")


def _refused(path: object, rule: str) -> SealError:
    error = SealError(
        f"Nothing that searches may open the test images, their source or results (rule: {rule}), but this process "
        f"tried to open {os.fsdecode(path)}. Take what you need from train.npz; "  # type: ignore[arg-type]
        "the test set is read once, by the exam, after a final."
    )
    _refusals.append(error)
    return error


def _real(path: Any) -> str:
    try:
        return os.path.realpath(os.fsdecode(path))
    except (OSError, ValueError):
        return ""  # no file can have this name; the open itself will say so


def _inodes(paths: Iterable[Path]) -> Iterable[tuple[int, int]]:
    for path in paths:
        if path.is_file():
            stat = path.stat()
            yield stat.st_dev, stat.st_ino
