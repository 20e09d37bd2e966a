"""Does bfloat16 pay on this device? Asked by measuring one training-like step, not by reading a list of processors."""

from __future__ import annotations

import time

import tensorflow as tf


def measure(repeats: int = 8) -> tuple[float, float]:
    """(float32, bfloat16): median milliseconds of a convolution and a matrix product with their gradients."""
    return _step_ms(tf.float32, repeats), _step_ms(tf.bfloat16, repeats)


def _step_ms(dtype: tf.DType, repeats: int) -> float:
    x = tf.cast(tf.random.normal((128, 13, 13, 32)), dtype)
    kernel = tf.cast(tf.random.normal((3, 3, 32, 64)), dtype)
    matrix = tf.cast(tf.random.normal((11 * 11 * 64, 32)), dtype)

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch([x, kernel, matrix])
            hidden = tf.reshape(tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID")), (128, -1))
            total = tf.reduce_sum(tf.cast(hidden @ matrix, tf.float32))
        return tf.add_n([tf.reduce_sum(tf.cast(g, tf.float32)) for g in tape.gradient(total, [x, kernel, matrix])])

    compiled = tf.function(step, autograph=False)
    compiled()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        float(compiled())
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1e3
