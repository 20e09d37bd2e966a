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


def judging(layer: Any) -> Callable[..., Any] | None:
    """The same for a pass that no gradient is taken of, which normalises by the moving statistics."""
    return partial(_judge, layer) if _fusible(layer) else None


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
    normalized = _by_kernels(layer, inputs) if training and layer.trainable and mask is None else None
    if normalized is None:
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    outputs, mean, variance = normalized(*_arguments(layer, inputs))
    for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + now * (1.0 - layer.momentum))
    return _shaped_like(inputs, outputs)


def _judge(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    side = None if training and layer.trainable else _side_by_side(layer, inputs)
    if side is None or not _even(inputs, side):
        return keras.layers.BatchNormalization.call(layer, inputs, training=training, mask=mask)
    images, scale, offset, epsilon = _arguments(layer, inputs)
    mean, variance = map(tf.convert_to_tensor, (layer.moving_mean, layer.moving_variance))
    return _shaped_like(inputs, _by_statistics(side, images, scale, offset, mean, variance, epsilon))


def _arguments(layer: Any, inputs: Any) -> tuple[Any, Any, Any, float]:
    """(images, scale, offset, epsilon) for the kernels."""
    channels = inputs.shape[-1]
    scale = tf.ones(channels) if layer.gamma is None else tf.convert_to_tensor(layer.gamma)
    offset = tf.zeros(channels) if layer.beta is None else tf.convert_to_tensor(layer.beta)
    # Rows as positions of one image: of many images with one position each the kernels take up to twice the time.
    images = tf.reshape(inputs, (1, -1, 1, channels)) if len(inputs.shape) == 2 else inputs
    return images, scale, offset, layer.epsilon


def _shaped_like(inputs: Any, outputs: Any) -> Any:
    # Images as the kernel returns them: TensorFlow fuses a ReLU with it only where nothing stands between.
    return tf.reshape(outputs, tf.shape(inputs)) if len(inputs.shape) == 2 else outputs


def _by_kernels(layer: Any, inputs: Any) -> Callable[..., tuple[Any, Any, Any]] | None:
    """`_in_one` or what does the same for these inputs, or None where Keras is to do it."""
    side = _side_by_side(layer, inputs)
    if side is None:
        return None
    if side == 1:
        return _in_one
    if inputs.dtype == tf.float32:
        return _in_float32 if len(inputs.shape) == 4 else None
    return partial(_folded, side) if _even(inputs, side) else None


def _side_by_side(layer: Any, inputs: Any) -> int | None:
    """Of how many positions the channels together are aligned, for kernels that take them for those of one.

    None where the inputs are of a dtype that the layer was told not to cast, in which Keras computes.
    """
    channels = inputs.shape[-1]
    if channels is None or inputs.dtype != layer.compute_dtype:
        return None
    if channels % ALIGNED == 0 or tf.config.get_visible_devices("GPU"):
        return 1
    return ALIGNED // math.gcd(ALIGNED, channels)


def _even(inputs: Any, side: int) -> bool:
    """Whether the positions can be had by so many; of rows that are not aligned Keras's operations are as quick."""
    shape = inputs.shape
    return side == 1 or (len(shape) == 4 and shape.is_fully_defined() and math.prod(shape[:-1]) % side == 0)


def _by_statistics(side: int, x: Any, scale: Any, offset: Any, mean: Any, variance: Any, epsilon: float) -> Any:
    """Images normalised by given statistics, which have the shape (channels,) as scale and offset have."""
    folded = tf.reshape(x, (1, -1, 1, side * x.shape[-1])) if side > 1 else x
    scale, offset, mean, variance = (tf.tile(one, (side,)) for one in (scale, offset, mean, variance))
    found = tf.raw_ops.FusedBatchNormV3(
        x=folded, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    )
    return tf.reshape(found.y, x.shape) if side > 1 else found.y


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


def _gradients(
    above: Any, x: Any, scale: Any, mean: Any, variance: Any, epsilon: float, *, of_batch: bool
) -> tuple[Any, Any, Any]:
    """Those of images, scale and offset, by one kernel; the statistics are those of these images, or given ones."""
    found = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=above,
        x=x,
        scale=scale,
        reserve_space_1=mean,
        reserve_space_2=variance,
        reserve_space_3=tf.zeros(0),
        epsilon=epsilon,
        is_training=of_batch,
    )
    return found.x_backprop, found.scale_backprop, found.offset_backprop


def _in_float32(x: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """The same, with a kernel for the gradient alone: in float32 that one is quick with any number of channels."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalized(x: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        factor = scale * tf.math.rsqrt(variance + epsilon)

        def gradient(above: Any, *of_statistics: Any) -> tuple[Any, Any, Any]:
            return _gradients(above, x, scale, mean, variance, epsilon, of_batch=True)

        return (x * factor + (offset - mean * factor), mean, variance), gradient

    y, mean, variance = normalized(x, scale, offset)
    return y, mean, variance


def _folded(side: int, x: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """The same as `_in_one` in bfloat16, where only the channels of several positions together are aligned.

    The kernels take those for the channels of one position, so that each has statistics of its own, which are put
    together (Chan, Golub and LeVeque 1983, equation 2.1). To normalise by given statistics, and its gradient, treat
    every value by itself; what the gradient owes to the statistics being the batch's own is linear in x, so that the
    same kernel computes it.
    """
    channels, positions = x.shape[-1], math.prod(x.shape[:-1])
    shape = (1, positions // side, 1, side * channels)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def normalized(x: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
        ones, zeros = tf.ones(side * channels), tf.zeros(side * channels)
        _, *apart = _in_one(tf.reshape(x, shape), ones, zeros, epsilon)
        means, variances = (tf.reshape(one, (side, -1)) for one in apart)
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances + tf.square(means - mean), 0)

        def gradient(above: Any, *of_statistics: Any) -> tuple[Any, Any, Any]:
            scales, means, variances = (tf.tile(one, (side,)) for one in (scale, mean, variance))
            above, folded = tf.reshape(above, shape), tf.reshape(x, shape)
            given_x, *apart = _gradients(above, folded, scales, means, variances, epsilon, of_batch=False)
            of_scale, of_offset = (tf.reduce_sum(tf.reshape(one, (side, -1)), 0) for one in apart)
            share = -scale * tf.math.rsqrt(variance + epsilon) / positions
            # In bfloat16 both are rounded before they are added up; the kernel for aligned channels rounds once.
            owed = _by_statistics(side, x, share * of_scale, share * of_offset, mean, variance, epsilon)
            return tf.reshape(given_x, x.shape) + owed, of_scale, of_offset

        return (_by_statistics(side, x, scale, offset, mean, variance, epsilon), mean, variance), gradient

    y, mean, variance = normalized(x, scale, offset)
    return y, mean, variance
