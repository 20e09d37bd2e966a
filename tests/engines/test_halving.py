"""Successive halving and its quota, against Optuna's pruner and against the plain statement of the rule."""

from __future__ import annotations

import math
import random

import optuna
import pytest
from optuna.trial import TrialState

from bench.engines.halving import Halving
from bench.engines.quota import WINDOW, Quota
from bench.training.budget import REDUCTION

FIRST = 5_000


def theirs() -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST, reduction_factor=REDUCTION, bootstrap_count=0)


def verdicts(pruner: optuna.pruners.BasePruner, seed: int, trials: int = 120) -> list[tuple[int, int, bool]]:
    """(trial, step, pruned), of four trials side by side, with ties, steps over several rungs and no numbers."""
    chance, found = random.Random(seed), []
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler(0))
    running: list[tuple[optuna.Trial, list[int]]] = []
    while len(study.trials) < trials or running:
        while len(running) < 4 and len(study.trials) < trials:
            last = chance.choice([2, 3, 4])
            steps = sorted(chance.sample([4_000, FIRST, 12_000, 3 * FIRST, 9 * FIRST, 9 * FIRST + 1], last))
            running.append((study.ask(), steps))
        trial, steps = chance.choice(running)
        step = steps.pop(0)
        trial.report(math.nan if chance.random() < 0.05 else round(chance.random(), 2), step)
        found.append((trial.number, step, stopped := trial.should_prune()))
        if stopped or not steps:
            running.remove((trial, steps))
            study.tell(trial, state=TrialState.PRUNED)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_it_judges_as_optunas_pruner_does(seed: int) -> None:
    assert verdicts(Halving(FIRST), seed) == verdicts(theirs(), seed)


def test_a_trial_without_a_report_goes_on() -> None:
    study = optuna.create_study(direction="maximize", pruner=Halving(FIRST))
    assert not study.ask().should_prune()


@pytest.mark.parametrize("seed", range(8))
def test_the_quota_is_what_it_says(seed: int) -> None:
    chance, quota = random.Random(seed), Quota()
    judged: list[tuple[float, bool]] = []
    for number in range(200):
        value, stopped = round(chance.random(), 2), chance.random() < 0.3
        full = sum(on for _, on in judged[-WINDOW:]) >= WINDOW // REDUCTION
        full = full and value <= max(earlier for earlier, _ in judged)
        assert quota.full(value) == full
        judged.append((value, not stopped and not full))
        quota.hear(number, *judged[-1])


def test_what_is_not_a_number_is_never_the_best_of_the_quota() -> None:
    quota = Quota()
    quota.hear(0, math.nan, False)
    assert not quota.full(0.5)
    for number in range(1, 1 + WINDOW // REDUCTION):
        assert not quota.full(0.4)
        quota.hear(number, 0.5, True)
    assert quota.full(0.4) and not quota.full(0.6)


def test_what_is_known_later_of_a_trial_takes_the_place_of_what_was_known() -> None:
    quota = Quota()
    for number in range(WINDOW):
        quota.hear(number, 0.5, number < WINDOW // REDUCTION)
    assert quota.full(0.4)
    quota.hear(0, 0.5, False)
    assert not quota.full(0.4)


def test_what_is_known_later_of_a_trial_that_left_the_window_takes_no_place() -> None:
    quota = Quota()
    for number in range(WINDOW + 1):
        quota.hear(number, 0.5, 0 < number <= WINDOW // REDUCTION)
    assert quota.full(0.4)
    quota.hear(0, 0.5, False)
    assert quota.full(0.4)
