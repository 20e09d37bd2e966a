"""Dense networks with dropout. Source: Srivastava et al., 2014."""

from __future__ import annotations

from typing import Any

from bench.family import Family
from bench.space import Choice, Config, Float, Int, SearchSpace
from search_spaces._common import TRAINING, hidden, logits

SPACE = SearchSpace(
    {
        "depth": Int(1, 3),
        "width": Int(256, 768, log=True),
        "dropout": Float(0.1, 0.6),
        "input_dropout": Float(0.0, 0.3),
        "batch_norm": Choice(False, True),
        **TRAINING,
        "epochs": Int(10, 44),
    }
)


def build(config: Config, image_shape: tuple[int, int, int], classes: int) -> Any:
    import keras  # deferred: `bench families` must not load TensorFlow

    inputs = keras.Input(image_shape)
    x = keras.layers.Flatten()(inputs)
    if float(config["input_dropout"]) > 0:
        x = keras.layers.Dropout(float(config["input_dropout"]))(x)
    for _ in range(int(config["depth"])):
        x = hidden(x, int(config["width"]), bool(config["batch_norm"]), float(config["dropout"]))
    return keras.Model(inputs, logits(x, classes))


FAMILY = Family(
    "mlp_dropout",
    SPACE,
    build,
    reference={
        "depth": 1,
        "width": 512,
        "dropout": 0.5,
        "input_dropout": 0.0,
        "batch_norm": False,
        "batch_size": 128,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "cooldown": 0.0,
        "epochs": 44,
    },
)
