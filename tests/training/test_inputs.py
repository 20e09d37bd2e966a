"""What a model sees, and models that have nothing to train or a type that the loop has no step for."""

import numpy as np
import pytest

from bench.errors import FamilyError
from bench.family import Family
from bench.space import Int, SearchSpace
from bench.training import backend
from bench.training.interface import Data

keras = pytest.importorskip("keras")
make_trainer = backend.module().make_trainer
GENERATOR = np.random.default_rng(0)
X = GENERATOR.integers(0, 256, (96, 6, 6, 1)).astype(np.uint8)
Y = GENERATOR.integers(0, 3, 96).astype(np.int32)
DATA = Data(X[:64], Y[:64], X[64:], Y[64:], 3)


def trainer(build, precision="float32"):
    family = Family("own", SearchSpace({"epochs": Int(1, 9)}), build)
    return make_trainer(family, {"epochs": 2, "batch_size": 16}, DATA, 0, precision)


def in_float32(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    x = keras.layers.Flatten(dtype="float32")(inputs)
    return keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(x))


def test_a_layer_that_computes_in_float32_sees_images_in_float32_also_in_bfloat16():
    run = trainer(in_float32, "bfloat16")
    run.advance(64, lambda samples, loss: None)
    kernel, bias = run.model.get_weights()
    pixels = DATA.val_x.reshape(len(DATA.val_x), -1) / np.float32(255.0)
    np.testing.assert_allclose(run.logits(DATA.val_x), pixels @ kernel + bias, atol=1e-5)


def test_a_model_with_nothing_to_train_is_judged_as_it_is():
    def frozen(config, image_shape, classes):
        model = in_float32(config, image_shape, classes)
        model.trainable = False
        return model

    run = trainer(frozen)
    before = run.model.get_weights()
    assert run.advance(run.total_samples, lambda samples, loss: None) > 0
    for one, other in zip(before, run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert 0 <= run.val_accuracy() <= 1


def test_float16_is_refused_where_nothing_scales_its_loss():
    def half(config, image_shape, classes):
        keras.config.set_dtype_policy("mixed_float16")
        inputs = keras.Input(image_shape)
        x = keras.layers.Flatten()(inputs)
        return keras.Model(inputs, keras.layers.Dense(classes)(x))

    with pytest.raises(FamilyError, match="computes in float16"):
        trainer(half)
