"""Batch normalisation of the TensorFlow loop held to Keras's own layer: outputs, gradients and moving statistics."""

import os

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.family import Family, load  # noqa: E402  after what it needs is there
from bench.space import Int, SearchSpace  # noqa: E402
from bench.training import normalization  # noqa: E402
from bench.training.interface import Data, Diverged  # noqa: E402
from bench.training.layers import JUDGING, TRAINING, quicker  # noqa: E402
from bench.training.tensorflow import make_trainer  # noqa: E402
from tests.layer_traces import traced  # noqa: E402

KERNEL = "FusedBatchNorm"


def of_layer(layer, x, above, with_kernels):
    """(outputs, gradients of inputs and weights, moving statistics), and the names of the operations."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    layer.set_weights([w + np.linspace(0.1, 0.5, w.size).astype(w.dtype) for w in layer.get_weights()])
    found, names = traced(model, x, above, with_kernels)
    return [*found, *map(np.asarray, model.non_trainable_variables)], names


def both(options, shape, dtype="float32"):
    generator = np.random.default_rng(0)
    x = (3 + 2 * generator.normal(size=shape)).astype(np.float32)
    above = generator.normal(size=shape).astype(np.float32)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    layers = [keras.layers.BatchNormalization(dtype=policy, momentum=0.9, **options) for _ in range(2)]
    return [of_layer(layer, x, above, k == 0) for k, layer in enumerate(layers)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(8, 5, 5, 16), (8, 6, 5, 24), (16, 5, 5, 3), (8, 2, 2, 1), (32, 16), (32, 64)])
@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}, {"axis": "last", "epsilon": 1e-5}])
def test_the_kernels_compute_what_the_layer_does(options, shape, dtype):
    options = {**options, **({"axis": len(shape) - 1} if "axis" in options else {})}
    (ours, kernels), (theirs, without) = both(options, shape, dtype)
    assert any(KERNEL in name for name in kernels) and not any(KERNEL in name for name in without)
    for mine, other in zip(ours, theirs, strict=True):
        near = 2e-2 if dtype == "bfloat16" else 2e-5
        np.testing.assert_allclose(mine, other, rtol=near, atol=near * max(1.0, np.abs(other).max()))


def test_in_float32_positions_need_not_come_out_even():
    (ours, kernels), (theirs, _) = both({}, (8, 5, 5, 3))  # 200 of them, 16 of which would be aligned
    assert any(KERNEL in name for name in kernels)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-5 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize(("shape", "dtype"), [((32, 1), "float32"), ((32, 10), "bfloat16"), ((8, 5, 5, 3), "bfloat16")])
def test_what_no_number_of_positions_aligns_is_left_to_the_layer(shape, dtype):
    (ours, kernels), (theirs, _) = both({}, shape, dtype)
    assert not any(KERNEL in name for name in kernels)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("shape", "taken"), [((8, 4, 4, 16), True), ((8, 5, 4, 24), True), ((32, 16), True), ((32, 10), False)]
)
def test_by_moving_statistics_the_kernels_compute_what_the_layer_does(shape, taken, dtype):
    layer = keras.layers.BatchNormalization(dtype=dtype)
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    layer.set_weights([w + np.linspace(0.1, 0.5, w.size).astype(w.dtype) for w in layer.get_weights()])
    x = tf.cast(np.random.default_rng(4).normal(3, 2, size=shape), layer.compute_dtype)
    before = [np.asarray(one) for one in layer.weights]

    def judge(x, kernels):
        with quicker(model, kernels):
            return model(x, training=False)

    for kernels, found in ((JUDGING, taken), (TRAINING, False)):  # a gradient of a gradient is Keras's alone
        graph = tf.function(judge, autograph=False).get_concrete_function(x, kernels).graph
        assert any(KERNEL in operation.type for operation in graph.get_operations()) == found
    near = 1e-5 if dtype == "float32" else 1e-2
    mine, theirs = (np.asarray(tf.cast(judge(x, kernels), "float32")) for kernels in (JUDGING, ()))
    np.testing.assert_allclose(mine, theirs, rtol=near, atol=near)
    for now, then in zip(layer.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("filters", "images"), [(16, 128), (24, 16), (20, 130), (3, 300)])
def test_a_run_is_judged_by_the_kernels_as_keras_would(filters, images, precision, monkeypatch):
    generator = np.random.default_rng(3)
    x = generator.integers(0, 256, (300, 12, 12, 1)).astype(np.uint8)
    y = generator.integers(0, 10, 300).astype(np.int32)
    family, config = load("cnn"), {"batch_norm": True, "filters": filters, "deep_filters": 16, "dense": 8}
    config = {**family.reference, **config, "batch_size": 64, "epochs": 9}
    monkeypatch.setattr("bench.training.tensorflow.threads_of", lambda: 1)
    run = make_trainer(family, config, Data(x, y, x, y, 10), 1, precision)
    run.advance(640, lambda samples, loss: None)
    taken = []
    judge = normalization._judge
    monkeypatch.setattr(
        normalization, "_judge", lambda layer, *given, **told: taken.append(layer) or judge(layer, *given, **told)
    )
    found, expected = run.logits(x[:images]), run.model(x[:images] / np.float32(255), training=False)
    near = 5e-2 if precision == "bfloat16" else 1e-4
    assert run.at_once == 128 and len(taken) == 4 and found.shape == (images, 10) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=near, atol=near * np.abs(expected).max())


@pytest.mark.parametrize("channels", [16, 24])
def test_values_far_from_zero_keep_their_variance(channels):
    x = np.random.default_rng(2).normal(1000, 1, size=(16, 4, 4, channels)).astype(np.float32)
    layer = keras.layers.BatchNormalization(dtype="float32", momentum=0.0)
    (_, _, _, _, mean, variance), names = of_layer(layer, x, np.ones_like(x), with_kernels=True)
    assert any(KERNEL in name for name in names)
    flat = x.reshape(-1, channels).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, flat.var(axis=0), rtol=1e-3)


@pytest.mark.parametrize("trainable", [True, False])
def test_a_layer_that_normalises_otherwise_is_left_alone(trainable):
    class Own(keras.layers.BatchNormalization):
        pass

    layer = Own() if trainable else keras.layers.BatchNormalization(trainable=False)
    x = np.random.default_rng(1).normal(size=(8, 4, 4, 16)).astype(np.float32)
    _, kernels = of_layer(layer, x, np.ones_like(x), with_kernels=True)
    assert not any(KERNEL in name for name in kernels)
    if trainable:
        (_, over_rows), _ = both({"axis": 1}, (8, 4, 4, 16))
        assert not any(KERNEL in name for name in over_rows)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.BatchNormalization(dtype="bfloat16"),
        lambda: keras.layers.BatchNormalization(dtype="mixed_bfloat16", autocast=False),
        lambda: keras.layers.BatchNormalization(renorm=True),
    ],
)
def test_what_the_kernels_do_not_take_trains_as_with_keras(layer):
    x = np.random.default_rng(1).normal(100, 1, size=(8, 4, 4, 16)).astype(np.float32)
    (ours, kernels), (theirs, _) = (
        of_layer(layer(), x, np.ones_like(x), with_kernels) for with_kernels in (True, False)
    )
    assert not any(KERNEL in name for name in kernels)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_call_that_a_family_gave_a_layer_is_kept():
    model = keras.Sequential([keras.Input((16,)), keras.layers.BatchNormalization()])
    own = model.layers[-1].call = lambda inputs, training=None: 2.0 * inputs
    with quicker(model):
        assert model.layers[-1].call is own
    assert model.layers[-1].call is own


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("filters", "batch_norm"), [(16, True), (24, True), (16, False)])
def test_the_loop_trains_by_the_kernels_and_hears_of_weights_that_are_no_numbers(filters, batch_norm, precision):
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (64, 12, 12, 1)).astype(np.uint8), generator.integers(0, 10, 64).astype(np.int32)
    family = load("cnn")
    config = {**family.reference, "batch_norm": batch_norm, "filters": filters, "deep_filters": 16, "dense": 8}
    run = make_trainer(family, {**config, "batch_size": 16, "epochs": 9}, Data(x, y, x, y, 10), 1, precision)
    run.advance(64, lambda samples, loss: None)
    assert (KERNEL in str(run._steps.get_concrete_function().graph.as_graph_def())) == batch_norm
    kernel = run.model.trainable_variables[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(Diverged):
        run.advance(256, lambda samples, loss: None)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # Keras says so of the integer, which is as it should be
def test_a_model_with_a_weight_that_is_an_integer_trains():
    class Counter(keras.layers.Layer):
        def build(self, shape):
            self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros")

        def call(self, inputs):
            return inputs

    def build(config, image_shape, classes):
        layers = [keras.Input(image_shape), Counter(), keras.layers.Flatten(), keras.layers.Dense(classes)]
        return keras.Sequential(layers)

    x, y = np.zeros((32, 4, 4, 1), np.uint8), np.zeros(32, np.int32)
    family = Family("counting", SearchSpace({"epochs": Int(1, 2)}), build)
    run = make_trainer(family, {"epochs": 1, "batch_size": 8}, Data(x, y, x, y, 10), 1, "float32")
    assert np.isfinite(run.advance(32, lambda samples, loss: None))


def test_layers_of_nested_models_are_found_and_given_back():
    inner = keras.Sequential([keras.Input((4, 4, 16)), keras.layers.BatchNormalization()])
    model = keras.Sequential([keras.Input((4, 4, 16)), inner])
    layer = inner.layers[-1]
    own = layer.call
    with quicker(model):
        assert layer.call != own
    assert layer.call == own and "call" not in vars(layer)


def test_a_graph_that_fails_gives_the_layers_back():
    model = keras.Sequential([keras.Input((16,)), keras.layers.BatchNormalization()])
    with pytest.raises(ZeroDivisionError), quicker(model):
        1 / 0  # noqa: B018
    assert "call" not in vars(model.layers[-1])
