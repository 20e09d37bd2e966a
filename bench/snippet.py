"""A configuration as code: a script that builds and trains its model with stock Keras, on what the trial trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.data.sealed import Sealed
from bench.space import Value
from bench.training.interface import OPTIMIZERS, Recipe

CLASSES = {
    "adam": "Adam",
    "adamw": "AdamW",
    "lion": "Lion",
    "nadam": "Nadam",
    "rmsprop": "RMSprop",
    "sgd": "SGD",
}


def snippet(family: str, config: Mapping[str, Value], sealed: Sealed, precision: str, seed: int | None) -> str:
    """A script to be run where `bench` was called. It reads train and validation images, never the test images.

    Shuffling and the end of an epoch are Keras's own, so that its accuracy is near the trial's, not the same.

    Args:
        family: as it was named on the command line.
        seed: the trial's.

    Raises:
        FamilyError: the configuration cannot be trained.
    """
    known = config.get("optimizer", OPTIMIZERS[0]) in OPTIMIZERS
    recipe = Recipe.of(config if known else {**config, "optimizer": OPTIMIZERS[0]})  # a compiled model's own
    scale = " / 255" if sealed.dtype == "uint8" else ""
    return "\n".join(
        [
            *(["import math", ""] if recipe.warm_up or recipe.cooldown else []),
            "import keras",
            "import numpy as np",
            "",
            "from bench.family import load",
            "from bench.training.fit import labels_for",
            "",
            "config = {",
            *(f"    {name!r}: {value!r}," for name, value in config.items()),
            "}",
            f"keras.utils.set_random_seed({(seed or 0) % 2**32})",
            *(["keras.config.set_dtype_policy('mixed_bfloat16')"] if precision == "bfloat16" else []),
            "",
            f"n = {sealed.n_train}  # training images, then those for validation",
            f"with np.load({str(sealed.train_path)!r}) as data:",
            f"    x, y = data['x'].astype('float32'){scale}, data['y']",
            "",
            f"model = load({family!r}).build(config, {sealed.image_shape!r}, {sealed.classes})",
            *_rate(recipe),
            "if model.compiled:  # a family may bring its own loss and optimizer",
            f"    y = labels_for(model, y, {sealed.classes})",
            "else:",
            "    model.compile(",
            f"        keras.optimizers.{CLASSES[recipe.optimizer]}({', '.join(_arguments(recipe))}),",
            "        keras.losses.SparseCategoricalCrossentropy(from_logits=True),",
            "        metrics=['accuracy'],",
            "    )",
            "model.fit(",
            "    x[:n],",
            "    y[:n],",
            f"    batch_size={recipe.batch_size},",
            f"    epochs={math.ceil(recipe.epochs)},",
            "    validation_data=(x[n:], y[n:]),",
            "    verbose=2,",
            ")",
            "",
        ]
    )


def _rate(recipe: Recipe) -> list[str]:
    """The learning rate `rate`: a number, or the trapezoid of `Recipe` as a schedule of Keras."""
    if not (recipe.warm_up or recipe.cooldown):
        return [f"rate = {recipe.learning_rate!r}"]
    rise, fall = f"done / {recipe.warm_up!r}", f"(1.0 - done) / {recipe.cooldown!r}"
    return [
        f"steps = {math.ceil(recipe.epochs)} * math.ceil(n / {recipe.batch_size})",
        "",
        "",
        "class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):",
        "    def __call__(self, step):",
        "        done = keras.ops.cast(step, 'float32') / steps",
        f"        rate = {recipe.learning_rate!r}",
        *([f"        rate *= keras.ops.minimum(1.0, {rise})"] if recipe.warm_up else []),
        *([f"        rate *= keras.ops.minimum(1.0, {fall})"] if recipe.cooldown else []),
        "        return rate",
        "",
        "    def get_config(self):",
        "        return {}",
        "",
        "",
        "rate = Trapezoid()",
    ]


def _arguments(recipe: Recipe) -> list[str]:
    """What `bench.training.loop.make_optimizer` gives the optimizer."""
    sgd = [f"momentum={recipe.momentum!r}", "nesterov=True"] if recipe.optimizer == "sgd" else []
    return ["rate", *sgd, *(f"{name}={value!r}" for name, value in recipe.decay.items())]
