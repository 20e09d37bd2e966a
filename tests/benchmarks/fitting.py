"""Keras's `fit` on bench's data, model and recipe: as Keras's guides teach it, or tuned.

Plain: float32 images in memory, `compile`, `fit` with a validation set, all else as it comes. Tuned adds what its
documentation offers for speed: many steps in one call (`steps_per_execution`), a validation batch as large as bench's,
the precision that is best on the device (`mixed_bfloat16`), and oneDNN's routines on every processor (see `sides`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from ground import Task

from bench.data.arrays import Arrays
from bench.space import Config
from bench.training.interface import Recipe

VALIDATION_BATCH = 500
STEPS = 64  # in one call, where it is tuned

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


def as_float(arrays: Arrays) -> tuple[Images, Labels, Images, Labels]:
    """Training images and labels, validation images and labels; pixels in [0, 1], as every guide has them."""
    (x, y), (val_x, val_y) = arrays.train, arrays.validation
    scale = np.float32(arrays.scale)
    return x.astype(np.float32) * scale, np.array(y), val_x.astype(np.float32) * scale, np.array(val_y)


def start_keras(precision: str, threads: int | None = None) -> None:
    """Import Keras and say how it computes; `threads` None leaves it to TensorFlow, which takes every core.

    Has to come before anything is computed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")


class Fitting:
    """Makes models of a task's family and fits them. Keras has to be started.

    Args:
        images: as `as_float` returns them.
    """

    def __init__(self, task: Task, images: tuple[Images, Labels, Images, Labels], classes: int) -> None:
        self.x, self.y, self.val_x, self.val_y = images
        self._task, self._classes, self._build = task, classes, task.searched().build

    @property
    def validation(self) -> tuple[Images, Labels]:
        return self.val_x, self.val_y

    def model(self, config: Config, seed: int, epochs: int, begun: int = 0) -> Any:
        """A compiled model that is trained from epoch `begun` to `epochs`, over which its learning rate falls."""
        import keras

        keras.backend.clear_session()  # as Optuna's examples do before each trial
        keras.utils.set_random_seed(seed % 2**32)
        model = self._build(dict(config), self.x.shape[1:], self._classes)
        model.compile(
            optimizer=self._optimizer(config, epochs, begun),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **({"steps_per_execution": STEPS} if self._task.tuned else {}),
        )
        return model

    def options(self, config: Config) -> dict[str, Any]:
        """What `fit` is called with beside data, epochs and callbacks."""
        tuned = {"validation_batch_size": VALIDATION_BATCH} if self._task.tuned else {}
        return {"batch_size": int(config["batch_size"]), "verbose": 0, **tuned}

    def fit(
        self, model: Any, config: Config, epochs: int, callbacks: Sequence[Any] = (), begun: int = 0, every: int = 1
    ) -> Any:
        """What `fit` returns, after the epochs from `begun` to `epochs`; it validates after `every` so many of them."""
        return model.fit(
            self.x,
            self.y,
            epochs=epochs,
            initial_epoch=begun,
            validation_data=self.validation,
            validation_freq=every,
            callbacks=list(callbacks),
            **self.options(config),
        )

    def _optimizer(self, config: Config, epochs: int, begun: int) -> Any:
        from bench.training.loop import make_optimizer

        recipe = Recipe.of(config)
        if not (recipe.warm_up or recipe.cooldown):
            return make_optimizer(recipe)
        steps = math.ceil(len(self.x) / recipe.batch_size)
        rate: Any = trapezoid(recipe, begun * steps, epochs * steps)
        return make_optimizer(replace(recipe, learning_rate=rate))


def trapezoid(recipe: Recipe, first: int, total: int) -> Any:
    """The recipe's learning rate as Keras takes one that changes: a schedule over `total` steps, begun at `first`."""
    import keras

    class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            progress = (keras.ops.cast(step, "float32") + first) / total
            rate = keras.ops.convert_to_tensor(recipe.learning_rate, "float32")
            if recipe.warm_up > 0:
                rate *= keras.ops.minimum(1.0, progress / recipe.warm_up)
            if recipe.cooldown > 0:
                rate *= keras.ops.minimum(1.0, (1.0 - progress) / recipe.cooldown)
            return rate

        def get_config(self) -> dict[str, Any]:
            return {}

    return Trapezoid()
