"""What a driver is told of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.carried import Carried


@dataclass(frozen=True)
class Plan:
    """What a driver needs to know of a study.

    Args:
        target: finished trials to reach, those of earlier processes counted.
        seconds: stop proposing and pause what runs after this long, or None.
        trial_seconds: a trial that runs longer has failed, or None.
        spent: seconds that earlier processes searched.
        code: `Family.code` of the family, or None where changes of its file are not looked for.
        longest: the most epochs that the space allows.
        marks: nominal samples at which every trial is judged by its last weights; None for the rungs of
            `bench.training.budget`, where it is judged by their mean.
        states: folder for the states of paused trials; None where no stopper pauses any.
    """

    family: Carried
    seed: int
    precision: str
    train_images: int
    target: int
    seconds: float | None = None
    trial_seconds: float | None = None
    spent: float = 0.0
    longest: float = 1.0
    marks: Sequence[int] | None = None
    code: str | None = None
    states: Path | None = None
