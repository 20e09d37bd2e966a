"""What every training loop offers, whatever framework is below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.errors import BenchError, FamilyError, did_you_mean
from bench.models import ends_in_softmax
from bench.records import Cells
from bench.space import Value

Images = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd", "nadam", "lion")


class Diverged(BenchError):
    """Loss or weights are no longer finite. Accuracy stays finite on NaN weights, so that it is not what is watched."""


class Stopped(BenchError):
    """The parent asked for the run to end."""


@dataclass(frozen=True)
class Recipe:
    """The parameters that the trainer, not `build`, owns; those a space leaves out take these values.

    The learning rate rises linearly over the first `warm_up` of the run (a share of it), stays, and falls linearly to
    zero over its last `cooldown`: the trapezoid of Zhai et al. 2022 and Hägele et al. 2024. Without either it is
    constant; `cooldown` 1 is linear decay. What comes before the cool-down does not depend on how long the run is, so
    that low rungs compare like with like.
    """

    epochs: float
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    warm_up: float = 0.0
    cooldown: float = 0.0

    @property
    def decay(self) -> dict[str, float]:
        """What an optimizer of Keras is told of weight decay: none where there is none; AdamW alone has one untold."""
        return {"weight_decay": self.weight_decay} if self.weight_decay or self.optimizer == "adamw" else {}

    @classmethod
    def of(cls, config: Mapping[str, Value]) -> Recipe:
        """Raises FamilyError naming every value that no trainer can use."""
        problems = []
        name = str(config.get("optimizer", OPTIMIZERS[0]))
        if name not in OPTIMIZERS:
            known = ", ".join(OPTIMIZERS)
            problems.append(f"optimizer must be one of {known}, not {name!r}.{did_you_mean(name, OPTIMIZERS)}")
        numbers = {"epochs": config.get("epochs"), "batch_size": config.get("batch_size", 128)}
        for name, number in numbers.items():
            if not isinstance(number, (int, float)) or isinstance(number, bool) or number <= 0:
                problems.append(f"{name} must be a positive number, not {number!r}; add it to the space")
        if problems:
            raise FamilyError("The configuration cannot be trained:", problems)
        return cls(**{name: config[name] for name in cls.__dataclass_fields__ if name in config})  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)  # told apart by identity: comparing arrays would be neither cheap nor a bool
class Data:
    """What a run may see: training images and labels, and validation ones (empty in a retraining).

    Args:
        x, val_x: uint8 in [0, 255] or float32 in [0, 1], shape (n, height, width, channels).
        y, val_y: int32 in [0, classes), shape (n,).
        classes: the number of classes.
    """

    x: Images
    y: Labels
    val_x: Images
    val_y: Labels
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self.x.shape
        return height, width, channels


class Trainer(Protocol):
    """One run: a model, its data and its recipe, advanced by samples.

    Attributes:
        total_samples: nominal samples at the end of the run, epochs x images.
        samples: images seen so far.
        build_seconds, trace_seconds, train_seconds, eval_seconds: where the time went.
        parameters: weights of the model, trainable or not.
        validation_images: how many there are to judge on.
        state_is_whole: whether a run that goes on from a saved state is certain to end as if it had never been left.
    """

    total_samples: int
    samples: int
    parameters: int
    validation_images: int
    build_seconds: float
    trace_seconds: float
    train_seconds: float
    eval_seconds: float

    @property
    def state_is_whole(self) -> bool: ...

    def advance(self, to_samples: int, on_progress: Callable[[int, float], None]) -> float:
        """Train until `to_samples` nominal samples were seen; returns the mean loss of the part just trained: that of
        the labels, without penalties on weights and activations, where the model leaves its step to the trainer.

        `on_progress(samples, loss)` is called at least every five seconds and may raise Stopped.

        Raises:
            Diverged: the loss is not finite.
        """
        ...

    def val_accuracy(self, images: int | None = None) -> float:
        """Fraction of the first `images` validation images (all when None) classified correctly, in [0, 1].

        Raises:
            Diverged: the logits are not finite.
        """
        ...

    def advance_to_rung(self, rung: int, on_progress: Callable[[int, float], None], images: int | None = None) -> float:
        """Train until `rung` nominal samples were seen; returns the accuracy there, as `val_accuracy` does.

        It is that of the mean of the weights over the last third of the stretch just trained: see
        `bench.training.averaging`. The run goes on from its own.

        Raises:
            Diverged: the loss or the logits are not finite.
        """
        ...

    def confusion(self) -> Cells | None:
        """(true label, predicted label, images) of the last judgement, zeros left out; None before the first."""
        ...

    def correct(self) -> npt.NDArray[np.bool_]:
        """Which images of the last judgement were classified correctly, shape (images,)."""
        ...

    def save(self, path: Path) -> None:
        """Write the model in Keras's own format, loadable by stock Keras."""
        ...

    def save_state(self, path: Path) -> None:
        """Write all that goes on from here needs (weights, optimizer, place in the run) as an .npz, atomically."""
        ...

    def load_state(self, path: Path) -> None:
        """Go on from a state that a trainer of the same model saved.

        The run then ends as if it had never been left. A recipe that differs applies from here on.

        Raises:
            RecordError: the file does not read back, or is of another model.
        """
        ...


def check_model(model: Any, image_shape: tuple[int, int, int], classes: int) -> None:
    """Refuse a model that does not take the images or does not give one logit a class; compiled, probabilities too.

    Raises:
        FamilyError: naming the shape wanted and the one seen.
    """
    import keras

    if not isinstance(model, keras.Model) or not (hasattr(model, "input_shape") and hasattr(model, "output_shape")):
        raise FamilyError(f"build must return a Keras model with its input and output shapes, not {model!r:.100}.")
    wanted_in, seen_in = (None, *image_shape), tuple(model.input_shape)
    wanted_out, seen_out = (None, classes), tuple(model.output_shape)
    problems = []
    if seen_in[1:] != wanted_in[1:]:
        problems.append(f"its input must have shape {wanted_in}, not {seen_in}; use the image_shape given to build")
    if seen_out[1:] != wanted_out[1:]:
        problems.append(f"its output must have shape {wanted_out}, not {seen_out}; end in Dense(classes)")
    if not model.compiled and ends_in_softmax(model):
        problems.append("it ends in softmax, and the loss takes logits; leave the activation out, or compile the model")
    if problems:
        raise FamilyError("The model that build returned does not fit:", problems)
