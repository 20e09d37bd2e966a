"""What a trial of population-based training took over from better ones, and how its record says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.engines.interface import perturbed
from bench.space import SearchSpace
from bench.workers.messages import Done

COPIED = "copied"  # in a trial's configuration for Tune: the numbers of the trials whose states it went on from


class Lineage:
    """The runs of one trial: each begins from its own state or, with parameters a little changed, from another trial's.

    A trial's record counts the samples that were trained for it, wherever they led. Its curve holds the value that it
    reported last at each rung, its parameters are those that it ended with, and its detail says what it took over.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._names = perturbed(space)
        self._trained = 0
        self._copied: Sequence[int] = ()
        self._said: list[str] = []

    def go_on(self, config: Mapping[str, Any], at: int, ended: Done | None) -> None:
        """A run begins.

        Args:
            config: what Tune gives the actor.
            at: nominal samples of the state that it begins from.
            ended: what the run before came to.
        """
        self._trained += ended.samples - ended.since if ended is not None else 0
        copied = config.get(COPIED, ())
        if len(copied) > len(self._copied):
            params = config["params"]
            now = ", ".join(f"{name} {params[name]:.4g}" for name in self._names if name in params)
            self._said.append(f"went on from the state of trial {copied[-1]} after {at:,} samples with {now}")
        self._copied = copied

    def told(self, done: Done) -> Done:
        """The end of a run as the record has it; a run whose state was lost took nothing over."""
        if not self._said or not done.since:
            return done
        said = [*self._said, *([done.detail] if done.detail else [])]
        return replace(done, samples=self._trained + done.samples - done.since, detail="; ".join(said))
