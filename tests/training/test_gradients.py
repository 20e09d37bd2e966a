"""Gradients of a family's own: used while a run is traced, and not kept by TensorFlow after it."""

import gc
import os
import weakref

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own registry", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
from tensorflow.python.framework import ops  # noqa: E402

from bench.family import Family  # noqa: E402  after what it needs is there
from bench.space import Int, SearchSpace  # noqa: E402
from bench.training.gradients import forgotten  # noqa: E402
from bench.training.interface import Data  # noqa: E402
from bench.training.tensorflow import make_trainer  # noqa: E402


@tf.custom_gradient
def without_gradient(x):
    return 2.0 * x, tf.zeros_like


def own_run(compiled=False):
    """A run of a model through whose middle no gradient comes; below it are gradients of bench's own."""

    def build(config, shape, classes):
        images = keras.Input(shape)
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 2)(images))
        x = keras.layers.Dense(8, activation="silu", name="below")(keras.layers.Flatten()(x))
        x = keras.layers.Dense(8, name="between")(keras.layers.Lambda(without_gradient)(x))
        x = keras.layers.BatchNormalization()(keras.layers.Activation("silu")(x))
        model = keras.Model(images, keras.layers.Dense(classes)(x))
        if compiled:
            model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (512, 4, 4, 1)).astype(np.uint8)
    labels = generator.integers(0, 3, 512).astype(np.int32)
    family = Family("own", SearchSpace({"epochs": Int(1, 2)}), build)
    return make_trainer(family, {"epochs": 1}, Data(images, labels, images, labels, 3), 0, "float32")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_gradient_of_its_own_is_used_and_forgotten_with_the_run(compiled):
    run = own_run(compiled)
    registered = set(ops.gradient_registry.list())
    before = {layer.name: layer.get_weights() for layer in run.model.layers}
    run.advance(256, lambda samples, loss: None)
    run.val_accuracy()
    after = {layer.name: layer.get_weights() for layer in run.model.layers}
    np.testing.assert_array_equal(after["below"][0], before["below"][0])  # nothing comes through
    assert np.abs(after["between"][0] - before["between"][0]).max() > 0
    run.advance(512, lambda samples, loss: None)  # the trace is used again
    assert set(ops.gradient_registry.list()) == registered
    model = weakref.ref(run.model)
    del run
    gc.collect()
    assert model() is None


def test_what_was_registered_before_and_under_other_names_stays():
    def traced():
        tf.function(lambda x: tf.gradients(without_gradient(x), x), autograph=False).get_concrete_function(tf.ones(2))
        return set(ops.gradient_registry.list())

    earlier, own = traced(), f"OfATest{ops.uid()}"  # stays in this process
    with forgotten():
        tf.RegisterGradient(own)(lambda op, above: above)
        assert len(traced() - earlier) == 2
    assert set(ops.gradient_registry.list()) - earlier == {own}
    assert earlier <= set(ops.gradient_registry.list())
