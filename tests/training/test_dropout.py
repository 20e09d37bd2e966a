"""Dropout of the TensorFlow loop: how much is dropped, what is left of the rest, and that gradients go the same way."""

import os

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.training.layers import quicker  # noqa: E402  after what it needs is there

DRAWS = "StatelessRandomUniformFullIntV2"


def traced(layer, x, training=True):
    """A function that returns (what the layer makes of x, its gradient), and the names of its operations."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])

    @tf.function(autograph=False)
    def run():
        images = tf.constant(x, tf.as_dtype(layer.compute_dtype))
        with tf.GradientTape() as tape:
            tape.watch(images)
            with quicker(model):
                y = model(images, training=training)
            total = tf.reduce_sum(tf.cast(y, tf.float32))
        return tf.cast(y, tf.float32), tf.cast(tape.gradient(total, images), tf.float32)

    graph = run.get_concrete_function().graph
    return lambda: [np.asarray(one) for one in run()], {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(64, 101), (16, 5, 5, 3), (1, 3)])
@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_as_much_is_dropped_as_was_asked_and_the_rest_makes_up_for_it(rate, shape, dtype):
    x = np.random.default_rng(0).uniform(1, 2, size=shape).astype(np.float32)
    run, kinds = traced(keras.layers.Dropout(rate, seed=3, dtype=dtype), x)
    assert DRAWS in kinds
    near = 1e-2 if dtype == "bfloat16" else 1e-4
    kept, draws = 0, 40
    for _ in range(draws):
        y, gradient = run()
        np.testing.assert_allclose(y[y != 0], x[y != 0] / (1 - rate), rtol=near)
        np.testing.assert_array_equal(gradient != 0, y != 0)
        np.testing.assert_allclose(gradient[y != 0], 1 / (1 - rate), rtol=near)
        kept += np.count_nonzero(y)
    spread = np.sqrt(rate * (1 - rate) / (draws * x.size))
    assert kept / (draws * x.size) == pytest.approx(1 - rate, abs=4 * spread)


def test_masks_differ_from_step_to_step_and_between_places_and_come_again_with_the_seed():
    x = np.ones((40, 50), np.float32)
    first, again = (traced(keras.layers.Dropout(0.5, seed=7), x)[0] for _ in range(2))
    masks = [first()[0] != 0 for _ in range(30)]
    for mask in masks[:3]:
        np.testing.assert_array_equal(mask, again()[0] != 0)
    places = np.stack(masks).reshape(30, -1).astype(float)
    assert np.abs(np.corrcoef(places)[~np.eye(30, dtype=bool)]).max() < 5 / np.sqrt(2000)  # steps
    # The four numbers that are drawn at once, and neighbours beyond them.
    halves = 2 * places - 1
    for apart in range(1, 9):
        assert abs(np.mean(halves[:, apart:] * halves[:, :-apart])) < 5 / np.sqrt(30 * 2000)


@pytest.mark.parametrize(
    ("layer", "training"),
    [
        (lambda: keras.layers.Dropout(0.5), False),
        (lambda: keras.layers.Dropout(0.0), True),
        (lambda: keras.layers.Dropout(0.5, noise_shape=(4, 1)), True),
        (lambda: keras.layers.GaussianDropout(0.5), True),
        (lambda: type("Own", (keras.layers.Dropout,), {})(0.5), True),
    ],
)
def test_other_layers_are_left_alone(layer, training):
    run, kinds = traced(layer(), np.ones((4, 8), np.float32), training)
    assert DRAWS not in kinds
    if not training:
        np.testing.assert_array_equal(run()[0], 1)


def test_a_layer_has_its_own_call_again():
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dropout(0.5)])
    with pytest.raises(RuntimeError, match="while tracing"), quicker(model):
        assert "call" in vars(model.layers[-1])
        raise RuntimeError("while tracing")
    assert "call" not in vars(model.layers[-1])
