"""`bench search`: settings that are frozen with the study, then the driver until the target is reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import bench
from bench.data.sealed import Sealed
from bench.engines.interface import Proposer, Stopper
from bench.engines.local import LocalDriver, Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.errors import FrozenStudy, InputError, NoTrialSucceeded
from bench.family import Family
from bench.records import Event, Subscriber, Trial, WorkerChanged
from bench.space import Choice, Fixed, When
from bench.store import Store
from bench.training.budget import rungs
from bench.workers.messages import Lost, Probe, Probed, Ready
from bench.workers.pool import Pool

FROZEN = ("data_checksum", "split_fingerprint", "space", "seed", "sampler", "pruner", "precision")


@dataclass(frozen=True)
class Request:
    """What a search is asked for. `sampler`, `pruner`, `seed` and `precision` are None where the user left them out."""

    study: str
    family: Family
    engine: str
    target: int
    sampler: str | None = None
    pruner: str | None = None
    seed: int | None = None
    precision: str | None = None
    seconds: float | None = None
    trial_seconds: float | None = None


@dataclass(frozen=True)
class Outcome:
    """A search as it stands: `reached` is False when a stop or the time limit came before the target."""

    study: str
    settings: Mapping[str, Any]
    trials: Sequence[Trial]
    seconds: float
    reached: bool

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    @property
    def finished(self) -> int:
        return sum(trial.state != "running" for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest validation accuracy; the first of equals."""
        complete = [t for t in self.trials if t.state == "complete"]
        return max(complete, key=lambda t: (t.val_accuracy or 0.0, -t.number), default=None)


def outcome(store: Store, study: str, target: int = 0) -> Outcome:
    """Read a study back.

    Raises:
        InputError: there is no such study.
    """
    settings = store.settings(study)
    if settings is None:
        known = ", ".join(store.studies()) or "none yet"
        raise InputError(f"No study named {study!r} here (known: {known}). Run `bench search` first.")
    trials = store.trials(study)
    found = Outcome(study, settings, trials, store.seconds(study), True)
    return Outcome(study, settings, trials, found.seconds, found.finished >= target)


def search(
    request: Request,
    sealed: Sealed,
    store: Store,
    pool: Callable[[], Pool],
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Reach `request.target` finished trials; a study that is there continues.

    Args:
        pool: called only when there is something to train.

    Raises:
        FrozenStudy: the study exists with other settings.
        NoTrialSucceeded: the target is reached and no trial is complete.
    """
    settings = store.settings(request.study)
    if settings is not None:
        _check_frozen(request, sealed, settings)
        before = outcome(store, request.study, request.target)
        if before.reached:
            return before
    else:
        settings = _settings(request, sealed, pool, subscribers)
        store.create(request.study, settings)
    began, spent = time.monotonic(), store.seconds(request.study)
    try:
        _drive(request, sealed, store, settings, pool(), subscribers, stop_asked)
    finally:
        store.set_seconds(request.study, spent + time.monotonic() - began)
    after = outcome(store, request.study, request.target)
    if after.reached and after.best is None:
        reasons = sorted({f"{t.reason}: {t.detail}" for t in after.trials if t.state == "failed"})
        raise NoTrialSucceeded(
            f"None of the {after.finished} trials of {request.study!r} completed. " + "; ".join(reasons[:3])
        )
    return after


def _drive(
    request: Request,
    sealed: Sealed,
    store: Store,
    settings: Mapping[str, Any],
    pool: Pool,
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool],
) -> None:
    family = request.family
    assert family.source is not None
    longest = _longest(family)
    marks = rungs(sealed.n_train, longest)
    reference = dict(family.reference) if family.reference else None
    proposer: Proposer = OptunaProposer(family.space, settings["sampler"], settings["seed"], reference)
    stopper: Stopper = OptunaStopper(
        settings["pruner"],
        first_rung=marks[0] if marks else sealed.n_train,
        last_rung=round(longest * sealed.n_train),
        spared=0 if reference else None,
    )
    # The store hears first: what the others show has been written.
    hear: list[Subscriber] = [store.writer(request.study, family.space), *subscribers]

    def emit(event: Event) -> None:
        for subscriber in hear:
            subscriber(event)

    plan = Plan(
        family.source,
        settings["seed"],
        settings["precision"],
        sealed.n_train,
        request.target,
        request.seconds,
        request.trial_seconds,
    )
    LocalDriver(plan, proposer, stopper, pool, emit, stop_asked).run(store.trials(request.study))


def _longest(family: Family) -> float:
    """The most epochs that the space allows."""
    declared = family.space.domains.get("epochs")
    domain = declared.domain if isinstance(declared, When) else declared
    if isinstance(domain, Fixed):
        return float(domain.value)
    if isinstance(domain, Choice):
        return max(float(option) for option in domain.options)
    return float(domain.high) if domain is not None else 1.0


def _settings(
    request: Request, sealed: Sealed, pool: Callable[[], Pool], subscribers: Sequence[Subscriber]
) -> dict[str, Any]:
    precision = request.precision or "auto"
    return {
        "schema": 1,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": bench.__version__,
        "dataset": sealed.name,
        "data_id": sealed.data_id,
        "data_checksum": sealed.checksum,
        "split_fingerprint": sealed.split_fingerprint,
        "family": request.family.name,
        "engine": request.engine,
        "space": request.family.space.describe(),
        "seed": request.seed if request.seed is not None else 0,
        "sampler": request.sampler or "tpe",
        "pruner": request.pruner or "asha",
        "precision": measured_precision(pool(), subscribers) if precision == "auto" else precision,
    }


def measured_precision(pool: Pool, subscribers: Sequence[Subscriber] = ()) -> str:
    """Let the first worker that is ready measure whether bfloat16 pays on its device."""
    asked: int | None = None
    while True:
        for worker, message in pool.poll(1.0):
            if isinstance(message, Probed):
                return message.precision
            if isinstance(message, Lost) and worker == asked:
                asked = None
            if isinstance(message, Ready):
                for subscriber in subscribers:
                    subscriber(WorkerChanged(worker, "ready", message.device))
        if asked is None and pool.idle:
            asked = pool.idle[0]
            pool.send(asked, Probe())


def _check_frozen(request: Request, sealed: Sealed, settings: Mapping[str, Any]) -> None:
    asked: dict[str, Any] = {
        "data_checksum": sealed.checksum,
        "split_fingerprint": sealed.split_fingerprint,
        "space": request.family.space.describe(),
        "seed": request.seed,
        "sampler": request.sampler,
        "pruner": request.pruner,
        "precision": None if request.precision == "auto" else request.precision,
    }
    changed = []
    for name in FROZEN:
        before, now = settings[name], asked[name]
        if now is None or now == before:
            continue
        if name == "space":
            names = sorted(n for n in {*before, *now} if before.get(n) != now.get(n))
            changed += [f"space of {n}: was {before.get(n, 'absent')}, asked for {now.get(n, 'absent')}" for n in names]
        else:
            changed.append(f"{name}: was {before}, asked for {now}")
    if changed:
        raise FrozenStudy(
            f"Study {request.study!r} was made with other settings; they are frozen. "
            + "; ".join(changed)
            + ". Leave the options out to continue it, or start another with --study NAME."
        )
