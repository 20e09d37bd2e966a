"""Layers of Keras that the TensorFlow loop computes by quicker kernels of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.training import convolution, dropout, normalization

Kernels = tuple[tuple[str, Callable[[Any], Any]], ...]  # a method's name, and what stands in for it in a layer, or None

TRAINING: Kernels = (
    ("call", normalization.replacement),
    ("call", dropout.replacement),
    ("convolution_op", convolution.replacement),
)
JUDGING: Kernels = (("call", normalization.judging),)


@contextmanager
def quicker(model: Any, kernels: Kernels = TRAINING) -> Iterator[None]:
    """While a graph is traced, let a model's layers take these kernels, those of nested models too."""
    changed = []
    try:
        for layer in model._flatten_layers():
            for method, replacement in kernels:
                found = replacement(layer)
                if found is not None:
                    setattr(layer, method, found)
                    changed.append((layer, method))
        yield
    finally:
        for layer, method in changed:
            delattr(layer, method)
