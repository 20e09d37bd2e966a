"""Which parameters set the best trials apart: PED-ANOVA (Watanabe et al. 2023), and whether chance does as much.

Pruned trials have no value at their end, so that trials are put in order as the proposer puts them: by the rung that
they reached, up to the highest level (a rung or the end) that ENOUGH trials have reached, and there by the accuracy at
that level. PED-ANOVA only asks which trials are among the best, and those were all judged at that one level; trials
stopped before it count among the others, failed ones not at all. So it says what goes with being good after that many
samples, which may differ from what is good at the end; the level is part of the answer.

A share alone cannot be told from noise: of a few trials some parameter always comes out first. The same measure on
shuffled orders of the same trials says how large a share chance gives.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from bench.records import Trial
from bench.rows import row
from bench.space import SearchSpace

ENOUGH = 20  # trials at one level
BEST = 5  # at least so many form the better group, as Optuna's documentation advises; else a tenth of all
SHUFFLES = 39  # with the true order 40: the two highest of them are its upper 5 %


@dataclass(frozen=True)
class Importance:
    """How much each parameter separates the best trials from all.

    Attributes:
        trials: it rests on, failed and running ones left out.
        reached: how many of them were judged at the common level.
        samples: training images seen at that level; None is each trial's end.
        shares: name -> share of the whole, in [0, 1], the largest first; empty where there is a problem.
        clear: names whose share fewer than one shuffle in twenty reaches.
        problem: why there are no shares, in one sentence, or None.
    """

    trials: int
    reached: int
    samples: int | None
    shares: Mapping[str, float]
    clear: tuple[str, ...]
    problem: str | None


def importance(space: SearchSpace, trials: Sequence[Trial]) -> Importance:
    """PED-ANOVA on the trials of one study.

    Args:
        space: as the study searched it.
    """
    judged = [trial for trial in trials if trial.state in ("complete", "pruned") and trial.curve]
    level = _level(judged)
    if level is None:
        most = max((sum(_reached(trial) >= rung for trial in judged) for rung in _levels(judged)), default=0)
        problem = (
            f"Too few trials: at most {most} were judged at the same level, and below {ENOUGH} the order of the "
            "parameters is mostly chance."
        )
        return Importance(len(judged), most, None, {}, (), problem)
    reached = sum(_reached(trial) >= level for trial in judged)
    samples = None if math.isinf(level) else int(level)
    places = _places([_standing(trial, level) for trial in judged])
    if len(set(places)) == 1:
        return Importance(len(judged), reached, samples, {}, (), "All trials are equally good.")
    divergences = _divergences(space, judged, places)
    total = sum(divergences.values())
    if total <= 0:
        return Importance(len(judged), reached, samples, {}, (), "No parameter separates the best trials from all.")
    generator = np.random.default_rng(0)  # the same study, the same answer
    above = dict.fromkeys(divergences, 0)
    for _ in range(SHUFFLES):
        by_chance = _divergences(space, judged, generator.permutation(places).tolist())
        for name, value in divergences.items():
            above[name] += by_chance[name] >= value
    clear = tuple(name for name, count in above.items() if (count + 1) / (SHUFFLES + 1) <= 0.05)
    order = sorted(divergences, key=lambda name: (-divergences[name], name))
    return Importance(len(judged), reached, samples, {name: divergences[name] / total for name in order}, clear, None)


def _levels(trials: Sequence[Trial]) -> list[float]:
    return [*sorted({samples for trial in trials for samples, _ in trial.rungs}), math.inf]


def _level(trials: Sequence[Trial]) -> float | None:
    """The highest level that enough trials have reached."""
    enough = [level for level in _levels(trials) if sum(_reached(trial) >= level for trial in trials) >= ENOUGH]
    return max(enough, default=None)


def _reached(trial: Trial) -> float:
    return math.inf if trial.state == "complete" else trial.curve[-1][0]


def _standing(trial: Trial, level: float) -> tuple[float, float]:
    """(level reached, accuracy there), to be compared; a run that was judged only elsewhere stands with what it has."""
    if math.isinf(level) or _reached(trial) < level:
        return (min(_reached(trial), level), trial.curve[-1][1])
    until = [accuracy for samples, accuracy in trial.curve if samples <= level]
    return (level, until[-1] if until else trial.curve[0][1])


def _places(standings: Sequence[tuple[float, float]]) -> list[float]:
    """A number for each standing, larger for a better one, equal for equals."""
    order = {standing: float(place) for place, standing in enumerate(sorted(set(standings)))}
    return [order[standing] for standing in standings]


def _divergences(space: SearchSpace, trials: Sequence[Trial], places: Sequence[float]) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator  # a second: it brings scikit-learn and pandas

    storage: Any = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, direction="maximize")
    for trial, place in zip(trials, places, strict=True):
        study.add_trial(row(space, trial.params, TrialState.COMPLETE, place))
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, BEST / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that equal importances are equal
        return {name: float(value) for name, value in evaluator.evaluate(study).items()}
