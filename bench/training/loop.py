"""What every loop shares, whatever framework is below Keras: the model, its optimizer, its place in the run."""

from __future__ import annotations

import math
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from bench.errors import FamilyError, RecordError
from bench.family import Family
from bench.files import write_atomic
from bench.records import Cells
from bench.space import Value
from bench.training.architecture import described
from bench.training.averaging import Average
from bench.training.budget import Batches, steps_for
from bench.training.interface import Data, Diverged, Recipe, check_model

CALL_SECONDS = 1.0  # aimed length of one call; none may exceed 5 s
AVERAGED = 3  # a rung is judged by the mean of the weights over the last third of the way there from the one before
SNAPSHOTS = 8  # of the weights on that stretch
EVAL_BATCH = 512  # activations of a 64-filter model at 26 x 26 stay below 50 MB
MULTIPLE = 16  # of images judged at once, which lets kernels take some positions side by side; see `normalization`

STEP = ("train_step", "compute_loss")  # what Keras's step asks a model for

Progress = Callable[[int, float], None]
Forward = Callable[[Any], npt.NDArray[np.float32]]  # images as they are stored, EVAL_BATCH at most, to float32 logits


def built(family: Family, config: Mapping[str, Value], data: Data, seed: int, precision: str) -> tuple[Any, Recipe]:
    """The family's model for this configuration and what the trainer owns of it.

    Args:
        precision: 'float32' or 'bfloat16' (Keras's mixed_bfloat16: float32 weights, bfloat16 arithmetic).

    Raises:
        FamilyError: the model does not fit the data.
    """
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed % 2**32)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    model = family.build(dict(config), data.image_shape, data.classes)
    check_model(model, data.image_shape, data.classes)
    # What a compiled model calls its optimizer or learning rate is its own affair.
    compiled = getattr(model, "compiled", False)
    owned = {name: value for name, value in config.items() if not compiled or name in ("epochs", "batch_size")}
    return model, Recipe.of(owned)


def steps_itself(model: Any) -> bool:
    """Whether a model brings a loss, an optimizer or a step of its own, and `FitTrainer` has to train it."""
    own = any(name in vars(model) or getattr(type(model), name) is not getattr(keras.Model, name) for name in STEP)
    return getattr(model, "compiled", False) or own


def count_parameters(
    family: Family, config: Mapping[str, Value], image_shape: tuple[int, int, int], classes: int
) -> int:
    """Weights of the model that the family builds of a configuration, trainable or not."""
    keras.backend.clear_session(free_memory=False)
    model = family.build(dict(config), image_shape, classes)
    check_model(model, image_shape, classes)
    return int(model.count_params())


def make_optimizer(recipe: Recipe) -> Any:
    """The Keras optimizer of a recipe; its learning rate is a variable that the loop sets at every step."""
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, nesterov=True, **recipe.decay)
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "nadam": keras.optimizers.Nadam,
        "lion": keras.optimizers.Lion,
    }
    return kinds[recipe.optimizer](recipe.learning_rate, **recipe.decay)


def rate_at(recipe: Recipe, progress: Any) -> Any:
    """Learning rate at `progress` in [0, 1) of the run, a number or a tensor; see Recipe."""
    rate: Any = recipe.learning_rate
    if recipe.warm_up > 0:
        rate *= keras.ops.minimum(1.0, progress / recipe.warm_up)
    if recipe.cooldown > 0:
        rate *= keras.ops.minimum(1.0, (1.0 - progress) / recipe.cooldown)
    return rate


def scale_of(images: Any) -> float:
    """What stored images are multiplied by to lie in [0, 1]."""
    return 1.0 / 255.0 if images.dtype == np.uint8 else 1.0


