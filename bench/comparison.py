"""What `bench compare-engines` found: best validation accuracy against samples and seconds, and what differs. Pure.

Every pair of sampler and pruner searches the same space with the same seeds, until it has used the same budget of
training samples. A trial is charged with its samples when it is over, stopped and failed ones too, in the order in
which they ended; the best so far is that of the complete trials charged by then. The budget itself is used by all
trials, those under way and those that wait at a rung for the others of their round too, up to the last rung that they
reached: nobody searches on credit. A search's score is its best at the budget. What it finished beyond the budget
does not count.

The unit is the search, not the trial: trials of one search depend on each other. A pair is compared with the random
baseline by the differences of their scores seed by seed, with the interval and the two-sided test of Student's t for
one sample (Student 1908), adjusted for the number of pairs after Holm 1979. Pairing by seed takes out what the two
share, the reference configuration that is trial 0 of both; that the seed of a search is a source of variance to be
sampled, and not to be fixed, is the point of Bouthillier et al. 2021. One comparison is tested, at the budget; the
curves and the time to the baseline's best are shown, not tested. All of it holds for this data set, split and space:
the images are not drawn again. A best value of many is optimistic, of more trials more so; it is no estimate of a test
accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import statistics
from bench.errors import UsageError, did_you_mean
from bench.options import ENGINES
from bench.records import Trial

SCHEMA = 1
LEVEL = 0.05
POINTS = 80  # of a mean curve
METHOD = "paired by seed: Student's t on differences of the best at the budget, Holm over the pairs"
BETTER, WORSE, UNRESOLVED, UNTESTED = "better", "worse", "no difference resolved", "not compared"


@dataclass(frozen=True)
class Pair:
    """An engine's sampler with a pruner, written 'optuna:tpe/asha'."""

    engine: str
    sampler: str
    pruner: str

    def __str__(self) -> str:
        return f"{self.engine}:{self.sampler}/{self.pruner}"


BASELINE = Pair("optuna", "random", "none")


def pair_of(text: str) -> Pair:
    """'engine:sampler/pruner'; what is left out is what the engine takes by itself.

    Raises:
        UsageError: one of them is unknown; the nearest is named.
    """
    engine, _, rest = text.strip().partition(":")
    sampler, _, pruner = rest.partition("/")
    known: Sequence[str]
    if engine not in ENGINES:
        raise UsageError(f"{text!r}: there is no engine {engine!r}.{_known(engine, list(ENGINES))}")
    offer = ENGINES[engine]
    for kind, name, known in (("sampler", sampler, offer.samplers), ("pruner", pruner, offer.pruners)):
        if name and name not in known:
            raise UsageError(f"{text!r}: engine {engine} has no {kind} {name!r}.{_known(name, known)}")
    return Pair(engine, offer.sampler(sampler), offer.pruner(sampler, pruner))


def _known(name: str, known: Sequence[str]) -> str:
    return f"{did_you_mean(name, known)} Known: {', '.join(known)}."


@dataclass(frozen=True)
class Step:
    """A search after one more trial: what it has used so far, and its best complete trial's validation accuracy."""

    samples: int
    seconds: float
    best: float | None


@dataclass(frozen=True)
class Searched:
    """One search of a pair, as it is stored."""

    pair: Pair
    seed: int
    study: str
    trials: Sequence[Trial]


def curve(trials: Sequence[Trial]) -> list[Step]:
    """The search after each trial that is over, in the order in which they ended."""
    over = sorted((t for t in trials if t.state != "running"), key=lambda t: (t.elapsed or 0.0, t.number))
    steps: list[Step] = []
    samples, best = 0, None
    for trial in over:
        samples += trial.samples
        if trial.state == "complete" and trial.val_accuracy is not None:
            best = max(best or 0.0, trial.val_accuracy)
        steps.append(Step(samples, trial.elapsed or 0.0, best))
    return steps


def used(trial: Trial) -> int:
    """Samples that a trial is known to have used: all of one that is over or paused, else those up to its last rung."""
    if trial.state != "running" or trial.paused:
        return trial.samples
    return trial.curve[-1][0] if trial.curve else 0


def charged(trials: Sequence[Trial]) -> int:
    """Samples that a search has used."""
    return sum(map(used, trials))


