"""Does bfloat16 pay on this device? Asked by measuring one training-like step, not by reading a list of processors."""

from __future__ import annotations

import time
from collections.abc import Callable

import tensorflow as tf


def measure(repeats: int = 8) -> tuple[float, float]:
    """(float32, bfloat16): milliseconds of a convolution and a matrix product with their gradients.

    The two take turns, and each one's quickest time counts: what else the machine does can only add.
    """
    steps = [_step(tf.float32), _step(tf.bfloat16)]
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for step, seconds in zip(steps, times, strict=True):
            began = time.perf_counter()
            float(step())
            seconds.append(time.perf_counter() - began)
    return min(times[0]) * 1e3, min(times[1]) * 1e3


def _step(dtype: tf.DType) -> Callable[[], tf.Tensor]:
    """One step in this dtype, traced."""
    x = tf.cast(tf.random.normal((128, 13, 13, 32)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, 32, 64)), dtype)
    matrix = tf.cast(tf.random.normal((11 * 11 * 64, 32)), dtype)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel, matrix])
            hidden = tf.reshape(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID")), (128, -1))
            total = tf.reduce_sum(tf.cast(hidden @ matrix, tf.float32))
        return tf.add_n([tf.reduce_sum(tf.cast(g, tf.float32)) for g in tape.gradient(total, [x, kernel, matrix])])

    compiled: Callable[[], tf.Tensor] = tf.function(step, autograph=False)
    compiled()
    return compiled