class Pace:
    """How many steps a call should have to last about a second, so that a stop is heard.

    Args:
        most: steps, whatever they take.
    """

    def __init__(self, most: int | None = None) -> None:
        self.traced = False
        self._most, self._steps = most, 1

    def next(self, left: int) -> int:
        """Steps of the next call, where `left` are left to take."""
        return min(self._steps, left, self._most or left)

    def took(self, steps: int, seconds: float) -> None:
        """Learn how long a call was; the first traces, and tells nothing of the next."""
        if self.traced:
            # Grow at most fourfold a call: the first timed calls are short and noisy.
            self._steps = max(1, min(4 * self._steps, int(steps * CALL_SECONDS / seconds)))
        else:
            self.traced, self._steps = True, 8


class Base(ABC):
    """A run as far as it does not matter how a step is computed.

    Args:
        forward: the model's logits.
        build_seconds: what building the model took.

    Attributes:
        at_once: how many images are judged at once.
    """

    at_once = EVAL_BATCH

    def __init__(
        self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float, forward: Forward
    ) -> None:
        began = time.perf_counter()
        self.model = model
        self.recipe = recipe
        self.samples = 0
        self.parameters = int(model.count_params())
        self.validation_images = len(data.val_x)
        self.total_samples = round(recipe.epochs * len(data.x))
        self.total_steps = steps_for(self.total_samples, recipe.batch_size)
        self.trace_seconds = self.train_seconds = self.eval_seconds = 0.0
        self._data = data
        self._step = 0
        self._predicted: np.ndarray | None = None  # labels of the last evaluation, shape (validation images judged on,)
        self._batches = Batches(len(data.x), recipe.batch_size, seed)
        self._optimizer: Any = None  # the model's own where it brings one
        self._built_rate = 0.0  # the learning rate that `build` gave that one, which population-based training changes
        self._forward = forward
        self.build_seconds = build_seconds + time.perf_counter() - began

    @property
    def state_is_whole(self) -> bool:
        """See Trainer. A `train_step` of the family's own may keep what is in no variable."""
        return False

    @abstractmethod
    def advance(self, to_samples: int, on_progress: Progress) -> float:
        """See Trainer."""

    def passed(self, step: int, seconds: float, traced: bool) -> None:
        """Note that the run has come to this step by a call of so many seconds; the first one of a program traces."""
        self._step, self.samples = step, step * self.recipe.batch_size
        if traced:
            self.train_seconds += seconds
        else:
            self.trace_seconds += seconds

    def logits(self, x: Any) -> np.ndarray:
        """Float32 logits, shape (n, classes), of images as they are stored."""
        size = math.ceil(len(x) / math.ceil(len(x) / self.at_once))
        size = min(-(-size // MULTIPLE) * MULTIPLE, self.at_once, len(x))
        # The last ones overlap those before, so that all have one shape, for which a framework compiles once.
        starts = [min(i, len(x) - size) for i in range(0, len(x), size)]
        parts = [self._forward(x[i : i + size]) for i in starts]
        return np.concatenate([*parts[:-1], parts[-1][len(parts) * size - len(x) :]])

    def val_accuracy(self, images: int | None = None) -> float:
        began = time.perf_counter()
        logits = self.logits(self._data.val_x[:images])
        self.eval_seconds += time.perf_counter() - began
        if not np.isfinite(logits).all():
            raise Diverged("The logits are not finite; lower the learning rate.")
        self._predicted = logits.argmax(axis=1)
        return float(np.mean(self._predicted == self._data.val_y[:images]))

    def advance_to_rung(self, rung: int, on_progress: Progress, images: int | None = None) -> float:
        begin = rung - (rung - self.samples) // AVERAGED
        weights = Average(self.model)
        for k in range(1, SNAPSHOTS + 1):
            self.advance(begin + (rung - begin) * k // SNAPSHOTS, on_progress)
            weights.add()
        with weights:
            return self.val_accuracy(images)

    def confusion(self) -> Cells | None:
        if self._predicted is None:
            return None
        true = self._data.val_y[: len(self._predicted)].astype(np.int64)
        cells, images = np.unique(true * self._data.classes + self._predicted, return_counts=True)
        return tuple((*divmod(int(cell), self._data.classes), int(n)) for cell, n in zip(cells, images, strict=True))

    def correct(self) -> npt.NDArray[np.bool_]:
        assert self._predicted is not None, "nothing was judged yet"
        right: npt.NDArray[np.bool_] = self._predicted == self._data.val_y[: len(self._predicted)]
        return right

    def save(self, path: Path) -> None:
        self.model.save(path)

    def _variables(self) -> list[Any]:
        """All that training changes: weights, statistics, seed generators, and the optimizer's own."""
        optimizer = self.model.optimizer if self._optimizer is None else self._optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        measured = {id(variable) for variable in self.model.metrics_variables}
        return [*(v for v in self.model.variables if id(v) not in measured), *optimizer.variables]

    def save_state(self, path: Path) -> None:
        values = map(keras.ops.convert_to_numpy, self._variables())
        # NumPy's files know no bfloat16, of which float32 holds every value.
        arrays = {f"{i}": v.astype(np.float32) if v.dtype.kind == "V" else v for i, v in enumerate(values)}
        place: dict[str, Any] = {"step": self._step, "rate": self._built_rate}
        write_atomic(path, lambda file: np.savez(file, allow_pickle=False, **place, **arrays))

    def load_state(self, path: Path) -> None:
        variables = self._variables()
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                values = [stored[name] for name in map(str, range(len(stored.files))) if name in stored.files]
                step, rate = int(stored["step"]), float(stored.get("rate", self._built_rate))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RecordError(f"The state of a trial, {path}, does not read back: {error}.") from error
        if [tuple(value.shape) for value in variables] != [value.shape for value in values]:
            raise RecordError(f"The state of a trial, {path}, is of another model.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        if rate != self._built_rate:
            self.model.optimizer.learning_rate = self._built_rate
        self._batches.take(step)
        self._step, self.samples = step, step * self.recipe.batch_size


class CompiledTrainer(Base):
    """Many steps a call, for models that bring no loss, optimizer or step of their own; see `steps_itself`.

    The first call is one step long and is counted as tracing; later ones are as long as `Pace` says.
    """

    def __init__(
        self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float, forward: Forward
    ) -> None:
        super().__init__(model, data, recipe, seed, build_seconds, forward)
        if any(layer.compute_dtype == "float16" for layer in model._flatten_layers()):
            raise FamilyError(
                "The model computes in float16, whose gradients vanish where its loss is not scaled: compile it, so "
                "that Keras scales it, or leave the type to --precision bfloat16."
            )
        began = time.perf_counter()
        self._optimizer = make_optimizer(recipe)
        self._optimizer.build(model.trainable_variables)
        self._pace = Pace()
        self.build_seconds += time.perf_counter() - began

    @property
    def state_is_whole(self) -> bool:
        """Layers of a family's own may draw random numbers, or count, outside of variables."""
        return described(self.model) is not None

    @abstractmethod
    def _train(self, order: npt.NDArray[np.int32], first: int) -> float:
        """Take one step a row of `order`, the first of them being step `first` of the run; returns the losses' sum."""

    def advance(self, to_samples: int, on_progress: Progress) -> float:
        target = min(steps_for(to_samples, self.recipe.batch_size), self.total_steps)
        losses, from_step = 0.0, self._step
        while self._step < target:
            steps = self._pace.next(target - self._step)
            began = time.perf_counter()
            loss = self._train(self._batches.take(steps), self._step)
            seconds = time.perf_counter() - began
            self.passed(self._step + steps, seconds, self._pace.traced)
            self._pace.took(steps, seconds)
            losses += loss
            if not math.isfinite(loss):
                raise Diverged(f"Loss or weights became {loss} by step {self._step}; lower the learning rate.")
            on_progress(self.samples, loss / steps)
        return losses / max(1, self._step - from_step)
