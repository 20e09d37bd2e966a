"""What a model is made of, where Keras's description of it says all."""

from __future__ import annotations

from typing import Any

import keras


def described(model: Any) -> dict[str, Any] | None:
    """Keras's description of a model of its own layers, initializers and so on; None for any other.

    What a class or a function of a family's does, or keeps, its configuration need not say.
    """
    # Of an activation the description may hold a bare name, whatever function bears it.
    layers = [vars(layer) for layer in model._flatten_layers()]
    activations = [own[name] for own in layers for name in own if name.endswith("activation")]
    foreign = [one for one in activations if callable(one) and not _from_keras(one)]
    if foreign or any("call" in own for own in layers) or not type(model).__module__.startswith("keras."):
        return None
    try:
        found: dict[str, Any] = keras.saving.serialize_keras_object(model)
    except Exception:  # a layer of a family's own without get_config, whatever it raises
        return None
    return found if _of_keras(found) else None


def _from_keras(activation: Any) -> bool:
    return str(getattr(activation, "__module__", "")).startswith("keras.")


def _of_keras(description: Any) -> bool:
    if isinstance(description, dict):
        if description.get("class_name") == "__lambda__":
            return False
        if "class_name" in description and "module" in description:
            where = description["module"] or ""
            if description["class_name"] == "Lambda" or not (where == "keras" or where.startswith("keras.")):
                return False
        return all(_of_keras(value) for value in description.values())
    return not isinstance(description, (list, tuple)) or all(_of_keras(value) for value in description)
