"""Layers of Keras that the TensorFlow loop computes by quicker kernels of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.training import convolution, dropout, normalization

REPLACED = (  # methods of layers
    ("call", normalization.replacement),
    ("call", dropout.replacement),
    ("convolution_op", convolution.replacement),
)


@contextmanager
def quicker(model: Any) -> Iterator[None]:
    """While a graph is traced, let a model's layers take these kernels, those of nested models too."""
    changed = []
    try:
        for layer in model._flatten_layers():
            for method, replacement in REPLACED:
                ours = replacement(layer)
                if ours is not None:
                    setattr(layer, method, ours)
                    changed.append((layer, method))
        yield
    finally:
        for layer, method in changed:
            delattr(layer, method)
