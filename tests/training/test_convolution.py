"""Convolutions of the TensorFlow loop held to Keras's own layer: outputs and gradients."""

import os

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.family import load  # noqa: E402  after what it needs is there
from bench.training.interface import Data  # noqa: E402
from bench.training.layers import quicker  # noqa: E402
from bench.training.tensorflow import make_trainer  # noqa: E402
from tests.layer_traces import traced  # noqa: E402

ROUTINE = "Conv2DBackpropFilter"


def of_layer(options, shape, dtype, with_kernels):
    """What `traced` returns of a layer with these options."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape).astype(np.float32)
    keras.utils.set_random_seed(3)
    layer = keras.layers.Conv2D(**options, dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32")
    model = keras.Sequential([keras.Input(shape[1:], batch_size=shape[0]), layer])
    above = generator.normal(size=model.output_shape).astype(np.float32)
    return traced(model, x, above, with_kernels)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("size", "shape"),
    [(2, (6, 5, 4, 3)), (3, (6, 5, 4, 3)), ((1, 4), (6, 5, 4, 3)), ((5, 2), (6, 5, 5, 3)), (3, (1, 5, 5, 1))],
)
def test_small_images_have_the_layer_s_outputs_and_gradients(size, shape, padding, dtype):
    held_to_the_layer({"filters": 7, "kernel_size": size, "padding": padding}, shape, dtype)


def test_a_kernel_may_be_larger_than_the_images():
    held_to_the_layer({"filters": 7, "kernel_size": (6, 3), "padding": "same"}, (6, 2, 2, 3), "float32")


def held_to_the_layer(options, shape, dtype):
    (ours, quick), (theirs, stock) = (of_layer(options, shape, dtype, k) for k in (True, False))
    assert ROUTINE in stock and ROUTINE not in quick
    for mine, other in zip(ours, theirs, strict=True):
        near = 2e-2 if dtype == "bfloat16" else 1e-5
        np.testing.assert_allclose(mine, other, rtol=near, atol=near * np.abs(other).max())
    assert len(ours) == 4 and all(np.abs(one).max() > 0 for one in ours)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"strides": 2}, (6, 5, 5, 4)),
        ({"dilation_rate": 2}, (6, 5, 5, 4)),
        ({"kernel_size": 1}, (6, 5, 5, 4)),
        ({}, (6, 4, 15, 4)),  # two by thirteen are not small
    ],
)
def test_other_convolutions_are_left_to_the_layer(options, shape):
    options = {"filters": 7, "kernel_size": 3, **options}
    (ours, quick), (theirs, _) = (of_layer(options, shape, "float32", k) for k in (True, False))
    assert ROUTINE in quick
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_groups_and_what_is_of_a_family_s_own_are_kept():
    class Own(keras.layers.Conv2D):
        pass

    grouped = keras.layers.Conv2D(4, 2, groups=2)
    model = keras.Sequential([keras.Input((6, 6, 2)), grouped, Own(3, 3), keras.layers.Conv2D(3, 3)])
    _, first, second = model.layers
    theirs = second.convolution_op = lambda inputs, kernel: keras.ops.conv(inputs, kernel)
    with quicker(model):
        assert not any("convolution_op" in vars(layer) for layer in (grouped, first))
        assert second.convolution_op is theirs
    assert second.convolution_op is theirs


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loop_trains_its_small_images_so(precision):
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 256, (64, 15, 15, 1)).astype(np.uint8), generator.integers(0, 10, 64).astype(np.int32)
    family = load("cnn")
    config = {**family.reference, "filters": 4, "deep_filters": 8, "dense": 8, "batch_size": 16, "epochs": 2}
    run = make_trainer(family, config, Data(x, y, x, y, 10), 1, precision)
    before = [np.asarray(weight) for weight in run.model.trainable_variables]
    run.advance(128, lambda samples, loss: None)
    assert all(
        (now != then).any() for now, then in zip(map(np.asarray, run.model.trainable_variables), before, strict=True)
    )
    # Outputs of 13 by 13, 4 by 4 and 2 by 2.
    graph = str(run._steps.get_concrete_function().graph.as_graph_def())
    assert graph.count('op: "Conv2D"') >= 5 and graph.count(f'op: "{ROUTINE}"') == 1


def test_the_layer_has_its_own_operation_again():
    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Conv2D(3, 3)])
    with quicker(model):
        assert "convolution_op" in vars(model.layers[0])
    assert "convolution_op" not in vars(model.layers[0])
