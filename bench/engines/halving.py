"""Asynchronous successive halving as a pruner of Optuna, which judges the ten-thousandth trial as fast as the tenth."""

from __future__ import annotations

import math
from bisect import insort

import optuna
from optuna.trial import FrozenTrial

from bench.training.budget import REDUCTION


class Halving(optuna.pruners.BasePruner):
    """The rule of Optuna's `SuccessiveHalvingPruner` (Li et al. 2020, "A System for Massively Parallel Hyperparameter
    Tuning"), which reads every trial of the study at every report; here each rung keeps its values in order.

    Of n values at a rung, the one that is judged among them, the best n / REDUCTION go on, rounded down, but always the
    best one. Not a number never goes on. A trial is judged once at a rung.

    Args:
        first: the first rung, in the unit of the steps that are reported; each next one is REDUCTION times as far.

    Raises:
        ValueError: the first rung is below 1.
    """

    def __init__(self, first: int) -> None:
        if first < 1:
            raise ValueError(f"the first rung is {first}, and has to be 1 or more")
        self._first = first
        self._values: list[list[float]] = []  # by rung, ascending
        self._judged: dict[int, int] = {}  # trial -> rungs at which it was judged

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        value, rung = trial.intermediate_values[step], self._judged.get(trial.number, 0)
        while step >= self._first * REDUCTION**rung:
            if math.isnan(value):
                return True
            if rung == len(self._values):
                self._values.append([])
            values = self._values[rung]
            insort(values, value)
            self._judged[trial.number] = rung = rung + 1
            if value < values[-max(1, len(values) // REDUCTION)]:
                return True
        return False
