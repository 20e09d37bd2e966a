"""The counting of operations, held to figures that were counted by hand."""

import pytest
from multiply_adds import training_operations

from bench.family import load

MNIST = (28, 28, 1)


@pytest.mark.parametrize(
    ("family", "forward", "first"),
    [
        ("mlp", 784 * 512 + 512 * 10, 784 * 512),
        (
            "cnn",
            26 * 26 * 9 * 32 + 11 * 11 * 9 * 32 * 64 + 3 * 3 * 9 * 64 * 64 + 576 * 512 + 512 * 10,
            26 * 26 * 9 * 32,
        ),
    ],
)
def test_the_first_layer_has_no_gradient_of_its_input(family, forward, first):
    model = load(family).build(load(family).reference, MNIST, 10)
    assert training_operations(model) == 2 * (3 * forward - first)


@pytest.mark.parametrize(("family", "billions"), [("mlp", 98), ("cnn", 1077)])
def test_an_epoch_of_mnist_takes_what_is_known_of_the_notebooks_models(family, billions):
    model = load(family).build(load(family).reference, MNIST, 10)
    assert round(60_000 * training_operations(model) / 1e9) == billions


def test_normalisation_costs_no_products():
    family = load("cnn")
    plain, normalised = (
        family.build({**family.reference, "batch_norm": batch_norm}, MNIST, 10) for batch_norm in (False, True)
    )
    assert training_operations(plain) == training_operations(normalised)


def test_a_layer_of_another_kind_is_not_passed_over():
    import keras

    inputs = keras.Input(MNIST)
    model = keras.Model(inputs, keras.layers.DepthwiseConv2D(3)(inputs))
    with pytest.raises(ValueError, match="DepthwiseConv2D"):
        training_operations(model)
