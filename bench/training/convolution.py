"""Convolutions to few positions, whose kernel has its gradient by one matrix product.

oneDNN goes along the rows of what a convolution returns, and makes little of rows of three. In bfloat16 all patches
side by side and a matrix product take a third to a half less time there; in float32, or along longer rows, they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

FEW = 3  # positions along each side


def replacement(layer: Any) -> Callable[..., Any] | None:
    """A `convolution_op` in place of the layer's own, or None where that is to be kept.

    A layer that convolves otherwise (with strides, dilated, padded, in groups, channels first) keeps it.
    """
    own = type(layer) is keras.layers.Conv2D and "convolution_op" not in vars(layer)
    plain = own and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1 and layer.padding == "valid"
    if not plain or layer.data_format != "channels_last" or tf.config.get_visible_devices("GPU"):
        return None
    return partial(_convolution_op, layer)


def _convolution_op(layer: Any, inputs: Any, kernel: Any) -> Any:
    positions = layer.compute_output_shape(inputs.shape)[1:3]
    few = None not in positions and max(positions) <= FEW
    kernel = tf.convert_to_tensor(kernel)
    if not few or not inputs.dtype == kernel.dtype == tf.bfloat16:
        return keras.layers.Conv2D.convolution_op(layer, inputs, kernel)
    return _convolved(inputs, kernel)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _convolved(x: Any, kernel: Any) -> tuple[Any, Any]:
    """Images of shape (n, height, width, channels) convolved with a kernel (rows, columns, channels, filters)."""

    def gradient(above: Any) -> tuple[Any, Any]:
        of_x = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=above, strides=[1] * 4, padding="VALID"
        )
        rows, columns, channels, filters = kernel.shape
        down, along = above.shape[1:3]
        shifted = [x[:, i : i + down, j : j + along] for i in range(rows) for j in range(columns)]
        patches = tf.reshape(tf.concat(shifted, -1), (-1, rows * columns * channels))
        of_kernel = tf.matmul(patches, tf.reshape(above, (-1, filters)), transpose_a=True)
        return of_x, tf.reshape(of_kernel, kernel.shape)

    return tf.nn.conv2d(x, kernel, strides=1, padding="VALID"), gradient
