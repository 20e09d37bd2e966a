"""Gradients that are defined while a graph is traced, and what TensorFlow keeps for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops

PREFIX = "CustomGradient-"  # of the names under which `tf.custom_gradient` registers


@contextmanager
def forgotten() -> Iterator[None]:
    """Of what is traced inside, forget the gradients that `tf.custom_gradient` defined, as `tf.nn.silu` has one.

    TensorFlow registers each of them for as long as the process lives, and with it the graph and whatever that has
    captured: a run's weights and the state of its optimizer. It reads them when it differentiates a graph anew, so all
    that is traced inside must be differentiated there, if at all. There is no public way to the registry.
    """
    registered = getattr(ops.gradient_registry, "_registry", {})
    before = set(registered)
    try:
        yield
    finally:
        for name in registered.keys() - before:
            if name.startswith(PREFIX):
                registered.pop(name, None)
