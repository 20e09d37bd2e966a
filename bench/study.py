"""`bench search`: settings that are frozen with the study, then the driver until the target is reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import bench
from bench import frozen, sessions
from bench.carried import pack
from bench.data.sealed import Sealed
from bench.engines import assembly
from bench.engines.company import Alone, Company, Joined
from bench.engines.plan import Plan
from bench.errors import InputError, Interrupted, NoTrialSucceeded, RecordError, did_you_mean
from bench.family import Family
from bench.files import own_folder
from bench.holding import still_alone
from bench.inquiry import measured_precision, sizes
from bench.leases import Leases
from bench.options import ENGINES, Resources
from bench.patience import Patience
from bench.records import WINNER, Event, Subscriber, Trial
from bench.store import Store
from bench.training import backend
from bench.training.budget import epoch_marks
from bench.workers.pool import Pool


@dataclass(frozen=True)
class Request:
    """What a search is asked for. `sampler`, `pruner`, `seed` and `precision` are None where the user left them out.

    `accept` names those of `bench.options.HARMLESS` that may differ from what the study was made with. `purpose` says
    what the study is for, see `bench.records`. `every_epoch`: judged after each epoch, not at rungs.
    `join`: other processes that say so too work on the study at the same time.
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
    join: bool = False
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Outcome:
    """A search as it stands: `reached` is False when a stop or the time limit came before the target.

    `exhausted`: it is reached with fewer trials, because the space holds no other configuration that the sampler tries.
    """

    study: str
    settings: Mapping[str, Any]
    trials: Sequence[Trial]
    seconds: float
    reached: bool
    exhausted: bool = False

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    @property
    def finished(self) -> int:
        return sum(trial.state != "running" for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest validation accuracy; the first of equals."""
        complete = [t for t in self.trials if t.state == "complete" and t.val_accuracy is not None]
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
    leases: Leases | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> Outcome:
    """Reach `request.target` finished trials; a study that is there continues.

    Args:
        pool: called only when there is something to train.
        wait_for_room: called when a disk is full; returns when a write is worth another try.
        leases: this process's part in the study where other machines can reach it.
        say: gets what a user should know before the first trial, and when the storage goes away, comes back, or a trial
            changes hands.

    Raises:
        FrozenStudy: the study exists with other settings.
        NoTrialSucceeded: the target is reached and no trial is complete.
    """
    settings = check_request(request, sealed, store)
    if settings is not None:
        before = outcome(store, request.study, request.target)
        if before.reached:
            _check_complete(before)
            # Versions matter only where something is left to train; a final's manifest names its own.
            accepted = {"source"} & {*request.accept}
            return replace(before, settings=accept(request.study, request.family, accepted, settings, store))
        # A study that is refused keeps the record of what it was made with.
        frozen.check(request.study, settings, _steers(request, settings), request.accept)
    started = pool()
    _rehearse(request.family, started, stop_asked)
    if settings is not None:
        settings = store.settings(request.study) or settings  # whoever joined it may have accepted something meanwhile
        frozen.check(request.study, settings, _steers(request, settings), request.accept)
        settings = accept(request.study, request.family, request.accept, settings, store)
    else:
        settings = _made(request, sealed, started, store, subscribers, leases, stop_asked)
    patience = Patience(say, stop_asked)
    writer = store.writer(request.study, request.family.space, wait_for_room, patience, request.join)
    stored = store.trials(request.study)
    hint = assembly.advice(request.engine, request.family, settings["sampler"], request.target, len(stored))
    if hint:
        say(hint)
    company: Company
    # The store hears first: what the others show has been written.
    hear: list[Subscriber] = [writer, *subscribers]
    if request.join:
        assert leases is not None
        show = partial(_tell, subscribers)
        company = Joined(store, request.study, leases, request.target, stored, patience, show, say)
        hear.insert(1, company)
    elif leases is not None and store.folder is None:
        check = partial(still_alone, request.study, leases)
        company = Alone(stored, partial(patience, check, "What was trained of the trials under way is not written."))
    else:
        company = Alone(stored)
    key = leases.owner if request.join and leases is not None else None
    with sessions.noted(store, request.study, len(started), key) as time_kept:
        states, spent = own_folder(store.home, "states", request.study, settings), store.seconds(request.study)
        hear.append(time_kept)
        done = _drive(request, sealed, stored, settings, started, hear, stop_asked, spent, company, states)
    after = outcome(store, request.study, request.target)
    # Done below the target: the space is finite, and all of it was tried.
    after = replace(after, reached=done, exhausted=done and not after.reached)
    if after.reached:
        _check_complete(after)
    return after


def check_request(request: Request, sealed: Sealed, store: Store) -> dict[str, Any] | None:
    """What is refused before anything is started.

    Returns:
        The settings of the study, None where there is none.

    Raises:
        FrozenStudy: the study exists with other settings.
        UsageError, MissingPackage: what the engine, the sampler or the pruner needs is not there.
    """
    settings = store.settings(request.study)
    if settings is None:
        # What the sampler needs and lacks shall not be learned after a study was frozen with it.
        offer = ENGINES[request.engine]
        sampler, pruner = offer.sampler(request.sampler), offer.pruner(request.sampler, request.pruner)
        assembly.check(request.engine, request.family, sampler, pruner, request.resources)
        return None
    _check_frozen(request, sealed, settings)
    _check_own(request.study, store)
    return settings


def _check_complete(found: Outcome) -> None:
    if found.best is None:
        reasons = sorted({f"{t.reason}: {t.detail}" for t in found.trials if t.state == "failed"})
        raise NoTrialSucceeded(
            f"None of the {found.finished} trials of {found.study!r} completed. " + "; ".join(reasons[:3])
        )


def _drive(
    request: Request,
    sealed: Sealed,
    stored: Sequence[Trial],
    settings: Mapping[str, Any],
    pool: Pool,
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool],
    spent: float,
    company: Company,
    states: Path,
) -> bool:
    """Whether there is nothing left to try; see `bench.engines.assembly.Driver`."""
    family = request.family
    longest = assembly.longest_epochs(family)
    plan = Plan(
        pack(family),
        settings["seed"],
        settings["precision"],
        sealed.n_train,
        request.target,
        request.seconds,
        request.trial_seconds,
        spent,
        longest,
        epoch_marks(sealed.n_train, longest) if request.every_epoch else None,
        frozen.code_of(family),
        states,
    )
    tell = partial(_tell, subscribers)
    resources = request.resources
    return assembly.driver(settings, family, plan, pool, tell, stop_asked, resources, company).run(stored)


def _tell(subscribers: Sequence[Subscriber], event: Event) -> None:
    for subscriber in subscribers:
        subscriber(event)


def _made(
    request: Request,
    sealed: Sealed,
    pool: Pool,
    store: Store,
    subscribers: Sequence[Subscriber],
    leases: Leases | None,
    stop_asked: Callable[[], bool],
) -> dict[str, Any]:
    """The settings of a study that was not there: made, or by then made by whoever joined at the same time."""
    while request.join and leases is not None and not leases.claim("making", at_once=True):
        if stop_asked():
            raise Interrupted("Stopped before anything was trained.")
        time.sleep(0.5)
    settings = store.settings(request.study) if request.join else None
    if settings is None:
        settings = _settings(request, sealed, pool, subscribers, stop_asked)
        store.create(request.study, settings)
    else:
        _check_frozen(request, sealed, settings)
        frozen.check(request.study, settings, _steers(request, settings))
    if request.join and leases is not None:
        leases.release("making")
    return settings


def _settings(
    request: Request,
    sealed: Sealed,
    pool: Pool,
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    precision = request.precision or "auto"
    return {
        "schema": 1,
        "id": uuid4().hex,
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
        "sampler": ENGINES[request.engine].sampler(request.sampler),
        "pruner": ENGINES[request.engine].pruner(request.sampler, request.pruner),
        "precision": measured_precision(pool, subscribers, stop_asked) if precision == "auto" else precision,
        "purpose": request.purpose,
        "backend": pool.framework,
        **_judged(request),
        **_code(request.family, request.engine),
    }


def _rehearse(family: Family, pool: Pool, stop_asked: Callable[[], bool]) -> None:
    """Have a worker build the reference: what cannot be built shall be said once, before a study is made of it."""
    if family.reference is not None:
        sizes(family, [dict(family.reference)], "float32", pool, stop_asked)


def _check_frozen(request: Request, sealed: Sealed, settings: Mapping[str, Any]) -> None:
    asked = {
        "family": request.family.name,
        "engine": request.engine,
        "data_checksum": sealed.checksum,
        "split_fingerprint": sealed.split_fingerprint,
        "build": frozen.build_of(request.family),
        "space": request.family.space.describe(),
        "seed": request.seed,
        "sampler": request.sampler,
        "pruner": request.pruner,
        "precision": None if request.precision == "auto" else request.precision,
        "purpose": request.purpose,
        "backend": backend.chosen(),
    }
    said = {"purpose": WINNER, **frozen.EARLIER, **settings}  # studies had none
    lost = [name for name in asked if name not in said]
    if lost:
        raise RecordError(
            f"Study {request.study!r} no longer says with what {lost[0]} it was made, so it cannot be continued. "
            "Restore the storage from a copy, or search anew with --study NAME."
        )
    frozen.check(request.study, said, asked)


def _check_own(study: str, store: Store) -> None:
    """Other Optuna clients may read a study; what they add has no seed, samples or phases to be compared by."""
    foreign = [trial.number for trial in store.trials(study) if trial.seed is None]
    if foreign:
        raise RecordError(
            f"Trial {foreign[0]} of {study!r} was put there by another program than bench, which therefore adds none. "
            "Search anew with --study NAME; `bench final` still takes the best of the trials that are there."
        )


def _judged(request: Request) -> dict[str, str]:
    """What rungs judge; values of one kind are no measure for those of the other."""
    return {"rungs": "last weights" if request.every_epoch else frozen.RUNGS}


def _steers(request: Request, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What further trials depend on besides what was asked for; on rungs only where somebody hears them."""
    # Without a pruner TPE hears the first rung until ten trials are over, and KerasTuner's Hyperband stops by itself.
    heard = settings["pruner"] != "none" or settings["sampler"] in ("tpe", "hyperband")
    return {**(_judged(request) if heard else {}), **_code(request.family, request.engine)}


def _code(family: Family, engine: str) -> dict[str, Any]:
    """What computes a trial: other code may give other values for the same configuration."""
    return {"versions": frozen.versions(engine), "source": frozen.code_of(family)}


def accept(study: str, family: Family, names: Iterable[str], settings: dict[str, Any], store: Store) -> dict[str, Any]:
    """Settings to go on with: what the user accepts becomes what it is now; what it was is kept beside it."""
    now = _code(family, settings["engine"])
    changed = {name: now[name] for name in names if settings.get(name) != now[name]}
    if not changed:
        return settings
    before = {**{name: settings.get(name) for name in changed}, "trials": len(store.trials(study))}
    settings = {**settings, **changed, "accepted": [*settings.get("accepted", []), before]}
    store.change(study, settings)
    return settings
