"""Models of hypermodels as they come: images, classes, losses and probabilities, with real KerasTuner and Keras."""

import numpy as np
import pytest

import bench
from bench import models
from bench.errors import FamilyError
from bench.holdout.exam import _predict
from bench.training.fit import FitTrainer
from bench.training.interface import Data, Recipe
from bench.training.loop import count_parameters
from bench.training.tensorflow import make_trainer
from tests.engines.test_hypermodel import Conditional

keras = pytest.importorskip("keras")
keras_tuner = pytest.importorskip("keras_tuner")
SHAPE, CLASSES = (8, 8, 1), 10


def data(images=256):
    generator = np.random.default_rng(0)
    y = generator.integers(0, CLASSES, images).astype(np.int32)
    x = generator.integers(0, 100, (images, *SHAPE)).astype(np.uint8)
    x[np.arange(images), y % 8] = 255
    x[np.arange(images), :, y // 8] = 255
    return Data(x[:192], y[:192], x[192:], y[192:], CLASSES)


def one_layer(input_shape, activation, loss, units=CLASSES):
    def build(hp):
        layers = [keras.layers.Flatten(), keras.layers.Dense(units, activation=activation)]
        model = keras.Sequential([keras.Input(input_shape), *layers] if input_shape else layers)
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9), loss, metrics=["accuracy"], steps_per_execution=4)
        return model

    return bench.from_hypermodel(build, "one", epochs=3)


@pytest.mark.parametrize("input_shape", [None, (8, 8, 1), (8, 8), (64,), (None, None, 1)])
def test_images_reach_a_model_in_the_shape_that_it_takes(input_shape):
    if input_shape == (None, None, 1):

        def build(hp):
            inputs = keras.Input(input_shape)
            x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
            model = keras.Model(inputs, keras.layers.Dense(10)(x))
            model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            return model

        family = bench.from_hypermodel(build)
    else:
        family = one_layer(input_shape, "softmax", "sparse_categorical_crossentropy")
    model = family.build(family.reference, SHAPE, CLASSES)
    assert model.input_shape == (None, *SHAPE) and model.output_shape == (None, 10) and model.compiled


def test_models_that_do_not_fit_the_images_or_the_classes_are_refused_with_both():
    for shape in ((28, 28), (1, 8, 8)):
        with pytest.raises(FamilyError, match=r"inputs of shape \(.*\), but the images are \(8, 8, 1\)"):
            count_parameters(one_layer(shape, "softmax", "mse"), {}, SHAPE, CLASSES)
    with pytest.raises(FamilyError, match=r"end in \(3,\) outputs, but the data have 10 classes"):
        count_parameters(one_layer((8, 8), "softmax", "mse", units=3), {}, SHAPE, CLASSES)
    with pytest.raises(FamilyError, match="end in a sigmoid"):
        count_parameters(one_layer((8, 8), "sigmoid", "binary_crossentropy"), {}, SHAPE, CLASSES)

    uncompiled = bench.from_hypermodel(lambda hp: keras.Sequential([keras.layers.Dense(10)]), "bare")
    with pytest.raises(FamilyError, match="must compile its model"):
        count_parameters(uncompiled, {}, SHAPE, CLASSES)


def own_loss(y, outputs):
    return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, outputs))


LOSSES = [
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("softmax", keras.losses.CategoricalCrossentropy(label_smoothing=0.1, name="sparse")),
    ("softmax", "mse"),
    ("softmax", own_loss),
    (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    (None, keras.losses.CategoricalCrossentropy(from_logits=True)),
]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("activation, loss", LOSSES)
def test_every_loss_gets_the_labels_that_it_takes_and_probabilities_are_stored_as_such(
    activation, loss, precision, tmp_path
):
    family, images = one_layer((8, 8), activation, loss), data()
    trainer = make_trainer(family, {"epochs": 30, "batch_size": 32}, images, 1, precision)
    assert isinstance(trainer, FitTrainer)
    trainer.advance(trainer.total_samples, lambda samples, loss: None)
    assert trainer.val_accuracy() > 0.9
    trainer.save(tmp_path / "model.keras")
    loaded = models.load(tmp_path / "model.keras")
    assert models.ends_in_softmax(loaded) == (activation == "softmax")
    outputs = np.asarray(loaded(images.val_x / np.float32(255), training=False), np.float32)
    (stored,) = _predict([loaded], images.val_x)
    np.testing.assert_allclose(stored.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(stored.argmax(axis=1), outputs.argmax(axis=1))
    if activation == "softmax":
        np.testing.assert_allclose(stored, outputs, atol=1e-6 if precision == "float32" else 1e-2)
    else:
        assert abs(outputs.sum(axis=1) - 1).max() > 0.1
    if not callable(loss) or "sparse" in str(loss):  # neither smoothed nor anything else than likelihood
        assert np.median(stored.max(axis=1)) > 0.5


def test_steps_that_are_compiled_into_one_call_are_taken_one_by_one():
    family = one_layer(SHAPE, "softmax", "categorical_crossentropy")
    trainer = make_trainer(family, {"epochs": 30, "batch_size": 32}, data(), 1, "float32")
    trainer.advance(trainer.total_samples, lambda samples, loss: None)
    assert trainer.val_accuracy() > 0.9
    assert int(trainer.model.optimizer.iterations) == trainer.total_steps


def test_a_model_of_its_own_optimizer_may_call_it_what_it_likes():
    family = bench.from_hypermodel(Conditional(10))
    config = {**family.reference, "optimizer": "SGD", "sgd_momentum": 0.3, "epochs": 1}
    trainer = make_trainer(family, config, data(), 0, "float32")
    assert trainer.recipe == Recipe(epochs=1, batch_size=32)
    assert trainer.model.optimizer.momentum == 0.3


@pytest.mark.parametrize(
    "ending",
    [
        lambda x: keras.layers.Dense(10, activation="softmax")(x),
        lambda x: keras.layers.Activation("softmax")(keras.layers.Dense(10)(x)),
        lambda x: keras.layers.Softmax()(keras.layers.Dense(10)(x)),
        lambda x: keras.ops.softmax(keras.layers.Dense(10)(x)),
        lambda x: keras.layers.Activation("linear", dtype="float32")(keras.layers.Dense(10, "softmax")(x)),
        lambda x: keras.Sequential([keras.layers.Dense(10), keras.layers.Activation("softmax")])(x),
    ],
)
def test_softmax_is_seen_however_it_is_written(ending, tmp_path):
    inputs = keras.Input(SHAPE)
    x = keras.layers.Flatten()(inputs)
    keras.Model(inputs, ending(x)).save(tmp_path / "model.keras")
    assert models.ends_in_softmax(models.load(tmp_path / "model.keras"))
    assert not models.ends_in_softmax(keras.Model(inputs, keras.layers.Dense(10)(x)))
    family = bench.Family(
        "bare", bench.SearchSpace({"epochs": bench.Int(1, 2)}), lambda *_: keras.Model(inputs, ending(x))
    )
    with pytest.raises(FamilyError, match="ends in softmax, and the loss takes logits"):
        count_parameters(family, {}, SHAPE, CLASSES)
