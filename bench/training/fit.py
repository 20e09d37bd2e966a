"""The loop of models that come compiled, or with a step or a loss of their own: Keras's step, one batch at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from bench.errors import FamilyError
from bench.training.budget import steps_for
from bench.training.interface import Data, Diverged, Recipe
from bench.training.loop import Base, Forward, Progress, make_optimizer, rate_at, scale_of


class FitTrainer(Base):
    """Trains by the model's `train_on_batch`. One that is not compiled gets the recipe's optimizer, as any other.

    A loss of Keras gets the labels in the form that it takes, any other as integers; see `labels_for`.

    Args:
        tracing: entered while the first step is traced.
    """

    def __init__(
        self,
        model: Any,
        data: Data,
        recipe: Recipe,
        seed: int,
        build_seconds: float,
        forward: Forward,
        tracing: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        super().__init__(model, data, recipe, seed, build_seconds, forward)
        self._tracing = tracing
        self._scheduled = not getattr(model, "compiled", False)
        if self._scheduled:
            model.compile(
                optimizer=make_optimizer(recipe), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            )
        elif isinstance(getattr(model.optimizer, "_learning_rate", None), keras.Variable):
            self._built_rate = float(model.optimizer.learning_rate)
        self._labels = labels_for(model, data.y, data.classes)
        self._traced = False  # by this trainer, however far the run had come before

    def advance(self, to_samples: int, on_progress: Progress) -> float:
        target = min(steps_for(to_samples, self.recipe.batch_size), self.total_steps)
        losses, from_step = 0.0, self._step
        while self._step < target:
            rows = self._batches.take(1)[0]
            x = self._data.x[rows].astype(np.float32) * scale_of(self._data.x)
            began = time.perf_counter()
            if self._scheduled:
                self.model.optimizer.learning_rate = rate_at(self.recipe, self._step / self.total_steps)
            with nullcontext() if self._traced else self._tracing():
                said = self.model.train_on_batch(x, self._labels[rows], return_dict=True)
            if "loss" not in said:
                raise FamilyError(
                    f"train_step returns {', '.join(said) or 'nothing'}; let its dict have a 'loss', too."
                )
            loss = float(said["loss"])
            seconds = time.perf_counter() - began
            self.passed(self._step + 1, seconds, self._traced)
            self._traced = True
            losses += loss
            if not math.isfinite(loss):
                raise Diverged(f"The loss became {loss} by step {self._step}; lower the learning rate.")
            on_progress(self.samples, loss)
        weights = map(keras.ops.convert_to_numpy, self.model.trainable_variables)
        if not all(np.isfinite(np.asarray(weight, np.float32)).all() for weight in weights):  # the loss need not tell
            raise Diverged(f"Weights are not finite by step {self._step}; lower the learning rate.")
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
