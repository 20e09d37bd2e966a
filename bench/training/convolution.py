"""Convolutions of small images, the gradient of whose kernel is a convolution as well.

oneDNN's routine for that gradient passes over each image by itself, and of few positions makes a third of what its
convolutions make (AVX-512, bfloat16, 3 by 3). Where images stand in for channels, and channels for images, the gradient
is a convolution of the inputs, whose kernel is the gradient of the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

SMALL = 25  # positions of an output image, up to which that is quicker; of more, it depends on channels and dtype


def replacement(layer: Any) -> Callable[..., Any] | None:
    """A `convolution_op` in place of the layer's own, or None where that is to be kept: strided, dilated, grouped."""
    own = type(layer) is keras.layers.Conv2D and not {"call", "convolution_op"} & set(vars(layer))
    if not own or layer.data_format != "channels_last":
        return None
    plain = (*layer.strides, *layer.dilation_rate, layer.groups) == (1, 1, 1, 1, 1)
    return partial(_convolved, layer) if plain and math.prod(layer.kernel_size) > 1 else None


def _convolved(layer: Any, inputs: Any, kernel: Any) -> Any:
    """What `Conv2D.convolution_op` returns.

    Args:
        inputs: shape (n, height, width, channels).
        kernel: shape (height, width, channels, filters).
    """
    weights = tf.convert_to_tensor(kernel)
    kinds = inputs.dtype == weights.dtype and inputs.dtype in (tf.float32, tf.bfloat16)
    known = inputs.shape.is_fully_defined()
    small = known and math.prod(layer.compute_output_shape(inputs.shape)[1:3]) <= SMALL
    if not small or not kinds or tf.config.get_visible_devices("GPU"):
        return keras.layers.Conv2D.convolution_op(layer, inputs, kernel)
    return _of_small(inputs, weights, layer.padding.upper())


def _of_small(inputs: Any, weights: Any, padding: str) -> Any:
    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def convolved(x: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
        def gradient(above: Any) -> tuple[Any, Any]:
            of_x = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=above, strides=[1, 1, 1, 1], padding=padding
            )
            return of_x, _of_kernel(x, kernel.shape, above, padding)

        return tf.nn.conv2d(x, kernel, 1, padding), gradient

    return convolved(inputs, weights)


def _of_kernel(x: Any, shape: Any, above: Any, padding: str) -> Any:
    """The gradient of a kernel of this shape, of which `above` is the outputs'."""
    if padding == "SAME":  # of an odd number of zeros one more stands behind
        around = [[(size - 1) // 2, size // 2] for size in shape[:2]]
        x = tf.pad(x, [[0, 0], *around, [0, 0]])
    sums = tf.nn.conv2d(tf.transpose(x, (3, 1, 2, 0)), tf.transpose(above, (1, 2, 0, 3)), 1, "VALID")
    return tf.transpose(sums, (1, 2, 0, 3))
