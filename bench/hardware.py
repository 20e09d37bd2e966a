"""What this machine is made of, as a manifest says it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 20  # a driver that takes longer hangs


def described() -> dict[str, Any]:
    """processor, cores (those this process may use), memory_bytes, gpus (names) and system of this machine."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": listed_gpus("name"),
        "system": f"{platform.system()} {platform.machine()}",
    }


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
