"""`bench search`: settings that are frozen with the study, then the driver until the target is reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import bench
from bench import frozen
from bench.carried import pack
from bench.data.sealed import Sealed
from bench.engines.interface import Proposer, Stopper
from bench.engines.local import LocalDriver, Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.errors import InputError, NoTrialSucceeded, did_you_mean
from bench.family import Family
from bench.records import WINNER, Event, Subscriber, Trial, WorkerChanged
from bench.space import Choice, Fixed, When
from bench.store import Store
from bench.training.budget import epoch_marks, rungs
from bench.workers.messages import Lost, Probe, Probed, Ready
from bench.workers.pool import Pool


@dataclass(frozen=True)
class Request:
    """What a search is asked for. `sampler`, `pruner`, `seed` and `precision` are None where the user left them out.

    `accept` names those of `frozen.HARMLESS` that may differ from what the study was made with. `purpose` says what the
    study is for, see `bench.records`. `every_epoch`: trials are judged after each epoch instead of at the rungs.
    """

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
    accept: tuple[str, ...] = ()
    purpose: str = WINNER
    every_epoch: bool = False


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
        near = did_you_mean(study, store.studies())
        raise InputError(f"No study named {study!r} here.{near} Known: {known}. Run `bench search` first.")
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
    wait_for_room: Callable[[], None] = lambda: None,
) -> Outcome:
    """Reach `request.target` finished trials; a study that is there continues.

    Args:
        pool: called only when there is something to train.
        wait_for_room: called when a disk is full; returns when a write is worth another try.

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
        settings = _check_versions(request, settings, store)
    else:
        settings = _settings(request, sealed, pool, subscribers)
        store.create(request.study, settings)
    started = pool()
    began, spent = time.monotonic(), store.seconds(request.study)
    # The store hears first: what the others show has been written.
    hear: list[Subscriber] = [store.writer(request.study, request.family.space, wait_for_room), *subscribers]
    try:
        _drive(request, sealed, store.trials(request.study), settings, started, hear, stop_asked, spent)
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
    stored: Sequence[Trial],
    settings: Mapping[str, Any],
    pool: Pool,
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool],
    spent: float,
) -> None:
    family = request.family
    longest = _longest(family)
    marks = epoch_marks(sealed.n_train, longest) if request.every_epoch else rungs(sealed.n_train, longest)
    reference = dict(family.reference) if family.reference else None
    proposer: Proposer = OptunaProposer(family.space, settings["sampler"], settings["seed"], reference)
    stopper: Stopper = OptunaStopper(
        settings["pruner"],
        first_rung=marks[0] if marks else sealed.n_train,
        last_rung=round(longest * sealed.n_train),
        spared=0 if reference else None,
    )

    def emit(event: Event) -> None:
        for subscriber in subscribers:
            subscriber(event)

    plan = Plan(
        pack(family),
        settings["seed"],
        settings["precision"],
        sealed.n_train,
        request.target,
        request.seconds,
        request.trial_seconds,
        spent,
        marks if request.every_epoch else None,
    )
    LocalDriver(plan, proposer, stopper, pool, emit, stop_asked).run(stored)


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
        "build": frozen.build_of(request.family),
        "engine": request.engine,
        "space": request.family.space.describe(),
        "seed": request.seed if request.seed is not None else 0,
        "sampler": request.sampler or "tpe",
        "pruner": request.pruner or "asha",
        "precision": measured_precision(pool(), subscribers) if precision == "auto" else precision,
        "purpose": request.purpose,
        "versions": frozen.versions(),
    }


def measured_precision(pool: Pool, subscribers: Sequence[Subscriber] = ()) -> str:
    """What `auto` chooses on this device."""
    return probe(pool, subscribers).precision


def probe(pool: Pool, subscribers: Sequence[Subscriber] = ()) -> Probed:
    """Let the first worker that is ready measure whether bfloat16 pays on its device."""

    def tell(worker: int, state: Literal["ready", "probing"]) -> None:
        for subscriber in subscribers:
            subscriber(WorkerChanged(worker, state, pool.device_of(worker)))

    asked: int | None = None
    while True:
        for worker, message in pool.poll(1.0):
            if isinstance(message, Probed):
                tell(worker, "ready")
                return message
            if isinstance(message, Lost) and worker == asked:
                asked = None
            if isinstance(message, Ready):
                tell(worker, "ready")
        if asked is None and pool.idle:
            asked = pool.idle[0]
            pool.send(asked, Probe())
            tell(asked, "probing")


def _check_frozen(request: Request, sealed: Sealed, settings: Mapping[str, Any]) -> None:
    asked = {
        "data_checksum": sealed.checksum,
        "split_fingerprint": sealed.split_fingerprint,
        "build": frozen.build_of(request.family),
        "space": request.family.space.describe(),
        "seed": request.seed,
        "sampler": request.sampler,
        "pruner": request.pruner,
        "precision": None if request.precision == "auto" else request.precision,
        "purpose": request.purpose,
    }
    frozen.check(request.study, {"purpose": WINNER, **settings}, asked)


def _check_versions(request: Request, settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Settings to go on with; versions matter only where something is left to train."""
    now = frozen.versions()
    if "versions" not in request.accept:
        frozen.check(request.study, settings, {"versions": now})
        return settings
    if settings.get("versions") == now:
        return settings
    accepted = [
        *settings.get("accepted", []),
        {"versions": settings.get("versions"), "trials": len(store.trials(request.study))},
    ]
    changed = {**settings, "versions": now, "accepted": accepted}
    store.change(request.study, changed)
    return changed