def document(
    dataset: str, family: str, train_images: int, budget: int, precision: str, found: Sequence[Searched]
) -> dict[str, Any]:
    """Everything that is printed and drawn, JSON-ready; accuracies are fractions.

    Args:
        budget: samples.
        found: every pair with every seed, the baseline's among them.
    """
    within = {(one.pair, one.seed): [step for step in curve(one.trials) if step.samples <= budget] for one in found}
    pairs = list(dict.fromkeys(one.pair for one in found))
    seeds = sorted({one.seed for one in found})
    rows = [_row(pair, seeds, within, [one for one in found if one.pair == pair], budget) for pair in pairs]
    tested = [row for row in rows if row["p_value"] is not None]
    for row, p_holm in zip(tested, statistics.holm([row["p_value"] for row in tested]), strict=True):
        row["p_holm"] = p_holm
        if p_holm < LEVEL:
            row["verdict"] = BETTER if row["difference"] > 0 else WORSE
    return {
        "schema": SCHEMA,
        "dataset": dataset,
        "family": family,
        "budget": {"samples": budget, "epochs": budget / train_images},
        "train_images": train_images,
        "precision": precision,
        "seeds": seeds,
        "baseline": str(BASELINE),
        "method": METHOD,
        "resolved": any(row["verdict"] in (BETTER, WORSE) for row in rows),
        "pairs": rows,
    }


def _row(
    pair: Pair,
    seeds: Sequence[int],
    within: Mapping[tuple[Pair, int], Sequence[Step]],
    found: Sequence[Searched],
    budget: int,
) -> dict[str, Any]:
    curves = [within[pair, seed] for seed in seeds]
    bests, theirs = _bests(curves), _bests([within[BASELINE, seed] for seed in seeds])
    scored = [best for best in bests if best is not None]
    mean = statistics.of_mean(scored) if len(scored) == len(seeds) else None
    compared = None
    if pair != BASELINE and len(scored) == len(seeds) and None not in theirs:
        compared = statistics.of_mean([a - (b or 0.0) for a, b in zip(scored, theirs, strict=True)])
    first = [_first(steps, goal) for steps, goal in zip(curves, theirs, strict=True)]
    return {
        "pair": str(pair),
        **asdict(pair),
        "studies": [one.study for one in found],
        "best": bests,
        "mean": mean and mean.mean,
        "ci95": mean and mean.ci95,
        "trials": sum(map(len, curves)) / len(seeds),
        "complete": sum(_complete(one.trials, len(steps)) for one, steps in zip(found, curves, strict=True))
        / len(seeds),
        "seconds": sum(steps[-1].seconds if steps else 0.0 for steps in curves) / len(seeds),
        "to_baseline": {
            "reached": sum(step is not None for step in first),
            "samples": _median([step.samples if step else None for step in first]),
            "seconds": _median([step.seconds if step else None for step in first]),
        },
        "difference": compared and compared.mean,
        "difference_ci95": compared and compared.ci95,
        "p_value": compared and compared.p_value,
        "p_holm": None,
        "verdict": None if pair == BASELINE else UNRESOLVED if compared else UNTESTED,
        "against_samples": _mean_curve(curves, lambda step: step.samples, budget),
        "against_seconds": _mean_curve(
            curves, lambda step: step.seconds, min((steps[-1].seconds for steps in curves if steps), default=0.0)
        ),
    }


def _bests(curves: Sequence[Sequence[Step]]) -> list[float | None]:
    return [steps[-1].best if steps else None for steps in curves]


def _complete(trials: Sequence[Trial], counted: int) -> int:
    over = sorted((t for t in trials if t.state != "running"), key=lambda t: (t.elapsed or 0.0, t.number))
    return sum(trial.state == "complete" for trial in over[:counted])


def _first(steps: Sequence[Step], goal: float | None) -> Step | None:
    """Where a search was first as good as that."""
    if goal is None:
        return None
    return next((step for step in steps if step.best is not None and step.best >= goal), None)


def _median(values: Sequence[float | None]) -> float | None:
    """The median, where those that never got there come last; None where it is one of them."""
    ordered = sorted(math.inf if value is None else value for value in values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return None if math.isinf(middle) else middle


def _mean_curve(curves: Sequence[Sequence[Step]], where: Callable[[Step], float], end: float) -> list[dict[str, Any]]:
    """Mean over seeds of the best so far, with pointwise 95 % intervals, from where every search has a best."""
    known = [[(where(step), step.best) for step in steps if step.best is not None] for steps in curves]
    if not all(known):
        return []
    begin, points = max(bests[0][0] for bests in known), []
    for k in range(POINTS if begin <= end else 0):
        at = end if k == POINTS - 1 else begin + (end - begin) * k / (POINTS - 1)
        found = statistics.of_mean([max(best for place, best in bests if place <= at) for bests in known])
        points.append({"at": at, "mean": found.mean, "ci95": found.ci95})
    return points
