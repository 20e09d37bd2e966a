"""Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends at once."""

from __future__ import annotations

import signal
from types import FrameType

from bench.errors import Interrupted


class StopSignal:
    """While entered, `asked` turns true at the first SIGINT or SIGTERM; the second raises Interrupted on the spot."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise Interrupted("Stopped at once. Finished trials are saved; the same command continues.")
        self.asked = True
