"""A hypermodel's model as bench needs it: taking the images as they are stored, giving one output a class.

The model itself is left as it was built but for one thing: under bfloat16 its last layer computes in float32, as
Keras's guide to mixed precision asks of every model.
"""

from __future__ import annotations

from typing import Any

from bench.errors import FamilyError
from bench.models import last_layer


def fit_to_images(model: Any, image_shape: tuple[int, int, int], classes: int) -> Any:
    """The model, built, behind a layer that reshapes the images where it takes them in another shape.

    Args:
        model: a Keras model, compiled; one without an input shape is built for the images.

    Raises:
        FamilyError: it fits neither the images nor the classes, or ends in neither logits nor softmax.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise FamilyError(f"build(hp) must return a Keras model, not {model!r:.100}.")
    if not model.compiled and type(model).train_step is keras.Model.train_step:
        raise FamilyError("build(hp) must compile its model, as KerasTuner asks too; add model.compile(...).")
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *image_shape))
    if not isinstance(getattr(model, "input_shape", None), tuple):
        return model  # check_model says what is needed
    seen = tuple(model.input_shape[1:])
    fitted = model if seen == tuple(image_shape) else _reshaped(model, seen, image_shape)
    units = tuple(model.output_shape[1:])
    if units != (classes,):
        raise FamilyError(
            f"build(hp) makes models that end in {units} outputs, but the data have {classes} classes; give the last "
            f"layer {classes} units."
        )
    last = last_layer(model)
    if getattr(last, "activation", None) is keras.activations.sigmoid:
        raise FamilyError(
            "build(hp) makes models that end in a sigmoid, whose outputs are no probabilities of classes that exclude "
            "each other; end in softmax, or in logits with a loss that has from_logits=True."
        )
    if isinstance(last, keras.Layer) and last.compute_dtype != "float32":
        last.dtype_policy = "float32"
    return fitted


def _reshaped(model: Any, seen: tuple[int | None, ...], wanted: tuple[int, int, int]) -> Any:
    import keras

    height, width, channels = wanted
    free = len(seen) == 3 and all(had in (None, has) for had, has in zip(seen, wanted, strict=True))
    if not free and seen not in ((height * width * channels,), (height, width) if channels == 1 else wanted):
        raise FamilyError(
            f"build(hp) makes models for inputs of shape {seen}, but the images are {wanted}; use "
            f"keras.Input({wanted}), or begin with Flatten and no Input."
        )
    if type(model).train_step is not keras.Model.train_step:
        raise FamilyError(
            f"build(hp) makes models with a train_step of their own for inputs of shape {seen}, but the images are "
            f"{wanted}; use keras.Input({wanted})."
        )
    inputs = keras.Input(wanted)
    outer = keras.Model(inputs, model(inputs if free else keras.layers.Reshape(seen)(inputs)))
    outer.compile(optimizer=model.optimizer, loss=model.loss, run_eagerly=model.run_eagerly)
    model.compiled = False  # else a loss of the user's own would be looked for when the saved model is loaded
    return outer
