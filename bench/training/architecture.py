"""What a model is made of, where Keras's description of it says all."""

from __future__ import annotations

from typing import Any

import keras


def described(model: Any) -> dict[str, Any] | None:
    """Keras's description of a model of its own layers, initializers and so on; None for any other.

    What a class or a function of a family's does, or keeps, its configuration need not say.
    """
    if not type(model).__module__.startswith("keras."):
        return None
    try:
        found: dict[str, Any] = keras.saving.serialize_keras_object(model)
    except Exception:  # a layer of a family's own without get_config, whatever it raises
        return None
    return found if _of_keras(found) else None


def _of_keras(description: Any) -> bool:
    if isinstance(description, dict):
        if "class_name" in description and "module" in description:
            where = description["module"] or ""
            if description["class_name"] == "Lambda" or not (where == "keras" or where.startswith("keras.")):
                return False
        return all(_of_keras(value) for value in description.values())
    return not isinstance(description, (list, tuple)) or all(_of_keras(value) for value in description)
