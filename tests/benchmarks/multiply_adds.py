"""Floating-point operations that a model needs to train on one image, counted from its layers.

    python tests/benchmarks/multiply_adds.py SEALED-FOLDER FAMILY < configurations.json

A multiply-add is two operations. A layer with weights needs one pass forward and two backward, one for the gradient of
its weights and one for that of its input; the first has no use for the latter. Nothing else is counted: activations,
pooling, normalisation and the optimizer move memory, and what a matrix product could do meanwhile is lost.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

UNCOUNTED = ("BatchNormalization",)  # weights, but no products


def multiply_adds(layer: Any) -> int:
    """Of one forward pass of a layer over one image; 0 for a layer without products.

    Raises:
        ValueError: the layer has weights and is of a kind that is not known here.
    """
    kind = type(layer).__name__
    if kind == "Dense":
        *positions, units = layer.output.shape[1:]
        return math.prod(positions) * layer.input.shape[-1] * units
    if kind == "Conv2D":
        height, width, filters = layer.output.shape[1:]
        kernel_height, kernel_width, channels, _ = layer.kernel.shape  # channels of one group
        return height * width * filters * kernel_height * kernel_width * channels
    if layer.trainable_weights and kind not in UNCOUNTED:
        raise ValueError(f"It is not known how many multiply-adds a layer of kind {kind} takes; count them here.")
    return 0


def training_operations(model: Any) -> int:
    """Of one image, forward and both backward passes; for a model whose layers follow one another."""
    total, below = 0, False
    for layer in model.layers:
        total += (3 if below else 2) * multiply_adds(layer)
        below = below or bool(layer.trainable_weights)
    return 2 * total


def main() -> None:
    from bench.data.sealed import Sealed
    from bench.family import load
    from bench.training.imports import only_what_is_needed

    with only_what_is_needed():
        import keras  # noqa: F401
    sealed, family = Sealed.load(Path(sys.argv[1])), load(sys.argv[2])
    configs = json.load(sys.stdin)
    models = (family.build(config, sealed.image_shape, sealed.classes) for config in configs)
    print(json.dumps([training_operations(model) for model in models]))


if __name__ == "__main__":
    main()
