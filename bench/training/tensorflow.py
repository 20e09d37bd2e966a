"""The TensorFlow loop: many steps in one graph call, batches gathered in-graph from data held as tensors.

The learning rate is computed in-graph, so that one trace serves a whole run. The first call is one step long and is
counted as tracing; later ones are as long as fits in about a second, so that a stop is heard.
"""

from __future__ import annotations

import functools
import math
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.errors import RecordError
from bench.family import Family
from bench.files import write_atomic
from bench.records import Cells
from bench.space import Value
from bench.training.budget import Batches, steps_for
from bench.training.interface import Data, Diverged, Recipe, check_model

CALL_SECONDS = 1.0  # aimed length of one graph call; none may exceed 5 s
EVAL_BATCH = 500  # activations of a 64-filter model at 26 x 26 stay below 50 MB

Progress = Callable[[int, float], None]


def make_trainer(
    family: Family, config: Mapping[str, Value], data: Data, seed: int, precision: str
) -> TensorFlowTrainer | FitTrainer:
    """Build the family's model for this configuration and wrap it in the loop that suits it.

    Args:
        precision: 'float32' or 'bfloat16' (Keras's mixed_bfloat16: float32 weights, bfloat16 arithmetic).

    Raises:
        FamilyError: the model does not fit the data.
    """
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed % 2**32)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    began = time.perf_counter()
    model = family.build(dict(config), data.image_shape, data.classes)
    check_model(model, data.image_shape, data.classes)
    own_step = type(model).train_step is not keras.Model.train_step
    compiled = getattr(model, "compiled", False)
    loop = FitTrainer if own_step or compiled else TensorFlowTrainer
    # What a compiled model calls its optimizer or learning rate is its own affair.
    owned = {name: value for name, value in config.items() if not compiled or name in ("epochs", "batch_size")}
    return loop(model, data, Recipe.of(owned), seed, time.perf_counter() - began)


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
    decay = {"weight_decay": recipe.weight_decay} if recipe.weight_decay else {}
    if recipe.optimizer == "sgd":
        return keras.optimizers.SGD(recipe.learning_rate, momentum=recipe.momentum, nesterov=True, **decay)
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "nadam": keras.optimizers.Nadam,
        "lion": keras.optimizers.Lion,
    }
    return kinds[recipe.optimizer](recipe.learning_rate, **decay)


def _rate(recipe: Recipe, progress: Any) -> Any:
    """Learning rate at `progress` in [0, 1) of the run; see Recipe."""
    rate = tf.constant(recipe.learning_rate)
    if recipe.warm_up > 0:
        rate *= tf.minimum(1.0, progress / recipe.warm_up)
    if recipe.cooldown > 0:
        rate *= tf.minimum(1.0, (1.0 - progress) / recipe.cooldown)
    return rate


@functools.lru_cache(maxsize=1)
def _tensors(data: Data) -> tuple[Any, Any]:
    """The training set as tensors, the same for every run: TensorFlow never frees what a traced graph has captured."""
    return tf.constant(data.x), tf.constant(data.y)


