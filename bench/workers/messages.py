"""What the parent and a worker say to each other over their pipe. Both ends are this package, so pickle is safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.carried import Carried
from bench.records import Cells, Phases, Reason
from bench.space import Value


@dataclass(frozen=True)
class Setup:
    """Sent once, before anything heavy is imported.

    Attributes:
        folder: the sealed data set's folder.
        forbidden: files and folders that this process may never open.
        gpu: the device's index, or None for the processor.
    """

    folder: Path
    forbidden: tuple[Path, ...]
    threads: int
    gpu: str | None


@dataclass(frozen=True)
class Job:
    """One run: a configuration, a seed, and where it is judged.

    Attributes:
        number: the trial's number, or an index within a confirmation or a retraining.
        rungs: nominal samples at which to report and wait for a decision, ascending, below the run's end.
        retrain: train on train + validation, without any evaluation.
        save_to: where the model goes at the end, or with `looks` the answers; or None.
        code: `Family.code` as the parent knows it; None does not check.
        tell_so_far: at each rung say what a record needs if the run ends there, for a parent that ends it unasked.
        state: where a pause saves the run, or None where none is asked for.
        pause_at: of a retraining, nominal samples at which it may be paused; 0 for not at all.
        resume: go on from `state`; from the start where that is lost.
        beside: other retrainings of the same configuration's architecture that go with this one in one program. JAX.
        looks: nominal samples, ascending, at which to judge and go on unasked; which validation images were right at
            each is saved as bool, shape (looks, validation images).
        mean_weights: judge the mean of the weights on the way to a rung, see `Trainer.advance_to_rung`; else the last.
    """

    number: int
    family: Carried
    config: Mapping[str, Value]
    seed: int
    precision: str
    rungs: tuple[int, ...] = ()
    retrain: bool = False
    save_to: Path | None = None
    code: str | None = None
    tell_so_far: bool = False
    state: Path | None = None
    resume: bool = False
    pause_at: int = 0
    beside: tuple[Job, ...] = ()
    looks: tuple[int, ...] = ()
    mean_weights: bool = True


@dataclass(frozen=True)
class Probe:
    """Ask a worker to measure whether bfloat16 pays on its device."""


@dataclass(frozen=True)
class Size:
    """Ask a worker how many parameters the models of these configurations have; nothing is trained."""

    family: Carried
    configs: tuple[Mapping[str, Value], ...]
    precision: str


@dataclass(frozen=True)
class Sized:
    """Parameters, in the order asked; or the first problem, in the family's own words."""

    parameters: tuple[int, ...]
    problem: str | None = None


@dataclass(frozen=True)
class Decide:
    """The answer to `AtRung` (go, prune or pause), or at any time 'stop' with the reason that the record gets."""

    number: int
    verdict: Literal["go", "prune", "pause", "stop"]
    reason: Reason | None = None


@dataclass(frozen=True)
class Save:
    """Ask a run that waits at a rung to write all that it needs to go on from there; it then waits on."""

    number: int
    path: Path


@dataclass(frozen=True)
class Saved:
    number: int


@dataclass(frozen=True)
class Ready:
    """The worker has imported its framework and mapped the data."""

    device: str
    seconds: float
    rss: int  # bytes


@dataclass(frozen=True)
class Probed:
    """Milliseconds of one training-like step in each dtype."""

    float32_ms: float
    bfloat16_ms: float

    @property
    def precision(self) -> str:
        """bfloat16 has to save a tenth to be worth 16 bits of mantissa."""
        return "bfloat16" if self.bfloat16_ms < 0.9 * self.float32_ms else "float32"


@dataclass(frozen=True)
class Progress:
    number: int
    samples: int
    loss: float


@dataclass(frozen=True)
class Done:
    """A run is over, or paused and saved. Stopped with a `detail`: nothing can go on.

    `since` is where it began: samples of the state that it went on from, 0 from the start. `beside`: how the runs ended
    that went with it, in the job's order.
    """

    number: int
    verdict: Literal["complete", "pruned", "paused", "stopped", "failed"]
    val_accuracy: float | None
    samples: int
    seconds: Phases
    parameters: int | None
    rss: int  # bytes
    reason: Reason | None = None
    detail: str | None = None
    losses: tuple[tuple[int, float], ...] = ()
    confusion: Cells | None = None
    since: int = 0
    beside: tuple[Done, ...] = ()


@dataclass(frozen=True)
class AtRung:
    """A run waits for a decision. `so_far`: its end, if this is where it is pruned; None unless the job asks for it."""

    number: int
    samples: int  # nominal
    val_accuracy: float
    so_far: Done | None = None


@dataclass(frozen=True)
class Lost:
    """Made by the parent when a worker's pipe closes: its process has ended. `reason` is what the record gets."""

    reason: Reason
    detail: str


ToWorker = Setup | Job | Probe | Size | Decide | Save
FromWorker = Ready | Probed | Sized | Progress | AtRung | Saved | Done | Lost
