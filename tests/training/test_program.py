"""Programs of JAX: shared by trials of one architecture, and trained side by side."""

import math

import numpy as np
import pytest

from bench.errors import BenchError
from bench.family import Family, load
from bench.training import backend
from bench.training.interface import Data

if backend.asked() != "jax":
    pytest.skip("these run with KERAS_BACKEND=jax", allow_module_level=True)

import jax
import keras

from bench.training import program as programs
from bench.training.jax import Together, make_trainer, together

GENERATOR = np.random.default_rng(0)
Y = GENERATOR.integers(0, 10, 256).astype(np.int32)
X = GENERATOR.integers(0, 256, (256, 8, 8, 1)).astype(np.uint8)
X[np.arange(256), Y % 8] = 255  # something to learn
DATA = Data(X[:192], Y[:192], X[192:], Y[192:], 10)
SMALL = {"depth": 1, "width": 16, "filters": 4, "deep_filters": 4, "dense": 8, "dropout": 0.3, "batch_size": 32}
DIFFERENT = [  # in variables only
    {"learning_rate": 1e-3, "dropout": 0.3},
    {"learning_rate": 2e-2, "dropout": 0.5, "weight_decay": 0.05, "cooldown": 0.5},
    {"learning_rate": 5e-3, "dropout": 0.1, "cooldown": 1.0, "warm_up": 0.2},
]


def trainer(family, seed=0, precision="float32", **changes):
    family = load(family) if isinstance(family, str) else family
    config = {**(family.reference or {}), **SMALL, "epochs": 2, **changes}
    return make_trainer(family, config, DATA, seed, precision)


def finished(run):
    run.advance(run.total_samples, lambda samples, loss: None)
    return run


@pytest.fixture(autouse=True)
def no_programs():
    programs._programs.clear()


