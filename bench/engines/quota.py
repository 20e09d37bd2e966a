"""How many trials may pass a rung of asynchronous successive halving, beside what the rung itself decides."""

from __future__ import annotations

import math
from itertools import islice

from bench.training.budget import REDUCTION

WINDOW = 3 * REDUCTION  # trials that a quota looks back on


class Quota:
    """Of the latest WINDOW trials at a rung no more than one in REDUCTION goes on, but for one better than all
    before. Asked asynchronously, successive halving lets most trials through while a sampler improves.
    """

    def __init__(self) -> None:
        self._judged: dict[int, tuple[float, bool]] = {}  # trial -> its value, whether it went on
        self._best = -math.inf  # of all of them

    def stops(self, number: int, val_accuracy: float, stopped: bool) -> bool:
        """Whether trial `number` ends here.

        Args:
            stopped: what the rung itself says.
        """
        if number in self._judged:  # it is run again: it keeps its place, and does not compete with itself
            others = (value for other, (value, _) in self._judged.items() if other != number)
            self._best = max((value for value in others if not math.isnan(value)), default=-math.inf)
        stopped = stopped or self._is_full(number, val_accuracy)
        self._judged[number] = (val_accuracy, not stopped)
        self._best = max(self._best, val_accuracy)  # in this order: not a number is never the best
        return stopped

    def _is_full(self, number: int, val_accuracy: float) -> bool:
        others = (went_on for other, (_, went_on) in reversed(self._judged.items()) if other != number)
        return val_accuracy <= self._best and sum(islice(others, WINDOW)) >= WINDOW // REDUCTION
