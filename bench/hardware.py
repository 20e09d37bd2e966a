"""What this machine is made of, as a manifest says it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

GROUPS = Path("/sys/fs/cgroup")
ANSWER_SECONDS = 20  # a driver that takes longer hangs


def described() -> dict[str, Any]:
    """processor, cores (those this process may use), memory_bytes, gpus (names) and system of this machine."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_bytes": memory(),
        "gpus": listed_gpus("name"),
        "system": f"{platform.system()} {platform.machine()}",
    }


def cores(groups: Path = GROUPS) -> int:
    """How many this process may use: those that it may run on, or the part of their time that a container gives."""
    allowed = len(os.sched_getaffinity(0))
    for quota, period in _limits(groups, ("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        allowed = min(allowed, max(1, quota // period))
    return allowed


def memory(groups: Path = GROUPS) -> int:
    """Bytes that this process may use: the machine's, or a container's share."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = _limits(groups, ("memory.max",), ("memory/memory.limit_in_bytes",))
    return min([whole, *(most for (most,) in limits)])


def _limits(groups: Path, second: Sequence[str], first: Sequence[str]) -> Iterator[list[int]]:
    """What the control groups of this process set, group by group; nothing where they set no limit.

    Args:
        second, first: the files of a group that hold the numbers, as version 2 of cgroups(7) names them and version 1.
    """
    own = _own_group()
    for folder, files in (*((groups / group, second) for group in (own, *own.parents)), (groups, first)):
        with contextlib.suppress(OSError, ValueError):  # no such group is seen from here, or its limit is "max"
            found = [int(word) for name in files for word in (folder / name).read_text().split()]
            if min(found) > 0:  # version 1 says -1
                yield found


def _own_group() -> Path:
    """This process's, below the root of version 2; the root where that is not said."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::/"):
                return Path(line.removeprefix("0::/"))
    return Path()


def _processor() -> str:
    """The model's name; where Linux does not say it, what the platform calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def listed_gpus(fields: str) -> list[str]:
    """A line for each GPU that the NVIDIA driver lists; empty where there is none, and, with a word on standard error,
    where its tool does not work or does not answer.

    Args:
        fields: of `nvidia-smi --query-gpu`, with commas between them.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"bench: GPUs are left out: {error}. Run {tool} by hand to see what is wrong.", file=sys.stderr)
        return []
    return [line.strip() for line in listed.stdout.splitlines()] if listed.returncode == 0 else []