class _Base:
    def __init__(self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float) -> None:
        began = time.perf_counter()
        self.model = model
        self.recipe = recipe
        self.samples = 0
        self.parameters = int(model.count_params())
        self.total_samples = round(recipe.epochs * len(data.x))
        self.total_steps = steps_for(self.total_samples, recipe.batch_size)
        self.trace_seconds = self.train_seconds = self.eval_seconds = 0.0
        self._data = data
        self._scale = 1.0 / 255.0 if data.x.dtype == np.uint8 else 1.0
        self._dtype = tf.as_dtype(model.compute_dtype)
        self._step = 0
        self._traced = False
        self._predicted: np.ndarray | None = None  # labels of the last evaluation, shape (validation images judged on,)
        self._batches = Batches(len(data.x), recipe.batch_size, seed)
        self._optimizer: Any = None  # the model's own where it brings one
        self._logits = tf.function(
            lambda x: tf.cast(model(self._scaled(x), training=False), tf.float32),
            input_signature=[tf.TensorSpec((None, *data.image_shape), tf.as_dtype(data.x.dtype))],
            autograph=False,
        )
        self.build_seconds = build_seconds + time.perf_counter() - began

    def _scaled(self, x: Any) -> Any:
        # Scaled in float32, then rounded once: what a stock Keras model does with float32 input.
        return tf.cast(tf.cast(x, tf.float32) * self._scale, self._dtype)

    def logits(self, x: Any) -> np.ndarray:
        """Float32 logits, shape (n, classes), of images as they are stored."""
        return np.concatenate([self._logits(tf.constant(x[i : i + EVAL_BATCH])) for i in range(0, len(x), EVAL_BATCH)])

    def val_accuracy(self, images: int | None = None) -> float:
        began = time.perf_counter()
        logits = self.logits(self._data.val_x[:images])
        self.eval_seconds += time.perf_counter() - began
        if not np.isfinite(logits).all():
            raise Diverged("The logits are not finite; lower the learning rate.")
        self._predicted = logits.argmax(axis=1)
        return float(np.mean(self._predicted == self._data.val_y[:images]))

    def confusion(self) -> Cells | None:
        if self._predicted is None:
            return None
        true = self._data.val_y[: len(self._predicted)].astype(np.int64)
        cells, images = np.unique(true * self._data.classes + self._predicted, return_counts=True)
        return tuple((*divmod(int(cell), self._data.classes), int(n)) for cell, n in zip(cells, images, strict=True))

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
        arrays = {f"{i}": keras.ops.convert_to_numpy(value) for i, value in enumerate(self._variables())}
        write_atomic(path, lambda file: np.savez(file, allow_pickle=False, step=self._step, **arrays))

    def load_state(self, path: Path) -> None:
        variables = self._variables()
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                values, step = [stored[f"{i}"] for i in range(len(stored.files) - 1)], int(stored["step"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise RecordError(f"The state of a trial, {path}, does not read back: {error}.") from error
        if [tuple(value.shape) for value in variables] != [value.shape for value in values]:
            raise RecordError(f"The state of a trial, {path}, is of another model.")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self._batches.take(step)
        self._step, self.samples = step, step * self.recipe.batch_size


class TensorFlowTrainer(_Base):
    """The compiled loop for models that bring no loss, optimizer or `train_step` of their own."""

    def __init__(self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float) -> None:
        super().__init__(model, data, recipe, seed, build_seconds)
        began = time.perf_counter()
        self._x, self._y = _tensors(data)
        self._optimizer = make_optimizer(recipe)
        self._optimizer.build(model.trainable_variables)
        self._train = tf.function(
            self._train_steps,
            input_signature=[tf.TensorSpec((None, recipe.batch_size), tf.int32), tf.TensorSpec((), tf.int32)],
            autograph=False,
        )
        self._steps_a_call = 1
        self.build_seconds += time.perf_counter() - began

    def _train_steps(self, order: Any, first: Any) -> Any:
        variables = self.model.trainable_variables

        def body(k: Any, total: Any) -> tuple[Any, Any]:
            progress = tf.cast(first + k, tf.float32) / float(self.total_steps)
            self._optimizer.learning_rate.assign(_rate(self.recipe, progress))
            x = self._scaled(tf.gather(self._x, order[k]))
            y = tf.gather(self._y, order[k])
            with tf.GradientTape() as tape:
                logits = tf.cast(self.model(x, training=True), tf.float32)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
                objective = tf.add_n([loss, *self.model.losses]) if self.model.losses else loss
            self._optimizer.apply(tape.gradient(objective, variables), variables)
            return k + 1, total + loss

        steps = tf.shape(order)[0]
        _, total = tf.while_loop(
            lambda k, _: k < steps, body, (tf.constant(0), tf.constant(0.0)), parallel_iterations=1
        )
        return total

    def advance(self, to_samples: int, on_progress: Progress) -> float:
        target = min(steps_for(to_samples, self.recipe.batch_size), self.total_steps)
        losses, from_step = 0.0, self._step
        while self._step < target:
            steps = min(self._steps_a_call, target - self._step)
            began = time.perf_counter()
            loss = float(self._train(self._batches.take(steps), self._step))
            seconds = time.perf_counter() - began
            if not self._traced:
                self._traced = True
                self.trace_seconds += seconds
                self._steps_a_call = 8
            else:
                self.train_seconds += seconds
                # Grow at most fourfold a call: the first timed calls are short and noisy.
                self._steps_a_call = max(1, min(4 * self._steps_a_call, int(steps * CALL_SECONDS / seconds)))
            self._step += steps
            self.samples = self._step * self.recipe.batch_size
            losses += loss
            if not math.isfinite(loss):
                raise Diverged(f"The loss became {loss} by step {self._step}; lower the learning rate.")
            on_progress(self.samples, loss / steps)
        return losses / max(1, self._step - from_step)


class FitTrainer(_Base):
    """Keras's own step, one batch at a time, for models that come compiled or define `train_step`.

    A loss of Keras gets the labels in the form that it takes, any other as integers; see `labels_for`.
    """

    def __init__(self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float) -> None:
        super().__init__(model, data, recipe, seed, build_seconds)
        if not getattr(model, "compiled", False):
            model.compile(
                optimizer=make_optimizer(recipe), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            )
        self._labels = labels_for(model, data.y, data.classes)

    def advance(self, to_samples: int, on_progress: Progress) -> float:
        target = min(steps_for(to_samples, self.recipe.batch_size), self.total_steps)
        losses, from_step = 0.0, self._step
        while self._step < target:
            rows = self._batches.take(1)[0]
            x = self._data.x[rows].astype(np.float32) * self._scale
            began = time.perf_counter()
            loss = float(self.model.train_on_batch(x, self._labels[rows], return_dict=True)["loss"])
            seconds = time.perf_counter() - began
            if not self._traced:
                self._traced = True
                self.trace_seconds += seconds
            else:
                self.train_seconds += seconds
            self._step += 1
            self.samples = self._step * self.recipe.batch_size
            losses += loss
            if not math.isfinite(loss):
                raise Diverged(f"The loss became {loss} by step {self._step}; lower the learning rate.")
            on_progress(self.samples, loss)
        return losses / max(1, self._step - from_step)


def labels_for(model: Any, labels: Any, classes: int) -> Any:
    """Labels as the loss of a compiled model takes them.

    Args:
        labels: integers in [0, classes), shape (n,).

    Returns:
        float32 rows of zeros and a one, shape (n, classes), for a loss of Keras that is not sparse; else the labels.
    """
    loss = model.loss
    if isinstance(loss, (list, tuple, dict)) and len(loss) == 1:
        (loss,) = loss.values() if isinstance(loss, dict) else loss
    found: Any = keras.losses.get(loss) if isinstance(loss, str) or callable(loss) else None
    kind: Any = found if hasattr(found, "__name__") else type(found)
    of_keras = kind.__module__.startswith("keras.")
    return np.eye(classes, dtype=np.float32)[labels] if of_keras and "sparse" not in kind.__name__.lower() else labels
