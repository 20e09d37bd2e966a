"""The TensorFlow loop: many steps in one graph call, batches gathered in-graph from data held as tensors.

The learning rate is computed in-graph, so that one trace serves a whole run.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from bench.family import Family
from bench.space import Value
from bench.training.fit import FitTrainer
from bench.training.gradients import forgotten
from bench.training.interface import Data, Recipe
from bench.training.layers import JUDGING, quicker
from bench.training.loop import EVAL_BATCH, CompiledTrainer, Forward, built, rate_at, scale_of, steps_itself
from bench.training.updates import Updates

AT_ONCE = 128  # images that a thread of a processor judges at once: the activations of more leave its caches


def start(threads: int, gpu: str | None) -> str:
    """Set threads and device, before anything is computed; returns the device's name."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU") if gpu is not None else []
    for device in gpus:
        tf.config.experimental.set_memory_growth(device, True)
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return "CPU"


def make_trainer(
    family: Family, config: Mapping[str, Value], data: Data, seed: int, precision: str
) -> TensorFlowTrainer | FitTrainer:
    """Build the family's model for this configuration and wrap it in the loop that suits it; see `built`."""
    began = time.perf_counter()
    model, recipe = built(family, config, data, seed, precision)
    if steps_itself(model):
        build_seconds = time.perf_counter() - began
        return FitTrainer(model, data, recipe, seed, build_seconds, forward(model, data.x.dtype), forgotten)
    return TensorFlowTrainer(model, data, recipe, seed, time.perf_counter() - began, judged(model))


def forward(model: Any, dtype: npt.DTypeLike) -> Forward:
    """A compiled forward pass over stored images of this dtype."""
    kind = np.dtype(dtype)

    @forgotten()
    def logits_of(x: Any) -> Any:
        return tf.cast(model(_scaled(x), training=False), tf.float32)

    logits = tf.function(
        logits_of,
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.as_dtype(kind))],
        autograph=False,
    )

    def run(images: Any) -> npt.NDArray[np.float32]:
        return np.asarray(logits(tf.constant(images)).numpy(), np.float32)

    return run


def judged(model: Any) -> Forward:
    """The same by the loop's own kernels, traced for each shape and dtype of images."""

    @forgotten()
    def logits_of(x: Any) -> Any:
        with quicker(model, JUDGING):
            return tf.cast(model(_scaled(x), training=False), tf.float32)

    logits = tf.function(logits_of, autograph=False)

    def run(images: Any) -> npt.NDArray[np.float32]:
        return np.asarray(logits(tf.constant(images)).numpy(), np.float32)

    return run


def _scaled(x: Any) -> Any:
    # In float32, as a stock Keras model gets them: a layer that computes in less rounds them itself.
    return tf.cast(x, tf.float32) * scale_of(x)


@functools.lru_cache(maxsize=1)
def _tensors(data: Data) -> tuple[Any, Any]:
    """The training set as tensors, copied once for all runs of this process."""
    return tf.constant(data.x), tf.constant(data.y)


class TensorFlowTrainer(CompiledTrainer):
    """One trace a run: its recipe is in the graph."""

    def __init__(
        self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float, forward: Forward
    ) -> None:
        super().__init__(model, data, recipe, seed, build_seconds, forward)
        began = time.perf_counter()
        self._x, self._y = _tensors(data)
        if not on_gpu():
            self.at_once = min(EVAL_BATCH, AT_ONCE * (threads_of() or EVAL_BATCH))
        self._updates = Updates(self._optimizer, model.trainable_variables)
        self._steps = tf.function(
            self._train_steps,
            input_signature=[tf.TensorSpec((None, recipe.batch_size), tf.int32), tf.TensorSpec((), tf.int32)],
            autograph=False,
        )
        self.build_seconds += time.perf_counter() - began

    def _train(self, order: npt.NDArray[np.int32], first: int) -> float:
        return float(self._steps(order, first))

    @forgotten()
    def _train_steps(self, order: Any, first: Any) -> Any:
        variables = self.model.trainable_variables

        def body(k: Any, total: Any) -> tuple[Any, Any]:
            progress = tf.cast(first + k, tf.float32) / float(self.total_steps)
            self._optimizer.learning_rate.assign(rate_at(self.recipe, progress))
            x = _scaled(tf.gather(self._x, order[k]))
            y = tf.gather(self._y, order[k])
            with tf.GradientTape() as tape:
                with quicker(self.model):
                    logits = tf.cast(self.model(x, training=True), tf.float32)
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
                # As Keras adds them up, whatever their shapes; those of activations are in the dtype of these.
                objective = loss + sum(tf.cast(tf.reduce_sum(one), tf.float32) for one in self.model.losses)
            self._updates.apply(tape.gradient(objective, variables))
            return k + 1, total + loss

        steps = tf.shape(order)[0]
        _, total = tf.while_loop(
            lambda k, _: k < steps, body, (tf.constant(0), tf.constant(0.0)), parallel_iterations=1
        )
        # The loss need not tell: oneDNN's ReLU makes zeros of what is not a number.
        weights = [one for one in variables if keras.backend.is_float_dtype(one.dtype)]
        finite = tf.reduce_all([True, *(tf.reduce_all(tf.math.is_finite(one)) for one in weights)])
        return tf.where(finite, total, math.nan)


def training_step(dtype: str, images: int) -> Callable[[], float]:
    """A convolution of so many images and a matrix product with their gradients in this dtype, traced."""
    x = tf.cast(tf.random.normal((images, 13, 13, 32)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, 32, 64)), dtype)
    matrix = tf.cast(tf.random.normal((11 * 11 * 64, 32)), dtype)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel, matrix])
            hidden = tf.reshape(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID")), (images, -1))
            total = tf.reduce_sum(tf.cast(hidden @ matrix, tf.float32))
        return tf.add_n([tf.reduce_sum(tf.cast(g, tf.float32)) for g in tape.gradient(total, [x, kernel, matrix])])

    compiled = tf.function(step, autograph=False)
    float(compiled())
    return lambda: float(compiled())


def threads_of() -> int:
    """Threads that one operation may use; 0 where TensorFlow chooses."""
    return int(tf.config.threading.get_intra_op_parallelism_threads())


def on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))
