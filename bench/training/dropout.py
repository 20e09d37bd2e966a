"""Dropout by half as many random numbers as Keras's layer draws.

Keras draws a number of 32 bits for each activation, and drawing takes longer than all the rest of the layer. Sixteen
bits decide as well: the share that is kept is off by 1 / 2**17 at most, and what is kept is divided by the share that
it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import tensorflow as tf

STEPS = 2**16  # of the share that is kept
AT_ONCE = 4  # of them in the 64 bits that are drawn at once


def replacement(layer: Any) -> Callable[..., Any] | None:
    """A `call` in place of the layer's own, or None where that is to be kept: of another class, or with a noise shape.

    The masks are others than Keras draws from the same seed; as there, the next ones follow from the layer's generator.
    An activation that is not finite is not a number where it is dropped, of which Keras makes a zero.
    """
    own = type(layer) is keras.layers.Dropout and "call" not in vars(layer)
    if not own or layer.noise_shape is not None or layer.rate <= 0:
        return None
    return partial(_call, layer)


def _call(layer: Any, inputs: Any, training: bool | None = False) -> Any:
    kept = round((1.0 - layer.rate) * STEPS)
    plain = 0 < kept < STEPS and inputs.shape.is_fully_defined() and inputs.dtype in (tf.float32, tf.bfloat16)
    if not training or not plain:
        return keras.layers.Dropout.call(layer, inputs, training=training)
    activations = math.prod(inputs.shape)
    bits = tf.random.stateless_uniform(
        (math.ceil(activations / AT_ONCE),),
        tf.cast(layer.seed_generator.next(), tf.int32),
        minval=None,
        maxval=None,
        dtype=tf.uint64,
    )
    drawn = tf.reshape(tf.bitcast(bits, tf.uint16), (-1,))[:activations]
    # By the share that is kept, not by what was asked for; in bfloat16 it is rounded, as Keras's factor is.
    factors = tf.cast(tf.reshape(drawn, inputs.shape) < tf.constant(kept, tf.uint16), inputs.dtype)
    return inputs * (factors * tf.constant(STEPS / kept, inputs.dtype))
