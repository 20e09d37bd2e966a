"""Batch normalisation in few operations of TensorFlow, where Keras takes a dozen.

Keras's layer is put together from moments, products and sums, and so is its gradient; each of them reads the
activations from memory again. TensorFlow has kernels that compute the same (Ioffe and Szegedy 2015, algorithm 1) in two
passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

ALIGNED = 16  # oneDNN's kernels take several times as long with channels that are no multiple of it (AVX-512)


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
    # Inputs of another dtype are those of a layer that was told not to cast them; Keras computes in theirs.
    usual = training and layer.trainable and mask is None and inputs.dtype == layer.compute_dtype
    normalized = _kernels(inputs.shape) if usual else None
    if normalized is None:
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    rows, channels = len(inputs.shape) == 2, inputs.shape[-1]
    # As positions of one image: of many images with one position each the kernels take up to twice the time.
    images = tf.reshape(inputs, (1, -1, 1, channels)) if rows else inputs
    scale = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    offset = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    outputs, mean, variance = normalized(images, scale, offset, layer.epsilon)
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1.0 - layer.momentum))
    # Images as the kernel returns them: TensorFlow fuses a ReLU with it only where nothing stands between.
    return tf.reshape(outputs, tf.shape(inputs)) if rows else outputs


def _kernels(shape: Any) -> Callable[..., Any] | None:
    """What normalises inputs of this shape; None for unaligned rows, of which Keras's dozen operations are as quick."""
    channels = shape[-1]
    if channels is None:
        return None
    if channels % ALIGNED == 0 or tf.config.get_visible_devices("GPU"):
        return _in_one
    foldable = len(shape) == 4 and shape.is_fully_defined() and math.prod(shape[:-1]) % _side_by_side(channels) == 0
    return _folded if foldable else None


def _side_by_side(channels: int) -> int:
    """Of how many positions the channels together are aligned."""
    return ALIGNED // math.gcd(ALIGNED, channels)


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


def _folded(x: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """The same as `_in_one`, where only the channels of several positions together are aligned.

    The kernels take those for the channels of one position, so that each has statistics of its own, which are put
    together (Chan, Golub and LeVeque 1983, equation 2.1). To normalise by given statistics, and its gradient, treat
    every value by itself; what the gradient owes to the statistics being the batch's own is linear in x, so that the
    same kernel computes it.
    """
    channels, positions = x.shape[-1], math.prod(x.shape[:-1])
    side = _side_by_side(channels)

    def repeated(values: Any) -> Any:
        return tf.tile(values, (side,))

    def gathered(values: Any) -> Any:
        return tf.reshape(values, (side, channels))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalized(x: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
        folded = tf.reshape(x, (1, -1, 1, side * channels))
        _, means, variances = _in_one(folded, tf.ones(side * channels), tf.zeros(side * channels), epsilon)
        mean = tf.reduce_mean(gathered(means), 0)
        variance = tf.reduce_mean(gathered(variances) + tf.square(gathered(means) - mean), 0)
        given = {"epsilon": epsilon, "is_training": False}

        def affine(scale: Any, offset: Any) -> Any:
            told = {"scale": repeated(scale), "offset": repeated(offset)}
            told |= {"mean": repeated(mean), "variance": repeated(variance)}
            return tf.raw_ops.FusedBatchNormV3(x=folded, **told, **given).y

        def gradient(above: Any, *of_statistics: Any) -> tuple[Any, Any, Any]:
            statistics = {"reserve_space_1": repeated(mean), "reserve_space_2": repeated(variance)}
            found = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=tf.reshape(above, folded.shape),
                x=folded,
                scale=repeated(scale),
                **statistics,
                reserve_space_3=tf.zeros(0),
                **given,
            )
            of_scale = tf.reduce_sum(gathered(found.scale_backprop), 0)
            of_offset = tf.reduce_sum(gathered(found.offset_backprop), 0)
            share = -scale * tf.math.rsqrt(variance + epsilon) / positions
            of_x = found.x_backprop + affine(share * of_scale, share * of_offset)
            return tf.reshape(of_x, x.shape), of_scale, of_offset

        return (tf.reshape(affine(scale, offset), x.shape), mean, variance), gradient

    y, mean, variance = normalized(x, scale, offset)
    return y, mean, variance
