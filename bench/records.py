"""What bench stores and says: frozen records, and the events that the store, the screen and the logs subscribe to.

Accuracies are fractions in [0, 1], times are seconds, samples are training images seen (repeats counted).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.space import Value

State = Literal["running", "complete", "pruned", "failed"]
Reason = Literal["diverged", "out of memory", "timed out", "hung", "crashed", "killed", "broke the seal", "error"]
Cells = tuple[tuple[int, int, int], ...]  # of a confusion matrix: (true label, predicted label, images), without zeros


@dataclass(frozen=True, slots=True)
class Phases:
    """Where one trial's seconds went. `wait` is time a worker stood still for an answer of the parent."""

    build: float = 0.0
    trace: float = 0.0
    train: float = 0.0
    eval: float = 0.0
    wait: float = 0.0

    @property
    def total(self) -> float:
        return self.build + self.trace + self.train + self.eval + self.wait

    def __add__(self, later: Phases) -> Phases:
        return Phases(**{name: value + getattr(later, name) for name, value in asdict(self).items()})


@dataclass(frozen=True, slots=True)
class Trial:
    """One configuration, trained once with one seed.

    `val_accuracy` is the accuracy at exactly `epochs` for a complete trial, that at its last rung for a pruned trial,
    None for a failed one. `curve` holds (nominal samples, validation accuracy) at every rung reached, that of its mean
    weights on the way there, and at its end if it is complete. `losses` holds (the same samples, mean training loss
    since those before). `elapsed` is the study's search time when the trial ended, earlier processes counted.
    `confusion` holds the non-zero cells (true label, predicted label, images) of the last evaluation on validation
    images, which at an early rung may be half of them; None for a failed trial and for a retraining, which has no
    evaluation. `sampler_state` is what some samplers remember with a trial, by Optuna's names, where it was read back.
    """

    number: int
    state: State
    params: Mapping[str, Value]
    val_accuracy: float | None = None
    samples: int = 0
    seconds: Phases = field(default_factory=Phases)
    worker: int | None = None
    reason: str | None = None
    detail: str | None = None
    curve: tuple[tuple[int, float], ...] = ()
    parameters: int | None = None
    seed: int | None = None
    attempts: int = 1
    elapsed: float | None = None
    confusion: Cells | None = None
    losses: tuple[tuple[int, float], ...] = ()
    sampler_state: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paused(self) -> bool:
        """It waits at a rung, its state saved: then alone does a running trial have samples, and no end.

        One whose process died between the record of its end and its state has both, and is run again.
        """
        return self.state == "running" and self.samples > 0 and self.elapsed is None

    @property
    def rungs(self) -> tuple[tuple[int, float], ...]:
        """The curve without a complete trial's end, which is no rung."""
        return self.curve[:-1] if self.state == "complete" else self.curve

    def went_on(self, samples: int) -> bool:
        """Whether it went on from the rung at `samples`; of one that runs, what is not known yet counts as yes."""
        return self.state != "pruned" or samples != self.rungs[-1][0]

    def to_json(self) -> dict[str, Any]:
        """What anybody but a sampler asks of it."""
        fields = asdict(self)
        del fields["sampler_state"]
        return fields


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """A worker has begun a trial. `samples_target` is what it sees if nothing stops it."""

    number: int
    params: Mapping[str, Value]
    worker: int
    samples_target: int
    attempts: int = 1
    seed: int = 0
    sampler_state: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reported:
    """A trial has reached a rung."""

    number: int
    worker: int
    samples: int
    val_accuracy: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial is over; `trial.state` is complete, pruned or failed."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class WorkerChanged:
    """A worker became ready, measures precision, or was lost; `detail` says on what, or why."""

    worker: int
    state: Literal["starting", "ready", "probing", "lost"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progressed:
    """A sign of life between rungs, at most two a second and worker. `loss` is the mean of the last graph call."""

    number: int
    worker: int
    samples: int
    loss: float


@dataclass(frozen=True, slots=True)
class Paused:
    """A clean stop left this trial unfinished; the same command runs it again, with the same parameters and seed."""

    number: int
    worker: int


@dataclass(frozen=True, slots=True)
class Shelved:
    """A trial was paused at a rung, its state saved, until it is continued or dropped. `trial` is what it is so far."""

    number: int
    worker: int
    trial: Trial


Event = Started | Reported | Progressed | Finished | Paused | Shelved | WorkerChanged
Subscriber = Callable[[Event], None]


# --- results ---------------------------------------------------------------------------------------------------------

# What a study and its finals are for. Only winners are ranked; comparisons are made within one purpose.
WINNER = "winner"  # a family's tuned best
NOTEBOOK = "notebook"  # a model at the notebook's settings, for `bench reproduce`
COMPARISON = "comparison"  # one search of many, for `bench compare-engines`; it never comes to a final


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that defines a final, written before the test set is opened. JSON keys are the field names."""

    id: str
    schema: int
    created: str  # ISO 8601, UTC
    study: str
    dataset: str
    data_id: str
    data_checksum: str  # SHA-256 of the sealed arrays, train and test
    split_fingerprint: str
    family: str
    engine: str
    trial: int  # the winner's number
    config: Mapping[str, Value]
    space_fingerprint: str
    precision: str
    seeds: tuple[int, ...]
    val_accuracy: float  # mean over the confirming seeds; the trial's own where there was nothing to confirm
    confirm: tuple[Mapping[str, Any], ...]  # one entry a candidate: trial, seeds, val_accuracies
    trials: int
    pruned: int
    failed: int
    search_seconds: float
    parameters: int
    versions: Mapping[str, str]
    device: str
    code_version: str
    warnings: tuple[str, ...] = ()
    model_sha256: tuple[str, ...] = ()  # of every seed's model file, in the order of `seeds`
    purpose: str = WINNER
    study_id: str | None = None  # as in the study's settings: its name may come again
    samples: int | None = None  # of all trials that were over
    device_seconds: float | None = None  # of their workers, see `bench.budgets`
    reference_run: Mapping[str, Any] | None = None  # the reference, tested in the same look; see `bench.references`
    hardware: Mapping[str, Any] | None = None  # that the final was made on, see `bench.hardware`

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Final:
    """A family's tested winner, as stored in result.json beside its manifest.

    `test_accuracy` is the mean over seeds; `ci95` comes from the crossed seeds x images model of `bench.statistics`,
    whose name stands in `method`; `errors` is the mean number of wrong test images a seed. `samples` and
    `device_seconds` are what the search used, None in a result of a version that did not note them. `reference` is
    what `bench.references.measured` gives, None where only the winner was tested. `findings` is what
    `bench.seeds.findings` noticed in the predictions.
    """

    schema: int
    id: str
    manifest_sha256: str
    predictions_sha256: str
    dataset: str
    data_checksum: str
    study: str
    family: str
    engine: str
    created: str
    test_accuracy: float
    ci95: tuple[float, float]
    method: str
    seeds: tuple[int, ...]
    seed_accuracies: tuple[float, ...]
    test_images: int
    errors: float
    val_accuracy: float
    trials: int
    pruned: int
    failed: int
    search_seconds: float
    final_seconds: float
    parameters: int
    warnings: tuple[str, ...] = ()
    purpose: str = WINNER
    study_id: str | None = None
    samples: int | None = None
    device_seconds: float | None = None
    reference: Mapping[str, Any] | None = None
    split_fingerprint: str | None = None
    findings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
