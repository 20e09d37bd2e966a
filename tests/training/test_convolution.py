"""Convolutions of the TensorFlow loop held to Keras's own layer: outputs and gradients."""

import os

import numpy as np
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.training.layers import quicker  # noqa: E402  after what it needs is there

KEPT = "Conv2DBackpropFilter"


def traced(options, shape, with_kernels, dtype="mixed_bfloat16"):
    """(outputs, gradients of inputs and weights), and the names of the operations; the same numbers each time."""
    generator = np.random.default_rng(0)
    layer = keras.layers.Conv2D(
        8, dtype=dtype, kernel_initializer=keras.initializers.GlorotUniform(seed=1), **{"kernel_size": 3, **options}
    )
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    x = tf.constant(generator.normal(size=shape), layer.compute_dtype)
    above = tf.constant(generator.normal(size=(shape[0], *model.output_shape[1:])), tf.float32)

    @tf.function(autograph=False)
    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            if with_kernels:
                with quicker(model):
                    y = model(x, training=True)
            else:
                y = model(x, training=True)
            total = tf.reduce_sum(tf.cast(y, tf.float32) * above)
        return y, *tape.gradient(total, [x, *model.trainable_variables])

    found = [np.asarray(tf.cast(one, tf.float32)) for one in run()]
    assert "convolution_op" not in vars(layer)
    return found, {operation.type for operation in run.get_concrete_function().graph.get_operations()}


@pytest.mark.parametrize("options", [{}, {"use_bias": False, "activation": "relu"}, {"kernel_size": (2, 3)}])
@pytest.mark.parametrize("shape", [(32, 4, 5, 16), (5, 4, 5, 3), (7, 3, 3, 1)])
def test_the_product_of_patches_is_the_gradient_of_the_kernel(options, shape):
    (ours, kinds), (theirs, without) = (traced(options, shape, with_kernels) for with_kernels in (True, False))
    assert KEPT not in kinds and KEPT in without
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-2, atol=2e-2 * np.abs(other).max())
        assert np.abs(other).max() > 0


@pytest.mark.parametrize(
    ("options", "shape", "dtype"),
    [
        ({}, (4, 6, 5, 2), "mixed_bfloat16"),  # four positions down
        ({"strides": 2}, (4, 5, 5, 2), "mixed_bfloat16"),
        ({"dilation_rate": 2}, (4, 5, 5, 2), "mixed_bfloat16"),
        ({"padding": "same"}, (4, 3, 3, 2), "mixed_bfloat16"),
        ({"groups": 2}, (4, 5, 5, 2), "mixed_bfloat16"),
        ({}, (4, 5, 5, 2), "float32"),
    ],
)
def test_other_convolutions_are_left_alone(options, shape, dtype):
    (ours, kinds), (theirs, without) = (traced(options, shape, how, dtype) for how in (True, False))
    assert kinds == without
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)
