"""One kernel of TensorFlow for a weight's update, where Keras's optimizers take fifteen operations.

Keras puts an update together from products, sums and roots, each of which reads the weight and its moments from memory
again. TensorFlow has kernels that compute the same in one pass, on processors and on GPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf


class Updates:
    """An optimizer's `apply` for some weights. Its state stays the optimizer's own.

    Left to Keras, all of a step: optimizers that have no such kernel or are told more than `make_optimizer` tells them,
    weights with a constraint, and weights or gradients that are sparse, missing or not in float32.

    Args:
        optimizer: of Keras, built for these weights.
        weights: Keras variables, in the order in which it was built.
    """

    def __init__(self, optimizer: Any, weights: Sequence[Any]) -> None:
        self._optimizer, self._weights = optimizer, list(weights)
        kernel = KERNELS.get(type(optimizer))
        usual = _as_made(optimizer) and all(
            one.dtype == "float32" and one.constraint is None and not one.overwrite_with_gradient for one in weights
        )
        self._kernel = kernel(optimizer, self._weights) if kernel is not None and usual else None

    def apply(self, gradients: Sequence[Any]) -> None:
        """Take one step, in the graph that is traced; `gradients` are those of the weights, in their order."""
        optimizer = self._optimizer
        if self._kernel is None or not all(_dense(gradient) for gradient in gradients):
            optimizer.apply(gradients, self._weights)
            return
        rate = tf.cast(optimizer.learning_rate, tf.float32)  # Keras has it in its `floatx`
        if optimizer.weight_decay:
            left = 1.0 - rate * optimizer.weight_decay  # Loshchilov and Hutter 2019, as Keras has it for all of them
            for one in self._weights:
                one.value.assign(one.value * left)  # subtracting what goes takes four times as long
        self._kernel(rate, gradients)
        optimizer.iterations.assign_add(1)


def _as_made(optimizer: Any) -> bool:
    """Whether an optimizer does nothing but what its kernel does."""
    told = (
        "amsgrad", "centered", "clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps",
        "loss_scale_factor", "use_ema", "_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern",
    )  # fmt: skip
    with_momentum = type(optimizer) is keras.optimizers.RMSprop and optimizer.momentum
    return not with_momentum and not any(getattr(optimizer, name, None) for name in told)


def _dense(gradient: Any) -> bool:
    return isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32


class _Adam:
    """Kingma and Ba 2015, algorithm 1, with the bias correction in the rate, as in their section 2."""

    def __init__(self, optimizer: Any, weights: Sequence[Any]) -> None:
        self._optimizer, self._weights = optimizer, weights

    def __call__(self, rate: Any, gradients: Sequence[Any]) -> None:
        optimizer = self._optimizer
        step = tf.cast(optimizer.iterations.value + 1, tf.float32)
        powers = [tf.pow(tf.constant(beta, tf.float32), step) for beta in (optimizer.beta_1, optimizer.beta_2)]
        moments = zip(self._weights, optimizer._momentums, optimizer._velocities, gradients, strict=True)
        for weight, first, second, gradient in moments:
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=optimizer.beta_1,
                beta2=optimizer.beta_2,
                epsilon=optimizer.epsilon,
                grad=gradient,
            )


class _RMSprop:
    """Hinton, Srivastava and Swersky 2012, lecture 6e.

    The kernel wants a velocity too. With a momentum of nothing it writes its last step there and never makes use of it,
    so that it is no part of the optimizer's state.
    """

    def __init__(self, optimizer: Any, weights: Sequence[Any]) -> None:
        self._optimizer, self._weights = optimizer, weights
        self._velocities = []
        for one in weights:
            with tf.device(one.value.device):
                self._velocities.append(tf.Variable(tf.zeros(one.shape), trainable=False))

    def __call__(self, rate: Any, gradients: Sequence[Any]) -> None:
        optimizer = self._optimizer
        for weight, square, velocity, gradient in zip(
            self._weights, optimizer._velocities, self._velocities, gradients, strict=True
        ):
            tf.raw_ops.ResourceApplyRMSProp(
                var=weight.handle,
                ms=square.handle,
                mom=velocity.handle,
                lr=rate,
                rho=optimizer.rho,
                momentum=0.0,
                epsilon=optimizer.epsilon,
                grad=gradient,
            )


class _SGD:
    """Sutskever et al. 2013, equations 3 and 4, the velocity in units of the weight."""

    def __init__(self, optimizer: Any, weights: Sequence[Any]) -> None:
        self._optimizer, self._weights = optimizer, weights

    def __call__(self, rate: Any, gradients: Sequence[Any]) -> None:
        optimizer = self._optimizer
        if not optimizer.momentum:
            for weight, gradient in zip(self._weights, gradients, strict=True):
                tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=gradient)
            return
        for weight, velocity, gradient in zip(self._weights, optimizer.momentums, gradients, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient,
                momentum=optimizer.momentum,
                use_nesterov=optimizer.nesterov,
            )


KERNELS: dict[type, Callable[[Any, Sequence[Any]], Callable[[Any, Sequence[Any]], None]]] = {
    keras.optimizers.Adam: _Adam,
    keras.optimizers.AdamW: _Adam,
    keras.optimizers.RMSprop: _RMSprop,
    keras.optimizers.SGD: _SGD,
}
