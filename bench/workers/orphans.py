"""Processes that outlived the bench that started them, found by their environment rather than by their group.

A worker ends by itself when its parent does. What is left can only be one that was stopped or hangs outside Python, or
a process that a family's code started.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

VARIABLE = "BENCH_WORKER_OF"


SECRET = ("BENCH_STORAGE", "PGPASSWORD")  # the storage is none of a worker's business


def environment(**changes: str) -> dict[str, str]:
    """What a process of ours starts with: all of this one's but what may hold the storage's password."""
    return {**{name: value for name, value in os.environ.items() if name not in SECRET}, **changes}


def new_tag() -> str:
    """What the workers of one pool, and all that they start, carry in VARIABLE: the owner and an id of the pool."""
    return f"{os.getpid()}:{psutil.Process().create_time():.2f}:{uuid.uuid4().hex[:8]}"


def reap() -> list[int]:
    """End every process whose owner is gone; returns their ids."""
    return _end(_ownerless)


def reap_pool(tag: str) -> list[int]:
    """End what still runs of one pool; returns the ids."""
    return _end(lambda other, _: other == tag)


def _end(unwanted: Callable[[str, psutil.Process], bool]) -> list[int]:
    ended = []
    for process in psutil.process_iter():
        # Processes of other users cannot be read, and are none of ours; some end while they are looked at.
        with contextlib.suppress(psutil.Error, OSError):
            tag = process.environ().get(VARIABLE)
            if tag and process.pid != os.getpid() and unwanted(tag, process):
                process.kill()
                ended.append(process)
    psutil.wait_procs(ended, timeout=5)
    return [process.pid for process in ended]


def _ownerless(tag: str, process: psutil.Process) -> bool:
    """An owner is older than what it started; whoever is younger only got its number.

    Both times are of now, so that a clock that was set meanwhile does not part them. In another container the owner's
    number is that of somebody else, or of nobody, here: such processes are left alone.
    """
    if _namespace(process.pid) != _namespace(os.getpid()):
        return False
    try:
        owner = psutil.Process(int(tag.partition(":")[0]))
        return bool(owner.create_time() > process.create_time())
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False


def _namespace(pid: int) -> str:
    """What is the same for processes that see each other's numbers; see pid_namespaces(7)."""
    return str(Path(f"/proc/{pid}/ns/pid").readlink())
