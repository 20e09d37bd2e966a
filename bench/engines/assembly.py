"""What a study's settings ask for, put together: a proposer, a stopper, and the driver that runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from bench.engines import hyperband, kerastuner
from bench.engines.company import Company
from bench.engines.hyperband import Hyperband
from bench.engines.interface import Proposer, Stopper, perturbed
from bench.engines.local import LocalDriver
from bench.engines.onepass import OnePass
from bench.engines.oracle import OracleProposer
from bench.engines.plan import Plan
from bench.engines.proposer import ENOUGH, STARTUP, OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.engines.unseen import unseen
from bench.errors import UsageError
from bench.family import Family
from bench.options import Resources, check_pruner
from bench.records import Event, Trial
from bench.space import Choice, Fixed, When
from bench.training.budget import rungs
from bench.workers.pool import Pool


class Driver(Protocol):
    def run(self, stored: Sequence[Trial]) -> bool:
        """Reach the target; False when a stop or the time limit came first. `stored`: the trials so far, in order."""
        ...


def check(engine: str, family: Family, sampler: str, pruner: str, resources: Resources | None = None) -> None:
    """Refuse, before a study is frozen with it, what the engine cannot do or what is not installed.

    Raises:
        UsageError, MissingPackage, SpaceError: with what there is instead.
    """
    check_pruner(engine, sampler, pruner)
    if engine == "keras-tuner":
        kerastuner.check()
        if sampler == "hyperband":
            hyperband.check_epochs(family.space, longest_epochs(family))
    else:
        OptunaProposer(family.space, sampler, 0)
    if pruner == "pbt" and not perturbed(family.space):
        raise UsageError(
            "--pruner pbt changes learning_rate, momentum, weight_decay or dropout while a trial runs, and the space "
            f"of {family.name!r} searches none of them; give it one, or use --pruner asha."
        )
    if resources is not None and resources.ray_address is not None:
        from bench.engines import cluster

        with cluster.connected(resources, ()):
            pass


# What these samplers do not learn: no choices, and nothing that is there in some trials only.
BLIND: dict[str, tuple[type, ...]] = {"cmaes": (Choice, When), "gp": (When,)}


def advice(engine: str, family: Family, sampler: str, target: int, stored: int) -> str | None:
    """What a user should know of the sampler before the first trial; None where there is nothing.

    Args:
        stored: trials that there are already.
    """
    if sampler in BLIND:
        said, domains = [], family.space.domains.items()
        drawn = [name for name, domain in domains if isinstance(domain, BLIND[sampler])]
        if drawn:  # Optuna would say so of each of them, trial by trial
            said.append(f"Sampler {sampler} does not learn {', '.join(drawn)}, which are drawn at random.")
        if sampler == "cmaes" and stored:
            said.append(
                f"It learns in memory alone: it begins anew, and makes nothing of the {stored} trials there are."
            )
        return " ".join(said) or None
    if engine == "keras-tuner" and sampler == "hyperband":
        return hyperband.advice(longest_epochs(family), target, family.reference is not None)
    return None


def longest_epochs(family: Family) -> float:
    """The most epochs that the space allows."""
    declared = family.space.domains.get("epochs")
    domain = declared.domain if isinstance(declared, When) else declared
    if isinstance(domain, Fixed):
        return float(domain.value)
    if isinstance(domain, Choice):
        return max(float(option) for option in domain.options)
    return float(domain.high) if domain is not None else 1.0


def driver(
    settings: Mapping[str, Any],
    family: Family,
    plan: Plan,
    pool: Pool,
    emit: Callable[[Event], None],
    stop_asked: Callable[[], bool],
    resources: Resources,
    company: Company | None = None,
) -> Driver:
    """Args:
    settings: what the study froze; engine, sampler, pruner and seed are read here.
    resources: what of a machine or a cluster to take, for the engines that do not run on `pool`.
    company: who else works on the study.
    """
    marks = rungs(plan.train_images, plan.longest) if plan.marks is None else plan.marks
    reference = dict(family.reference) if family.reference else None
    spared = 0 if reference else None
    proposer: Proposer
    if settings["sampler"] == "hyperband":
        both = Hyperband(family.space, settings["seed"], plan.longest, plan.train_images, plan.target, reference)
        return LocalDriver(plan, both, both, pool, emit, stop_asked, company)
    if settings["engine"] == "keras-tuner":
        proposer = OracleProposer(family.space, settings["sampler"], settings["seed"], reference)
    else:
        startup = STARTUP if marks and settings["pruner"] in ("asha", "hyperband") else ENOUGH
        hidden = partial(unseen, family.space, train_images=plan.train_images)
        proposer = OptunaProposer(family.space, settings["sampler"], settings["seed"], reference, startup, hidden)
    if settings["engine"] == "ray":
        from bench.engines.ray_driver import RayDriver

        return RayDriver(
            plan, proposer, settings["pruner"], family.space, pool, emit, stop_asked, resources, spared, company
        )
    stopper: Stopper
    if settings["pruner"] == "one-pass":
        stopper = OnePass(plan.train_images, spared)
    else:
        first, last = (marks[0], marks[-1]) if marks else (plan.train_images, plan.train_images)
        stopper = OptunaStopper(settings["pruner"], first, last, spared)
    return LocalDriver(plan, proposer, stopper, pool, emit, stop_asked, company)
