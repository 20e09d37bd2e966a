"""Confirming a study's best few over fresh seeds, so that a lucky trial does not win; runs of given configurations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench import frozen
from bench.carried import pack
from bench.data.sealed import Sealed
from bench.engines.fixed import Run, run_all
from bench.engines.interface import seed_of
from bench.errors import Interrupted
from bench.family import Family
from bench.records import Event, Trial
from bench.study import Outcome
from bench.workers.pool import Pool

CANDIDATES = 2
ROUNDS = 2
MARGIN = 0.001  # validation accuracies closer than a tenth of a point are as good as equal


class Stages(Protocol):
    """Who wants to hear how a final proceeds: the screen."""

    def begin_stage(self, title: str, target: int, unit: str = ...) -> None: ...

    def end_stage(self) -> None: ...

    def message(self, text: str) -> None: ...

    def __call__(self, event: Event) -> None: ...


@dataclass(frozen=True)
class Confirmed:
    """The race's winner, and what every candidate scored: number -> validation accuracies over fresh seeds."""

    winner: Trial
    val_accuracy: float
    entries: tuple[Mapping[str, Any], ...]


def confirm(
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    pool: Pool,
    stages: Stages,
    stop_asked: Callable[[], bool] = lambda: False,
) -> Confirmed:
    """Train the best few again over fresh seeds, on validation, and take the highest mean.

    A race: a round gives every candidate one more seed. It ends when the leader is ahead by more than two standard
    errors; when the two differ by less than MARGIN, where either will do; or after ROUNDS. The value that a trial had
    in the search does not count: it was selected for it. Where the study tried one configuration and completed it once,
    nothing was selected: its own value stands, and nothing is trained again.
    """
    complete = [t for t in outcome.trials if t.state == "complete" and t.val_accuracy is not None]
    if len(complete) == 1 and all(t.params == complete[0].params for t in outcome.trials):
        return Confirmed(complete[0], complete[0].val_accuracy or 0.0, ())
    ranked = sorted(complete, key=lambda t: (-(t.val_accuracy or 0.0), t.number))
    # A configuration that was tried again is one candidate: with two places it would race itself.
    best = [t for k, t in enumerate(ranked) if all(t.params != other.params for other in ranked[:k])][:CANDIDATES]
    scores: dict[int, list[float]] = {t.number: [] for t in best}
    rounds = ROUNDS if len(best) > 1 else 1
    stages.begin_stage(f"confirm {len(best)} candidates", rounds * len(best), "trial")
    for round_number in range(rounds):
        runs = [
            Run(
                t.params,
                seed_of(outcome.settings["seed"], t.number, f"confirm {round_number}"),
                t.number,
                samples_of(t, sealed.n_train),
            )
            for t in best
        ]
        for trial, done in zip(best, train(runs, outcome, family, pool, stages, stop_asked), strict=True):
            scores[trial.number].append(done.val_accuracy or 0.0)
        if _settled(list(scores.values()), sealed.n_validation):
            break
    stages.end_stage()
    winner = min(best, key=lambda t: (-_mean(scores[t.number]), t.number))
    entries = tuple(
        {"trial": t.number, "val_accuracies": scores[t.number], "search_val_accuracy": t.val_accuracy} for t in best
    )
    return Confirmed(winner, _mean(scores[winner.number]), entries)


def _settled(scores: Sequence[Sequence[float]], images: int) -> bool:
    """Whether the highest mean is ahead of the next by two binomial standard errors, or indifferent to it."""
    first, *others = sorted((_mean(values) for values in scores), reverse=True)
    if not others:
        return True
    variance = sum(mean * (1 - mean) / (images * len(scores[0])) for mean in (first, others[0]))
    return not MARGIN <= first - others[0] <= 2 * math.sqrt(variance)


def train(
    runs: Sequence[Run],
    outcome: Outcome,
    family: Family,
    pool: Pool,
    stages: Stages,
    stop_asked: Callable[[], bool],
    room: Callable[[], None] = lambda: None,
) -> list[Trial]:
    """What came of these runs, in the order given.

    Raises:
        Interrupted: a stop was asked for.
    """
    code, precision = frozen.code_of(family), outcome.settings["precision"]
    # On a card several small models take little longer than one; on processors each worker does better alone.
    beside = pool.framework == "jax" and all(place.gpu is not None for place in pool.places) and runs[0].retrain
    done = run_all(runs, pack(family), precision, pool, stages, stop_asked, code, room, beside)
    if done is None:
        raise Interrupted("Stopped before the test set was opened; the same command continues.")
    return done


def samples_of(trial: Trial, images: int) -> int:
    """Training images that this configuration sees in all, of a set of so many."""
    return round(float(trial.params.get("epochs", 1)) * images)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
