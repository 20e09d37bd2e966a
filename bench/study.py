"""`bench search`: settings that are frozen with the study, then the driver until the target is reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import frozen, sessions
from bench.carried import pack
from bench.data.sealed import Sealed
from bench.engines import assembly
from bench.engines.company import Alone, Company, Joined
from bench.engines.plan import Plan
from bench.errors import InputError, Interrupted, NoTrialSucceeded, did_you_mean
from bench.family import Family
from bench.files import own_folder
from bench.holding import still_alone
from bench.inquiry import sizes
from bench.leases import Leases
from bench.patience import Patience
from bench.records import WINNER, Event, Subscriber, Trial
from bench.request import Request, accept, check_frozen, checked, settings_of, steers
from bench.store import Store
from bench.training.budget import epoch_marks
from bench.workers.pool import Pool


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
    settings = checked(request, sealed, store)
    if settings is not None:
        before = outcome(store, request.study, request.target)
        if before.reached:
            if request.purpose == WINNER:  # others say themselves what nothing is worth
                _check_complete(before)
            # Versions matter only where something is left to train; a final's manifest names its own.
            accepted = {"source"} & {*request.accept}
            return replace(before, settings=accept(request.study, request.family, accepted, settings, store))
        # A study that is refused keeps the record of what it was made with.
        frozen.check(request.study, settings, steers(request, settings), request.accept)
    started = pool()
    _rehearse(request.family, started, stop_asked)
    if settings is not None:
        settings = store.settings(request.study) or settings  # whoever joined it may have accepted something meanwhile
        frozen.check(request.study, settings, steers(request, settings), request.accept)
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
        settings = settings_of(request, sealed, pool, subscribers, stop_asked)
        store.create(request.study, settings)
    else:
        check_frozen(request, sealed, settings)
        frozen.check(request.study, settings, steers(request, settings))
    if request.join and leases is not None:
        leases.release("making")
    return settings


def _rehearse(family: Family, pool: Pool, stop_asked: Callable[[], bool]) -> None:
    """Have a worker build the reference: what cannot be built shall be said once, before a study is made of it."""
    if family.reference is not None:
        sizes(family, [dict(family.reference)], "float32", pool, stop_asked)
