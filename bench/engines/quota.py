"""How many trials may pass a rung of asynchronous successive halving, beside what the rung itself decides."""

from __future__ import annotations

import math

from bench.training.budget import REDUCTION

WINDOW = 3 * REDUCTION  # trials that a quota looks back on


class Quota:
    """Of the latest WINDOW trials at a rung no more than one in REDUCTION goes on, but for one better than all
    before. Asked asynchronously, successive halving lets most trials through while a sampler improves.
    """

    def __init__(self) -> None:
        self._went_on: dict[int, bool] = {}  # by trial: the latest
        self._heard: set[int] = set()  # of all of them
        self._best = -math.inf  # of all of them

    def full(self, val_accuracy: float) -> bool:
        """Whether there is no place for the next trial at the rung."""
        return val_accuracy <= self._best and sum(self._went_on.values()) >= WINDOW // REDUCTION

    def hear(self, number: int, val_accuracy: float, went_on: bool) -> None:
        """What became of the next trial at the rung, or what is known by now of an earlier one."""
        if number in self._went_on or number not in self._heard:  # a correction takes no place again
            self._went_on[number] = went_on
            self._heard.add(number)
        while len(self._went_on) > WINDOW:
            del self._went_on[next(iter(self._went_on))]
        self._best = max(self._best, val_accuracy)  # in this order: not a number is never the best
