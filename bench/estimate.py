"""`bench search --dry-run`: the smallest and the largest model of a space, measured for one short step, and what the
whole would take at that speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.carried import pack
from bench.confirmation import CANDIDATES, ROUNDS
from bench.data.sealed import Sealed
from bench.engines.assembly import longest_epochs
from bench.engines.design import latin_hypercube
from bench.engines.interface import seed_of
from bench.engines.onepass import among_the_best
from bench.errors import FamilyError
from bench.family import Family
from bench.inquiry import sizes
from bench.space import Config
from bench.training.budget import REDUCTION, judged_on, rungs
from bench.workers.messages import AtRung, Decide, Done, Job, Lost, Ready
from bench.workers.pool import Pool

DRAWS = 24  # configurations whose parameters are counted, beside the corners and the reference
STEPS = 24  # of one measurement


@dataclass(frozen=True)
class Measured:
    """One model, trained for a few steps on this machine beside the other workers.

    Attributes:
        start_seconds: building and tracing, once a trial.
        epoch_seconds: one epoch on the training images, one worker.
        validation_seconds: one pass over the validation images.
        worker_bytes: resident memory of its worker after these steps.
    """

    name: str
    config: Config
    parameters: int
    start_seconds: float
    epoch_seconds: float
    validation_seconds: float
    worker_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Seconds of search and final: if every model were the smallest, the geometric mean, or the largest."""

    measured: tuple[Measured, ...]
    search_seconds: tuple[float, float, float]
    final_seconds: tuple[float, float, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def estimate(
    family: Family, sealed: Sealed, pool: Pool, precision: str, trials: int, seeds: int, pruner: str
) -> Estimate:
    """Measure the two ends of the space and extend them to the whole.

    Args:
        trials: left to run.
        seeds: runs of the winner, 0 for no final.
        pruner: `none`, or one that stops trials: a third is then taken to go on at every rung; after `one-pass`, those
            that are among the best so far where the trials come in no order.

    Raises:
        FamilyError: a model cannot be built or trained; with the family's own error.
    """
    configs = _spread(family)
    counts = sizes(family, configs, precision, pool)
    ordered = sorted(zip(counts, range(len(configs)), strict=True))
    ends = {"smallest": configs[ordered[0][1]], "largest": configs[ordered[-1][1]]}
    measured = tuple(_measure(family, sealed, pool, precision, ends))
    workers = len(pool)
    search, final = zip(
        *(_whole(family, sealed, model, trials, seeds, pruner, workers) for model in measured), strict=True
    )
    return Estimate(measured, _with_middle(search), _with_middle(final))


def _spread(family: Family) -> list[Config]:
    space = family.space
    corners = [space.walk(lambda name, domain, share=share: domain.at(share)) for share in (0.0, 1.0)]  # type: ignore[misc]
    reference = [dict(family.reference)] if family.reference else []
    return [*corners, *reference, *latin_hypercube(space, DRAWS, seed_of(0, 0, "dry run"))]


def _measure(family: Family, sealed: Sealed, pool: Pool, precision: str, ends: Mapping[str, Config]) -> list[Measured]:
    """Train both ends for STEPS steps, side by side where there are two workers, and stop them there."""
    waiting, running, found = list(ends.items()), dict[int, tuple[str, Config]](), dict[str, Measured]()
    while len(found) < len(ends):
        for worker in pool.idle:
            if waiting:
                name, config = waiting.pop(0)
                running[worker] = (name, config)
                mark = _mark(config, sealed)
                job = Job(len(found), pack(family), config, seed_of(0, 0, name), precision, (mark,), mean_weights=False)
                pool.submit(worker, job)
        for worker, message in pool.poll(1.0):
            if isinstance(message, AtRung):
                pool.send(worker, Decide(message.number, "prune"))
            elif isinstance(message, Lost) and worker in running:
                raise FamilyError(f"The {running[worker][0]} model: {message.reason}, {message.detail}")
            elif isinstance(message, Done) and worker in running:
                name, config = running.pop(worker)
                found[name] = _measured(name, config, message, sealed)
            elif isinstance(message, Ready):
                continue
    return [found[name] for name in ends]


def _mark(config: Mapping[str, Any], sealed: Sealed) -> int:
    """Samples to measure with: STEPS steps, of a run that is shorter all but its end."""
    return min(STEPS * _batch(config), max(1, round(float(config.get("epochs", 1)) * sealed.n_train) - 1))


def _batch(config: Mapping[str, Any]) -> int:
    return int(config.get("batch_size", 128))


def _measured(name: str, config: Config, done: Done, sealed: Sealed) -> Measured:
    if done.verdict == "failed" or done.parameters is None:
        raise FamilyError(f"The {name} model of the space fails: {done.reason}: {done.detail}")
    after_first = max(done.samples - _batch(config), 1)  # the first step counts as tracing
    judged = judged_on(_mark(config, sealed), sealed.n_train, sealed.n_validation)
    return Measured(
        name,
        config,
        done.parameters,
        done.seconds.build + done.seconds.trace,
        done.seconds.train / after_first * sealed.n_train,
        done.seconds.eval * sealed.n_validation / judged,
        done.rss,
    )


def _whole(
    family: Family, sealed: Sealed, model: Measured, trials: int, seeds: int, pruner: str, workers: int
) -> tuple[float, float]:
    """Seconds of search and final if every model were this one; `workers` at once."""
    epochs = _epochs(family)
    end = round(epochs * sealed.n_train)
    share, early = 1 / REDUCTION, rungs(sealed.n_train, epochs, longest_epochs(family))
    if pruner == "one-pass":
        share, early = among_the_best(trials), [sealed.n_train] if sealed.n_train < end else []
    marks = [*(early if pruner != "none" else []), end]
    samples, judged, go_on, before = 0.0, 0.0, 1.0, 0
    for mark in marks:
        samples += go_on * (mark - before)
        judged += go_on
        go_on, before = go_on * share, mark
    full = model.start_seconds + epochs * model.epoch_seconds + model.validation_seconds
    one = model.start_seconds + samples / sealed.n_train * model.epoch_seconds + judged * model.validation_seconds
    search = max(trials / workers, min(trials, 1)) * one  # one trial is no sooner done by many workers
    retrain = (sealed.n_train + sealed.n_validation) / sealed.n_train
    rounds = ROUNDS * -(-CANDIDATES // workers) * full + max(1.0, seeds / workers) * full * retrain
    return search, rounds if seeds else 0.0


def _epochs(family: Family) -> float:
    """Epochs in the middle of the space."""
    middle = family.space.walk(lambda name, domain: domain.at(0.5))
    return float(middle.get("epochs", 1))


def _with_middle(ends: Sequence[float]) -> tuple[float, float, float]:
    low, high = min(ends), max(ends)
    return low, (low * high) ** 0.5, high
