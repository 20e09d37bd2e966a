"""Ctrl-C, SIGTERM and a terminal that closes: the first asks for a clean stop, the second ends at once."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from types import FrameType

from bench.errors import Interrupted

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignal:
    """While entered, `asked` turns true at the first signal of SIGNALS; the second raises Interrupted on the spot.

    Only the main thread can hear signals; entered from another one, nothing is changed and `asked` stays false.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in SIGNALS:
            # nohup has the process ignore a terminal that closes, and that stays so.
            if not (number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not set from Python, and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise Interrupted("Stopped at once. Finished trials are saved; the same command continues.")
        self.asked = True


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however that comes about. Linux only; else nothing.

    A process that was stopped (SIGSTOP) ends too, which none can do for itself.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
