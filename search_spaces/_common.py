"""Knobs that the built-in families share."""

from __future__ import annotations

from typing import Any

from bench.space import Choice, Domain, Float, When

# Owned by the trainer, not by build. The reference configurations of all families lie inside.
TRAINING: dict[str, Domain | When] = {
    "batch_size": Choice(64, 128, 256),
    "optimizer": Choice("adam", "rmsprop", "sgd"),
    "learning_rate": Float(1e-3, 2e-2, log=True),
    # With these rates plain gradient descent needs much momentum: the step in the long run is rate / (1 - momentum).
    "momentum": When("optimizer", ("sgd",), Float(0.9, 0.99)),
    "weight_decay": Float(0.0, 0.1),
    "cooldown": Float(0.0, 0.7),  # 0 is a constant rate; a first third at full rate keeps the low rungs comparable
}


def hidden(x: Any, units: int, batch_norm: bool, dropout: float = 0.0) -> Any:
    """Dense, batch normalisation if wanted, ReLU, dropout if any."""
    import keras

    # He et al. 2015, eq. 10: a standard deviation of sqrt(2 / fan_in) suits ReLU.
    x = keras.layers.Dense(units, use_bias=not batch_norm, kernel_initializer="he_normal")(x)
    if batch_norm:
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.ReLU()(x)
    return keras.layers.Dropout(dropout)(x) if dropout > 0 else x


def logits(x: Any, classes: int) -> Any:
    """The last layer, in float32 whatever the policy: bfloat16 logits tie too often."""
    import keras

    return keras.layers.Dense(classes, dtype="float32", name="logits")(x)
