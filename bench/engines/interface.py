"""The parts of a search, which know nothing of each other: a proposer, a stopper, and the driver that runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

from bench.records import Trial
from bench.space import Config


def seed_of(study_seed: int, number: int, purpose: str) -> int:
    """A seed in [0, 2**31) for one purpose of one trial; the same everywhere and for ever."""
    digest = hashlib.sha256(f"{study_seed}/{number}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Exhausted(Exception):
    """The proposer has nothing left to try: the space is finite and all of it was proposed."""


class Proposer(Protocol):
    """Gives configurations and hears how they went."""

    def ask(self, number: int) -> Config | None:
        """A configuration for trial `number` (they come in order), or None for 'wait until a running one is over'.

        Raises:
            Exhausted: there is nothing left.
        """
        ...

    def resume(self, trials: Sequence[Trial]) -> None:
        """Take in the trials of an earlier process, in order of number; running ones will be run again."""
        ...

    def tell(self, trial: Trial) -> None:
        """A trial is over: complete, pruned or failed."""
        ...


class Stopper(Protocol):
    """Hears values at rungs."""

    def prune(self, number: int, samples: int, val_accuracy: float) -> bool:
        """True when trial `number`, judged after `samples` nominal samples, shall stop."""
        ...

    def tell(self, trial: Trial) -> None:
        """A trial is over: complete, pruned or failed."""
        ...
