"""Steps of the TensorFlow loop held to Keras's optimizers: weights and the optimizer's state, after several steps."""

import gc
import os

import numpy as np
import psutil
import pytest

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    pytest.skip("TensorFlow's own kernels", allow_module_level=True)
keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from bench.family import load  # noqa: E402  after what it needs is there
from bench.training.interface import Data, Recipe  # noqa: E402
from bench.training.loop import make_optimizer  # noqa: E402
from bench.training.tensorflow import make_trainer  # noqa: E402
from bench.training.updates import Updates  # noqa: E402

SHAPES = [(5, 4), (3, 3, 2, 4), (1,)]


def gradients_of(step):
    generator = np.random.default_rng(step)
    return [tf.constant(generator.normal(size=shape).astype(np.float32)) for shape in SHAPES]


def stepped(optimizer, ours, steps=5, gradients=gradients_of, weights=None):
    """(weights and state after some steps, the names of a step's operations)."""
    start = np.random.default_rng(99)
    weights = weights or [keras.Variable(start.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer.build(weights)
    updates = Updates(optimizer, weights)

    @tf.function(autograph=False)
    def step(rate, *gradients):
        optimizer.learning_rate.assign(rate)
        updates.apply(gradients) if ours else optimizer.apply(gradients, weights)

    for k in range(steps):
        step(tf.constant(0.01 * (steps - k)), *gradients(k))
    found = [np.asarray(one.value) for one in (*weights, *optimizer.variables)]
    graph = step.get_concrete_function(tf.constant(0.0), *gradients(0)).graph
    return found, {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("name", "momentum", "kernel"),
    [
        ("adam", 0.0, "ResourceApplyAdam"),
        ("adamw", 0.0, "ResourceApplyAdam"),
        ("rmsprop", 0.0, "ResourceApplyRMSProp"),
        ("sgd", 0.9, "ResourceApplyKerasMomentum"),
        ("sgd", 0.0, "ResourceApplyGradientDescent"),
        ("nadam", 0.0, None),
        ("lion", 0.0, None),
    ],
)
def test_a_step_is_that_of_keras(name, momentum, kernel, weight_decay):
    recipe = Recipe(1, 32, name, 0.01, momentum=momentum, weight_decay=weight_decay)
    (ours, kinds), (theirs, others) = (stepped(make_optimizer(recipe), ours) for ours in (True, False))
    applied = {kind for kind in kinds if kind.startswith("ResourceApply")}
    assert applied == ({kernel} if kernel else set())
    assert not any(kind.startswith("ResourceApply") for kind in others)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-6)


def test_what_the_kernels_do_not_take_is_left_to_keras():
    def sparse(step):
        return [tf.IndexedSlices(tf.ones((2, 4)), tf.constant([0, 3]), tf.constant([5, 4])), *gradients_of(step)[1:]]

    (ours, kinds), (theirs, _) = (stepped(keras.optimizers.Adam(), ours, gradients=sparse) for ours in (True, False))
    assert "ResourceApplyAdam" not in kinds
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(clipnorm=0.1),
        lambda: keras.optimizers.Adam(amsgrad=True),
        lambda: keras.optimizers.RMSprop(momentum=0.5),
        lambda: keras.optimizers.SGD(use_ema=True),
        lambda: type("Own", (keras.optimizers.SGD,), {})(),
    ],
)
def test_an_optimizer_that_does_more_is_left_to_keras(optimizer):
    (ours, kinds), (theirs, _) = (stepped(optimizer(), ours) for ours in (True, False))
    assert not any(kind.startswith("ResourceApply") for kind in kinds)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_step_without_the_gradient_of_a_weight_leaves_that_weight():
    start = [keras.Variable(np.ones(shape, np.float32)) for shape in SHAPES]
    optimizer = keras.optimizers.Adam()
    optimizer.build(start)
    updates = Updates(optimizer, start)
    tf.function(lambda: updates.apply([*gradients_of(0)[:2], None]), autograph=False)()
    np.testing.assert_array_equal(start[2], 1.0)
    assert all(np.abs(np.asarray(one.value) - 1.0).max() > 0 for one in start[:2])


def test_a_weight_with_a_constraint_keeps_it():
    found = []
    for ours in (True, False):
        weight = keras.Variable(np.full((4, 3), 2, np.float32))
        weight.constraint = keras.constraints.MaxNorm(1.0)
        found.append(
            stepped(keras.optimizers.SGD(0.1), ours, gradients=lambda k: [tf.ones((4, 3))], weights=[weight])[0]
        )
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert np.linalg.norm(found[0][0], axis=0).max() <= 1.0 + 1e-6


@pytest.mark.parametrize(
    ("optimizer", "width", "batch_norm"),
    [
        ("adam", 1000, True),
        ("rmsprop", 1000, False),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("sgd", 1000, False), ("adam", 1008, True))),
    ],
)
def test_memory_does_not_grow_with_the_runs_of_a_process(optimizer, width, batch_norm):
    """Weights and optimizer of a run that is over are freed with it; with Keras's own steps they are not."""
    images, labels = np.zeros((256, 28, 28, 1), np.uint8), np.zeros(256, np.int32)
    family, data = load("mlp"), Data(images, labels, images, labels, 10)
    config = {
        **family.reference,
        "depth": 2,
        "width": width,
        "batch_norm": batch_norm,
        "optimizer": optimizer,
        "epochs": 1,
    }

    def resident_after(runs):
        for seed in range(runs):
            run = make_trainer(family, config, data, seed, "float32")
            run.advance(256, lambda samples, loss: None)
            weights = 4 * run.parameters
            del run
            gc.collect()
        return psutil.Process().memory_info().rss, weights

    before, _ = resident_after(3)
    after, weights = resident_after(8)
    assert after - before < 5 * weights  # kept, the weights of eight runs alone would be eight times as much
