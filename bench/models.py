"""Loading a trained model: only a file that a manifest names by its hash, and nothing in it that runs code.

A `.keras` file can hold a Python function. Keras's safe mode refuses those; the hash says that the file is the one that
bench wrote. Who loads another file has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import FamilyError, SealError
from bench.family import Family
from bench.files import sha256
from bench.space import Value


def check(path: Path, expected_sha256: str | None, way_out: str) -> None:
    """Refuse a file that is not the one that a manifest names.

    Args:
        expected_sha256: what the manifest says (hex), or None where it says nothing.
        way_out: the sentence that ends the message.

    Raises:
        SealError: the file is missing, is another one, or no hash of it was kept.
    """
    if expected_sha256 is None:
        raise SealError(f"The manifest of {path} was written by a version that kept no hash of models. {way_out}")
    if not path.is_file():
        raise SealError(f"{path} is missing. {way_out}")
    found = sha256(path)
    if found != expected_sha256:
        raise SealError(
            f"{path} is not the model that was frozen: its SHA-256 is {found[:12]}, that in the manifest "
            f"{expected_sha256[:12]}. {way_out}"
        )


def load(path: Path, custom_objects: Mapping[str, Any] | None = None, trust: bool = False) -> Any:
    """A Keras model, not compiled.

    Args:
        custom_objects: as `custom_objects_of` gives them.
        trust: also load what runs code of the file's own, a Lambda layer for one.

    Raises:
        FamilyError: Keras cannot or will not load it.
    """
    import keras

    try:
        return keras.models.load_model(path, custom_objects, compile=False, safe_mode=not trust)
    except Exception as error:
        said = str(error)
        if not trust and ("safe_mode" in said or "unsafe" in said):
            raise FamilyError(
                f"{path} holds code of its own, such as a Lambda layer, and loading it would run that code. Let the "
                "family use a layer class instead; a file whose maker you know loads with trust=True."
            ) from error
        why = (said.strip().splitlines() or [""])[-1].removeprefix("Exception encountered: ")
        raise FamilyError(
            f"{path} cannot be loaded: {type(error).__name__}: {why[:300]}. Layers of a family's own need "
            "get_config for their arguments."
        ) from error


def custom_objects_of(
    family: Family, config: Mapping[str, Value], image_shape: tuple[int, int, int], classes: int
) -> dict[str, Any]:
    """Name -> class of every layer of the family's own, found by building one model.

    Building also registers what the family registers with Keras inside `build`.
    """
    import keras

    model = family.build(dict(config), image_shape, classes)
    own = [kind for kind in {type(layer) for layer in _layers(model)} if not kind.__module__.startswith("keras.")]
    return {name: kind for kind in own for name in (kind.__name__, keras.saving.get_registered_name(kind))}


def ends_in_softmax(model: Any) -> bool:
    """Whether the outputs are probabilities, as far as the model's layers tell; all else counts as logits."""
    import keras

    last = last_layer(model)
    return getattr(last, "activation", None) is keras.activations.softmax or type(last).__name__ == "Softmax"


def last_layer(model: Any) -> Any:
    """The layer or operation that gives a model's output, inside nested models too; None where the model is no graph.

    A linear `Activation` behind it, there for its dtype, does not count.
    """
    import keras

    outputs = getattr(model, "outputs", None)
    tensor = outputs[0] if outputs else None
    while tensor is not None:
        operation, node, _ = tensor._keras_history
        if isinstance(operation, keras.Model) and operation.outputs:
            tensor = operation.outputs[0]
        elif isinstance(operation, keras.layers.Activation) and operation.activation is keras.activations.linear:
            tensor = operation._inbound_nodes[node].input_tensors[0]
        else:
            return operation
    return None


def _layers(layer: Any) -> Iterator[Any]:
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _layers(inner)
