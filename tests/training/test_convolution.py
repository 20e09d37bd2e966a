"""Convolutions of the TensorFlow loop held to Keras's own layer: outputs and gradients."""

import os

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.training.layers import quicker  # noqa: E402  after what it needs is there

ROUTINE = "Conv2DBackpropFilter"


def traced(options, shape, dtype, with_kernels):
    """(outputs, gradients of inputs and weights), and the names of the operations."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape).astype(np.float32)
    keras.utils.set_random_seed(3)
    layer = keras.layers.Conv2D(**options, dtype="mixed_bfloat16" if dtype == "bfloat16" else "float32")
    model = keras.Sequential([keras.Input(shape[1:], batch_size=shape[0]), layer])
    above = generator.normal(size=model.output_shape).astype(np.float32)

    @tf.function(autograph=False)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            if with_kernels:
                with quicker(model):
                    y = model(x, training=True)
            else:
                y = model(x, training=True)
            total = tf.reduce_sum(tf.cast(y, tf.float32) * above)
        return y, tape.gradient(total, [x, *model.trainable_variables])

    y, gradients = run(tf.constant(x))
    names = {operation.type for operation in run.get_concrete_function(tf.constant(x)).graph.get_operations()}
    return [np.asarray(tf.cast(one, tf.float32)) for one in (y, *gradients)], names


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("size", [2, 3, (1, 4), (5, 2)])
def test_small_images_have_the_layer_s_outputs_and_gradients(size, padding, dtype):
    options = {"filters": 7, "kernel_size": size, "padding": padding}
    (ours, quick), (theirs, stock) = (traced(options, (6, 5, 4, 3), dtype, k) for k in (True, False))
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
        ({}, (6, 8, 8, 4)),  # six by six are not small
    ],
)
def test_other_convolutions_are_left_to_the_layer(options, shape):
    options = {"filters": 7, "kernel_size": 3, **options}
    (ours, quick), (theirs, _) = (traced(options, shape, "float32", k) for k in (True, False))
    assert ROUTINE in quick
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_class_and_an_operation_of_a_family_s_own_are_kept():
    class Own(keras.layers.Conv2D):
        pass

    model = keras.Sequential([keras.Input((5, 5, 2)), Own(3, 3), keras.layers.Conv2D(3, 3)])
    first, second = model.layers
    theirs = second.convolution_op = lambda inputs, kernel: keras.ops.conv(inputs, kernel)
    with quicker(model):
        assert "convolution_op" not in vars(first) and second.convolution_op is theirs
    assert second.convolution_op is theirs


def test_the_layer_has_its_own_operation_again():
    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Conv2D(3, 3)])
    with quicker(model):
        assert "convolution_op" in vars(model.layers[0])
    assert "convolution_op" not in vars(model.layers[0])
