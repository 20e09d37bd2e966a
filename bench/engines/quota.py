"""How many trials may pass the first rung of asynchronous successive halving, beside what the rung itself decides."""

from __future__ import annotations

import math

from bench.training.budget import REDUCTION

WINDOW = 3 * REDUCTION  # trials that the quota looks back on


class Quota:
    """Of the latest WINDOW trials at the first rung no more than one in REDUCTION goes on, but for one better than all
    before. Asked asynchronously, successive halving lets most trials through while a sampler improves.
    """

    def __init__(self) -> None:
        self._judged: dict[int, tuple[float, bool]] = {}  # trial -> its value, whether it went on

    def stops(self, number: int, val_accuracy: float, stopped: bool) -> bool:
        """Whether trial `number` ends here.

        Args:
            stopped: what the rung itself says.
        """
        stopped = stopped or self._is_full(number, val_accuracy)
        self._judged[number] = (val_accuracy, not stopped)
        return stopped

    def _is_full(self, number: int, val_accuracy: float) -> bool:
        others = [judged for other, judged in self._judged.items() if other != number]
        best = max((value for value, _ in others), default=-math.inf)
        return val_accuracy <= best and sum(on for _, on in others[-WINDOW:]) >= WINDOW // REDUCTION
