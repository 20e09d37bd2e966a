"""Points at which a test can kill this process, one beside every write.

BENCH_FAILPOINT=name kills at that point, name#3 when it is reached for the third time. A kill is SIGKILL, so nothing
after it runs: neither `finally` nor a flush.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_reached: Counter[str] = Counter()


def reach(point: str) -> None:
    """Die here if the environment asks for it; else do nothing."""
    wanted = os.environ.get("BENCH_FAILPOINT")
    if wanted is None:
        return
    name, _, count = wanted.partition("#")
    if name == point:
        _reached[point] += 1
        if _reached[point] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
