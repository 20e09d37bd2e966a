"""Convolutional networks with max pooling. Source: LeCun et al., 1998."""

from __future__ import annotations

from typing import Any

from bench.family import Family
from bench.space import Choice, Config, Float, Int, SearchSpace
from search_spaces._common import TRAINING, hidden, logits

SPACE = SearchSpace(
    {
        "blocks": Int(2, 3),
        "filters": Choice(16, 24, 32),  # of the first block, which at full resolution costs the most
        "deep_filters": Choice(32, 48, 64),
        "kernel": Choice(3, 5),  # of the first block; the others' is 3, for 5 would cost them twice as much
        "batch_norm": Choice(False, True),
        "dense": Int(64, 512, log=True),
        "dropout": Float(0.0, 0.5),
        **TRAINING,
        "batch_size": Choice(128, 256),  # smaller ones win the low rungs by their many steps, and cost a third more
        "epochs": Int(5, 6),
    }
)


def build(config: Config, image_shape: tuple[int, int, int], classes: int) -> Any:
    import keras  # deferred: `bench families` must not load TensorFlow

    layers = keras.layers
    batch_norm = bool(config["batch_norm"])
    x = inputs = keras.Input(image_shape)
    for block in range(int(config["blocks"])):
        filters = int(config["filters" if block == 0 else "deep_filters"])
        kernel = int(config["kernel"]) if block == 0 else 3
        # Without padding where the image is large enough, so that small images still get all their blocks.
        padding = "valid" if min(x.shape[1:3]) >= kernel + 1 else "same"
        x = layers.Conv2D(filters, kernel, padding=padding, use_bias=not batch_norm, kernel_initializer="he_normal")(x)
        if block < 2 and min(x.shape[1:3]) >= 2:
            # Before the activation: ReLU and max commute, and the rest of the block works on a quarter of the pixels.
            x = layers.MaxPooling2D(2)(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
    x = layers.Flatten()(x)
    dropout = float(config["dropout"])
    if dropout > 0:
        x = layers.Dropout(dropout)(x)
    x = hidden(x, int(config["dense"]), batch_norm, dropout)
    return keras.Model(inputs, logits(x, classes))


FAMILY = Family(
    "cnn",
    SPACE,
    build,
    reference={
        "blocks": 3,
        "filters": 32,
        "deep_filters": 64,
        "kernel": 3,
        "batch_norm": False,
        "dense": 512,
        "dropout": 0.0,
        "batch_size": 128,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "cooldown": 0.0,
        "epochs": 5,
    },
)
