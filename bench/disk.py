"""A full disk pauses what is under way; nothing is given up for it."""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.errors import Interrupted

RESERVE = 16_000_000  # bytes: the storage's log, the ledger, records
LOOK_SECONDS = 1.0
T = TypeVar("T")


def _never() -> bool:
    return False


def is_full(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, says that a disk or a quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "disk is full" in str(seen) or "No space left" in str(seen):  # as SQLite and PostgreSQL say it
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def wait_for_room(
    folder: Path,
    say: Callable[[str], object],
    stop_asked: Callable[[], bool] = _never,
    needed: int = RESERVE,
) -> None:
    """Return when the disk that holds `folder` has `needed` bytes free; until then nothing else happens.

    Args:
        say: gets a line at the beginning and at the end of a wait.

    Raises:
        Interrupted: a stop was asked for meanwhile.
    """
    free = shutil.disk_usage(folder).free
    if free >= needed:
        return
    _tell(
        say,
        f"The disk of {folder} is full: {megabytes(needed)} are needed, {megabytes(free)} are free. Waiting for room; "
        "Ctrl-C stops, and the same command continues.",
    )
    while shutil.disk_usage(folder).free < needed:
        _check(stop_asked, f"the disk of {folder} is full ({megabytes(needed)} are needed)")
        time.sleep(LOOK_SECONDS)
    _tell(say, f"There is room in {folder} again; going on.")


def _check(stop_asked: Callable[[], bool], what: str) -> None:
    if stop_asked():
        raise Interrupted(
            f"Stopped while {what}. What was finished is saved; make room, and the same command continues."
        )


def _tell(say: Callable[[str], object], line: str) -> None:
    with contextlib.suppress(OSError):  # what is said may go to a file on that very disk
        say(line)


def patiently(
    folder: Path, say: Callable[[str], object], write: Callable[[], T], stop: Callable[[], bool] = _never
) -> T:
    """What `write` returns; while it fails because the disk is full it is tried again when there is room.

    Raises:
        Interrupted: a stop was asked for meanwhile.
    """
    told = False
    while True:
        try:
            return write()
        except Exception as error:
            if not is_full(error):
                raise
        if shutil.disk_usage(folder).free < RESERVE:
            wait_for_room(folder, say, stop)
        elif not told:  # a quota can be full while the disk is not, or a file be larger than what is free
            told = True
            _tell(say, f"A file finds no room in {folder}, or a quota is full. Trying every second; Ctrl-C stops.")
        _check(stop, f"there is no room for a file in {folder}")
        time.sleep(LOOK_SECONDS)


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
