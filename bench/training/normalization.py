"""Batch normalisation in few operations of TensorFlow, where Keras takes a dozen.

Keras's layer is put together from moments, products and sums, and so is its gradient; each of them reads the
activations from memory again. TensorFlow has kernels that compute the same (Ioffe and Szegedy 2015, algorithm 1) in two
passes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

# With other numbers of channels oneDNN's kernel forward is three times as slow as moments and a product (AVX-512, 24
# channels), and both of its kernels are in bfloat16; its kernel for the gradient in float32 is fast with any number of
# channels of images. Of rows, without height and width, Keras's dozen operations are as quick then, or twice as quick.
ALIGNED = 16


def replacement(layer: Any) -> Callable[..., Any] | None:
    """A `call` in place of the layer's own, or None where that is to be kept.

    A layer that normalises otherwise (over another axis, renormalised, synchronised, a class of its own) keeps it.
    """
    return partial(_call, layer) if _fusible(layer) else None


def _fusible(layer: Any) -> bool:
    own = type(layer) is keras.layers.BatchNormalization and "call" not in vars(layer)
    if not own or layer.renorm or layer.synchronized or not layer.built:
        return False
    dimensions = layer.input_spec.ndim
    last = layer.axis in (-1, dimensions - 1)
    kinds = layer.compute_dtype in ("float32", "bfloat16") and layer.variable_dtype == "float32"
    return last and dimensions in (2, 4) and kinds


def _call(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """What `BatchNormalization.call` returns, and the same moving statistics."""
    channels = inputs.shape[-1]
    whole = channels is not None and (channels % ALIGNED == 0 or bool(tf.config.get_visible_devices("GPU")))
    rows = len(inputs.shape) == 2
    kernels = training and layer.trainable and mask is None and (whole or not rows)
    # Inputs of another dtype are those of a layer that was told not to cast them; Keras computes in theirs.
    if not kernels or channels is None or inputs.dtype != layer.compute_dtype:
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    images = tf.reshape(inputs, (-1, 1, 1, channels)) if rows else inputs
    scale = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    offset = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    normalized = _in_one if whole else _in_float32
    outputs, mean, variance = normalized(images, scale, offset, layer.epsilon)
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1.0 - layer.momentum))
    return tf.reshape(outputs, tf.shape(inputs))


def _in_one(x: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """(normalised images of x's dtype, float32 mean and variance by channel), by one kernel each way.

    Args:
        x: float32 or bfloat16, shape (n, height, width, channels).
        scale, offset: float32, shape (channels,).
    """
    none = tf.zeros(0)
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=none, variance=none, epsilon=epsilon, is_training=True
    )
    # The kernel returns what a sample says of the variance; Keras keeps the batch's own.
    values = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return y, mean, tf.math.multiply_no_nan(variance, (values - 1.0) / values)  # of one value cuDNN's may be infinite


def _in_float32(x: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """The same as `_in_one`, with a kernel for the gradient alone."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalized(x: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        factor = scale * tf.math.rsqrt(variance + epsilon)

        def gradient(above: Any, *of_statistics: Any) -> tuple[Any, Any, Any]:
            found = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=above,
                x=x,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros(0),
                epsilon=epsilon,
                is_training=True,
            )
            return found.x_backprop, found.scale_backprop, found.offset_backprop

        return (x * factor + (offset - mean * factor), mean, variance), gradient

    y, mean, variance = normalized(tf.cast(x, tf.float32), scale, offset)
    return tf.cast(y, x.dtype), mean, variance
