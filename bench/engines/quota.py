"""How many trials may pass a rung of asynchronous successive halving, beside what the rung itself decides."""

from __future__ import annotations

import math
from collections import deque

from bench.training.budget import REDUCTION

WINDOW = 3 * REDUCTION  # trials that a quota looks back on


class Quota:
    """Of the latest WINDOW trials at a rung no more than one in REDUCTION goes on, but for one better than all
    before. Asked asynchronously, successive halving lets most trials through while a sampler improves.
    """

    def __init__(self) -> None:
        self._went_on: deque[bool] = deque(maxlen=WINDOW)
        self._best = -math.inf  # of all of them

    def stops(self, val_accuracy: float, stopped: bool) -> bool:
        """Whether the next trial at the rung ends here.

        Args:
            stopped: what the rung itself says.
        """
        full = val_accuracy <= self._best and sum(self._went_on) >= WINDOW // REDUCTION
        self._went_on.append(not (stopped or full))
        self._best = max(self._best, val_accuracy)  # in this order: not a number is never the best
        return not self._went_on[-1]