@pytest.mark.parametrize("family", ["mlp", "mlp_dropout", "cnn"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd", "nadam", "lion"])
def test_trials_that_differ_in_variables_share_one_trace_and_end_as_with_one_of_their_own(family, optimizer):
    shared = [finished(trainer(family, k, optimizer=optimizer, **d)) for k, d in enumerate(DIFFERENT)]
    assert len({id(run.program) for run in shared}) == 1
    assert shared[0].program.train._cache_size() == 1
    for k, different in enumerate(DIFFERENT):
        programs._programs.clear()
        alone = finished(trainer(family, k, optimizer=optimizer, **different))
        assert alone.program is not shared[k].program
        for one, other in zip(shared[k].model.weights, alone.model.weights, strict=True):
            np.testing.assert_array_equal(one, other)


def side_by_side(runs):
    """The same runs, trained in one program."""
    said = []
    group = Together(runs)
    group.advance(100, lambda samples, losses: said.append(samples))
    losses = group.advance(runs[0].total_samples, lambda samples, losses: said.append(samples))
    assert said[-1] == runs[0].samples == runs[0].total_samples
    assert len(losses) == len(runs)
    return runs


def three(family, precision, batch_norm):
    changes = [{**one, "batch_norm": batch_norm, "optimizer": "sgd"} for one in DIFFERENT]
    return [trainer(family, k, precision, **one) for k, one in enumerate(changes)]


@pytest.mark.parametrize("family", ["mlp", "mlp_dropout", "cnn"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_runs_side_by_side_end_with_the_weights_that_they_end_with_alone(family, batch_norm):
    alone = [finished(run) for run in three(family, "float32", batch_norm)]
    grouped = side_by_side(three(family, "float32", batch_norm))
    for one, other in zip(alone, grouped, strict=True):
        for mine, theirs in zip(one.model.weights, other.model.weights, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=2e-5)
    first, second, _ = (run.model.weights[0] for run in grouped)
    assert not np.allclose(first, second), "the runs differ"


@pytest.mark.parametrize("batch_norm", [False, True])
def test_in_bfloat16_they_end_as_near_to_float32_as_alone(batch_norm):
    def weights(runs):
        return [np.concatenate([np.ravel(part).astype(np.float32) for part in run.model.weights]) for run in runs]

    full, alone = (weights(map(finished, three("cnn", precision, batch_norm))) for precision in ("float32", "bfloat16"))
    grouped = weights(side_by_side(three("cnn", "bfloat16", batch_norm)))
    for exact, one, other in zip(full, alone, grouped, strict=True):
        # Each is rounded in its own order: as far from what is exact as the other, give or take its luck.
        rounding = np.linalg.norm(one - exact)
        assert 0 < rounding < 0.1 * np.linalg.norm(exact)
        assert 0 < np.linalg.norm(other - exact) <= 3 * rounding


def test_one_that_diverges_does_not_stop_the_others():
    runs = [trainer("mlp", k, optimizer="sgd", momentum=0.0, learning_rate=r) for k, r in enumerate((0.01, 1e30))]
    fine, diverged = Together(runs).advance(10**9, lambda samples, losses: None)
    assert math.isfinite(fine)
    assert not math.isfinite(diverged)
    assert all(np.isfinite(weights).all() for weights in runs[0].model.get_weights())


def test_runs_of_two_architectures_or_lengths_do_not_go_side_by_side():
    wider, longer = trainer("mlp", width=32), trainer("mlp", epochs=3)
    for other in (wider, longer):
        assert together([trainer("mlp"), other]) is None
        with pytest.raises(BenchError, match="one architecture, one length"):
            Together([trainer("mlp"), other])
    assert together([trainer("mlp"), trainer("mlp", 1)]) is not None


class Scaling(keras.layers.Layer):
    def __init__(self, by):
        super().__init__()
        self.by = by  # get_config does not tell

    def call(self, x):
        return x * self.by


def build_with_own_layer(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    x = Scaling(config["by"])(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def build_with_lambda(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    x = keras.layers.Lambda(lambda x: x * config["by"])(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def build_with_own_call(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    layer = keras.layers.Activation("linear")
    layer.call = lambda x: x * config["by"]
    return keras.Model(inputs, keras.layers.Dense(classes)(layer(keras.layers.Flatten()(inputs))))


def test_a_call_that_a_family_gave_a_dropout_is_kept():
    def build(config, image_shape, classes):
        inputs = keras.Input(image_shape)
        layer = keras.layers.Dropout(0.5)
        layer.call = lambda x, training=False: 0 * x
        return keras.Model(inputs, keras.layers.Dense(classes)(layer(keras.layers.Flatten()(inputs))))

    run = finished(trainer(Family("own", load("mlp").space, build)))
    assert "call" in vars(run.model.layers[2])
    assert np.ptp(run.logits(DATA.val_x), axis=0).max() == 0


def test_weights_that_are_frozen_one_by_one_share_no_program_with_others():
    def build(config, image_shape, classes):
        inputs = keras.Input(image_shape)
        dense = keras.layers.Dense(classes)
        model = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
        dense.bias.trainable = config["by"] > 0
        return model

    runs = [finished(trainer(Family("own", load("mlp").space, build), by=by)) for by in (1.0, 0.0)]
    assert runs[0].program is not runs[1].program
    assert np.abs(runs[0].model.layers[-1].bias).max() > 0 == np.abs(runs[1].model.layers[-1].bias).max()


@pytest.mark.parametrize("build", [build_with_own_layer, build_with_lambda, build_with_own_call])
def test_what_a_configuration_does_not_tell_is_not_shared(build):
    family = Family("own", load("mlp").space, build)
    runs = [trainer(family, 0, by=by) for by in (1.0, 0.0)]
    assert runs[0].program is not runs[1].program
    assert np.ptp(runs[1].logits(DATA.val_x), axis=0).max() == 0
    assert np.ptp(runs[0].logits(DATA.val_x), axis=0).max() > 0


def test_a_call_of_another_length_needs_no_other_trace():
    run = trainer("mlp", epochs=9)
    for samples in (32, 96, 1000, 10**9):
        run.advance(samples, lambda samples, loss: None)
    assert run.program.train._cache_size() == 1


def test_data_are_on_the_device_as_they_are_stored_and_once():
    runs = [trainer("mlp"), trainer("cnn")]
    assert runs[0].arrays is runs[1].arrays
    assert runs[0].arrays[0].dtype == np.uint8
    assert isinstance(runs[0].arrays[0], jax.Array)


def test_programs_that_were_used_least_recently_are_forgotten():
    for width in range(8, 8 + programs.KEPT + 1):
        trainer("mlp", width=width)
    assert len(programs._programs) == programs.KEPT
