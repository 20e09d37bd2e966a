"""One process writes a study: a lock that names its holder and that the kernel lets go of when the holder dies."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from bench import failpoints
from bench.errors import StudyLocked
from bench.files import unique_slug, write_json


@contextmanager
def hold(home: Path, study: str) -> Iterator[None]:
    """Hold the study while entered.

    Raises:
        StudyLocked: a live process holds it; the message names it.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = unique_slug(study)
    lock, holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.json"
    try:
        lock.acquire(timeout=0.3)  # `holder` of another process takes it for a moment
    except Timeout:
        raise _locked(study, holder) from None
    try:
        # Somebody may have deleted the lock file of a process that is still at work; we then hold a new one.
        if _lives(holder):
            raise _locked(study, holder)
        failpoints.reach("lock: before the holder")
        write_json(holder, {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T %Z")})
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)
    finally:
        lock.release()


def holder(home: Path, study: str) -> str | None:
    """Who holds the study now, in words; None where nobody does."""
    folder = home / "locks"
    path, named = folder / f"{unique_slug(study)}.lock", folder / f"{unique_slug(study)}.json"
    if _lives(named):
        return _holder(named)
    if not path.exists():
        return None
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _holder(named)
    except OSError:
        return None  # nobody can hold it in a home that cannot be written
    lock.release()
    return None


def stale(home: Path) -> list[Path]:
    """Files that name a holder where the lock is free: its process was killed."""
    return [path for path in sorted((home / "locks").glob("*.json")) if holder(home, path.stem) is None]


def _locked(study: str, path: Path) -> StudyLocked:
    return StudyLocked(
        f"Study {study!r} is being written by {_holder(path)}. Wait for it, stop it, or use --study NAME."
    )


def _lives(path: Path) -> bool:
    """Whether the process that a holder's file names is another one of this machine and still there."""
    try:
        held = json.loads(path.read_bytes())
        if held["host"] != socket.gethostname() or held["pid"] == os.getpid():
            return False
        # One that got the number later is no holder: it began after the file was written.
        return bool(psutil.Process(held["pid"]).create_time() <= path.stat().st_mtime + 1)
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False


def _holder(path: Path) -> str:
    try:
        held = json.loads(path.read_text())
        return f"process {held['pid']} on {held['host']}, since {held['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
