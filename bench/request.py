"""What is asked of a search: the settings that its study freezes, and what is refused once it has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import bench
from bench import frozen
from bench.data.sealed import Sealed
from bench.engines import assembly
from bench.errors import RecordError
from bench.family import Family
from bench.inquiry import measured_precision
from bench.options import ENGINES, Resources
from bench.records import WINNER, Subscriber
from bench.store import Store
from bench.training import backend
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


def settings_of(
    request: Request,
    sealed: Sealed,
    pool: Pool,
    subscribers: Sequence[Subscriber],
    stop_asked: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """What a study that is made now freezes; a worker measures which precision pays, where that is left open."""
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


def checked(request: Request, sealed: Sealed, store: Store) -> dict[str, Any] | None:
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
    check_frozen(request, sealed, settings)
    _check_own(request.study, store)
    return settings


def check_frozen(request: Request, sealed: Sealed, settings: Mapping[str, Any]) -> None:
    """Raise FrozenStudy, or RecordError, where a study was made with other settings than are asked for."""
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


def steers(request: Request, settings: Mapping[str, Any]) -> dict[str, Any]:
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
