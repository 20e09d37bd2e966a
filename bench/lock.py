"""One process writes a study: a lock that names its holder and that the kernel lets go of when the holder dies."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench import failpoints
from bench.errors import StudyLocked
from bench.files import slug, write_json


@contextmanager
def hold(home: Path, study: str) -> Iterator[None]:
    """Hold the study while entered.

    Raises:
        StudyLocked: a live process holds it; the message names it.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / f"{slug(study)}.lock"), folder / f"{slug(study)}.json"
    try:
        lock.acquire(timeout=0.3)  # `holder` of another process takes it for a moment
    except Timeout:
        raise StudyLocked(
            f"Study {study!r} is being written by {_holder(holder)}. Wait for it, stop it, or use --study NAME."
        ) from None
    try:
        failpoints.reach("lock: before the holder")
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T %Z")})
        yield
        holder.unlink(missing_ok=True)
    finally:
        lock.release()


def holder(home: Path, study: str) -> str | None:
    """Who holds the study now, in words; None where nobody does."""
    folder = home / "locks"
    path = folder / f"{slug(study)}.lock"
    if not path.exists():
        return None
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _holder(folder / f"{slug(study)}.json")
    lock.release()
    return None


def stale(home: Path) -> list[Path]:
    """Files that name a holder where the lock is free: its process was killed."""
    return [path for path in sorted((home / "locks").glob("*.json")) if holder(home, path.stem) is None]


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"process {held['pid']} on {held['host']}, since {held['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
