"""Dense networks. The reference is one hidden layer of 512 units, trained for 15 epochs."""

from __future__ import annotations

from typing import Any

from bench.family import Family
from bench.space import Choice, Config, Int, SearchSpace
from search_spaces._common import TRAINING, hidden, logits

SPACE = SearchSpace(
    {
        "depth": Int(1, 3),
        "width": Int(128, 768, log=True),
        "batch_norm": Choice(False, True),
        **TRAINING,
        "epochs": Int(5, 15),
    }
)


def build(config: Config, image_shape: tuple[int, int, int], classes: int) -> Any:
    import keras  # deferred: `bench families` must not load TensorFlow

    inputs = keras.Input(image_shape)
    x = keras.layers.Flatten()(inputs)
    for _ in range(int(config["depth"])):
        x = hidden(x, int(config["width"]), bool(config["batch_norm"]))
    return keras.Model(inputs, logits(x, classes))


FAMILY = Family(
    "mlp",
    SPACE,
    build,
    reference={
        "depth": 1,
        "width": 512,
        "batch_norm": False,
        "batch_size": 128,
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "cooldown": 0.0,
        "epochs": 15,
    },
)
