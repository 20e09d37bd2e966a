"""The parts of a search, which know nothing of each other: a proposer, a stopper, and the driver that runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bench.records import Trial
from bench.space import Config, Fixed, Float, SearchSpace, When


def seed_of(study_seed: int, number: int, purpose: str) -> int:
    """A seed in [0, 2**31) for one purpose of one trial; the same everywhere and for ever."""
    digest = hashlib.sha256(f"{study_seed}/{number}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def perturbed(space: SearchSpace) -> list[str]:
    """The parameters that may change while a trial trains: the weights of one value go on with another."""
    found = []
    for name, declared in space.domains.items():
        changes = name in ("learning_rate", "momentum", "weight_decay") or "dropout" in name
        domain = declared
        if isinstance(declared, When):
            parent, domain = space.domains.get(declared.parent), declared.domain
            if isinstance(parent, Fixed) and parent.value not in declared.values:
                continue
        if changes and isinstance(domain, Float):
            found.append(name)
    return found


class Exhausted(Exception):
    """The proposer has nothing left to try: the space is finite and all of it was proposed."""


Verdict = Literal["go", "prune", "pause"]


@dataclass(frozen=True)
class Continue:
    """A paused trial that goes on."""

    number: int


class Proposer(Protocol):
    """Gives configurations and hears how they went."""

    def ask(self, number: int) -> Config | Continue | None:
        """A configuration for trial `number` (they come in order), or a paused trial that goes on in its place.

        None: wait until a running one is over.

        Raises:
            Exhausted: there is nothing left.
        """
        ...

    def state_with(self, number: int) -> Mapping[str, Any]:
        """What is to be stored with a trial that was asked for, and given back by `resume`; JSON's types alone."""
        ...

    def resume(self, trials: Sequence[Trial]) -> None:
        """Take in the trials of an earlier process, in order of number; running ones will be run again."""
        ...

    def tell(self, trial: Trial) -> None:
        """A trial is over: complete, pruned or failed; or, still 'running', it was paused at a rung."""
        ...


class Stopper(Protocol):
    """Hears values at rungs."""

    def marks(self, number: int) -> Sequence[int] | None:
        """Nominal samples at which it judges trial `number` from where that stands; None for the usual rungs."""
        ...

    def judge(self, number: int, samples: int, val_accuracy: float) -> Verdict:
        """How trial `number` goes on, judged after `samples` nominal samples."""
        ...

    def recall(self, number: int, samples: int, val_accuracy: float, went_on: bool) -> None:
        """A rung of a trial of an earlier process, or of another one, and whether the trial went on from there.

        Told again where a trial of another process, which ran still, turns out to have ended there.
        """
        ...

    def dropped(self) -> Sequence[int]:
        """Paused trials that will not go on, each named once."""
        ...

    def tell(self, trial: Trial) -> None:
        """A trial is over: complete, pruned or failed."""
        ...
