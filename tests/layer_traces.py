"""A layer of Keras in a graph, as it is or by the TensorFlow loop's own kernels."""

from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from bench.training.layers import quicker


def traced(model, x, above, with_kernels):
    """(outputs, gradients of inputs and weights), and the names of the operations.

    Args:
        above: the gradient of the outputs.
    """

    @tf.function(autograph=False)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            with quicker(model) if with_kernels else nullcontext():
                y = model(x, training=True)
            total = tf.reduce_sum(tf.cast(y, tf.float32) * above)
        return y, tape.gradient(total, [x, *model.trainable_variables])

    y, gradients = run(tf.constant(x))
    graph = run.get_concrete_function(tf.constant(x)).graph
    found = [np.asarray(tf.cast(one, tf.float32)) for one in (y, *gradients)]
    return found, {operation.type for operation in graph.get_operations()}
