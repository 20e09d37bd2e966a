"""What a study's settings ask for, put together: a proposer, a stopper, and the driver that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bench.engines.company import Company
from bench.engines.interface import Proposer, Stopper
from bench.engines.local import LocalDriver, Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.family import Family
from bench.records import Event, Trial
from bench.training.budget import rungs
from bench.workers.pool import Pool


class Driver(Protocol):
    def run(self, stored: Sequence[Trial]) -> bool:
        """Reach the target; False when a stop or the time limit came first. `stored`: the trials so far, in order."""
        ...


def check(engine: str, family: Family, sampler: str, pruner: str) -> None:
    """Refuse, before a study is frozen with it, what the engine cannot do or what is not installed.

    Raises:
        UsageError, MissingPackage, SpaceError: with what there is instead.
    """
    OptunaProposer(family.space, sampler, 0)


def driver(
    settings: Mapping[str, Any],
    family: Family,
    plan: Plan,
    pool: Pool,
    emit: Callable[[Event], None],
    stop_asked: Callable[[], bool],
    company: Company | None = None,
) -> Driver:
    """Args:
    settings: what the study froze; engine, sampler, pruner and seed are read here.
    company: who else works on the study.
    """
    marks = rungs(plan.train_images, plan.longest) if plan.marks is None else plan.marks
    reference = dict(family.reference) if family.reference else None
    proposer: Proposer = OptunaProposer(family.space, settings["sampler"], settings["seed"], reference)
    stopper: Stopper = OptunaStopper(
        settings["pruner"],
        first_rung=marks[0] if marks else plan.train_images,
        last_rung=round(plan.longest * plan.train_images),
        spared=0 if reference else None,
    )
    return LocalDriver(plan, proposer, stopper, pool, emit, stop_asked, company)
