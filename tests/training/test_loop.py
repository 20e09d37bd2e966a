"""The compiled loop held to Keras's own `fit`: float32, one thread, the same order, the same weights.

The loop is that of the framework that KERAS_BACKEND names; `.ci/run` has these tests run with both.
"""

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from bench.errors import FamilyError, RecordError
from bench.family import Family, load
from bench.space import Int, SearchSpace
from bench.training import backend
from bench.training.averaging import Average
from bench.training.budget import Batches
from bench.training.interface import OPTIMIZERS, Data, Diverged, Recipe
from bench.training.loop import CompiledTrainer, count_parameters, make_optimizer

keras = pytest.importorskip("keras")
make_trainer = backend.module().make_trainer


def digits_like(images=256, side=8, channels=1, classes=10, seed=0):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, images).astype(np.int32)
    x = generator.integers(0, 256, (images, side, side, channels)).astype(np.uint8)
    x[np.arange(images), y % side] = 255  # something to learn
    return Data(x[:192], y[:192], x[192:], y[192:], classes)


SMALL = {"depth": 1, "width": 16, "batch_norm": False, "batch_size": 32, "weight_decay": 0.0}
# Small rates: where rounding decides a ReLU or a maximum otherwise, the weights differ by what that is worth in a step,
# and processors round differently.
RECIPES = [
    {"optimizer": "adam", "learning_rate": 1e-3},
    {"optimizer": "rmsprop", "learning_rate": 1e-3},
    {"optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9},
    {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.5},
]


@contextmanager
def our_masks(model):
    """With TensorFlow let `fit` drop what the loop drops, for the loop draws masks of its own; see test_dropout.py."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    from bench.training import dropout

    calls = [(layer, call) for layer in model.layers if (call := dropout.replacement(layer))]
    for layer, call in calls:
        layer.call = call
    try:
        yield
    finally:
        for layer, _ in calls:
            del layer.call


@pytest.mark.parametrize(
    ("family_name", "norm"),
    [("mlp", {}), ("mlp_dropout", {}), ("cnn", {}), *(("cnn", {"batch_norm": True, "filters": n}) for n in (4, 16))],
)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_loop_ends_with_the_weights_that_fit_ends_with(family_name, norm, recipe):
    data = digits_like()
    family = load(family_name)
    config = {**family.reference, **SMALL, **recipe, "filters": 4, "dense": 8, "epochs": 2, **norm}
    ours = make_trainer(family, config, data, seed=5, precision="float32")
    assert isinstance(ours, CompiledTrainer)

    keras.utils.set_random_seed(5)
    theirs = family.build(config, data.image_shape, data.classes)
    for mine, other in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    theirs.compile(make_optimizer(Recipe.of(config)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    ours.advance(ours.total_samples, lambda samples, loss: None)
    order = Batches(len(data.x), 32, 5).take(12).ravel()
    with our_masks(theirs):
        for epoch in range(2):
            rows = order[epoch * 192 : (epoch + 1) * 192]
            theirs.fit(data.x[rows] / np.float32(255), data.y[rows], batch_size=32, epochs=1, shuffle=False, verbose=0)

    for mine, other in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-5)


def test_the_weights_do_not_depend_on_where_the_run_was_judged():
    data, family = digits_like(), load("mlp")
    config = {**family.reference, **SMALL, "epochs": 3}
    runs = []
    for rungs in ([], [64, 100, 192]):
        trainer = make_trainer(family, config, data, seed=1, precision="float32")
        for rung in rungs:
            trainer.advance_to_rung(rung, lambda samples, loss: None)
        trainer.advance(576, lambda samples, loss: None)
        runs.append(trainer)
    assert runs[0].samples == runs[1].samples == 576
    for one, other in zip(runs[0].model.weights, runs[1].model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("family_name", ["mlp_dropout", "cnn"])
def test_a_rung_is_judged_by_the_mean_of_the_weights_on_the_way_there(family_name):
    """Over the last third: samples 320 to 384 from a rung at 192, in snapshots of two steps each."""
    data, family = digits_like(), load(family_name)
    config = {**family.reference, **SMALL, "batch_size": 4, "batch_norm": True, "filters": 4, "dense": 8, "epochs": 3}
    steps = make_trainer(family, config, data, seed=1, precision="float32")
    run = make_trainer(family, config, data, seed=1, precision="float32")
    seen = []
    forward, run._forward = run._forward, lambda x: seen.append(forward(x)) or seen[-1]
    run.advance_to_rung(192, lambda samples, loss: None)
    accuracy = run.advance_to_rung(384, lambda samples, loss: None, images=48)

    snapshots = []
    for k in range(1, 9):
        steps.advance(320 + 8 * k, lambda samples, loss: None)
        snapshots.append([keras.ops.convert_to_numpy(weight).copy() for weight in steps.model.trainable_weights])
    for mine, other in zip(run.model.weights, steps.model.weights, strict=True):
        np.testing.assert_array_equal(mine, other)  # it goes on from its own
    assert run.samples == steps.samples == 384
    last = steps.logits(data.val_x[:48])
    for weight, *values in zip(steps.model.trainable_weights, *snapshots, strict=True):
        weight.assign(np.mean(values, axis=0, dtype=np.float32))
    assert accuracy == steps.val_accuracy(48)
    np.testing.assert_allclose(seen[-1], steps.logits(data.val_x[:48]), atol=1e-4)
    assert np.abs(seen[-1] - last).max() > 1e-2
    assert run.confusion() == steps.confusion()
    np.testing.assert_array_equal(run.correct(), steps.correct())


def test_weights_are_what_they_were_when_the_mean_of_them_was_not_finite():
    data, family = digits_like(), load("mlp")
    run = make_trainer(family, {**family.reference, **SMALL, "epochs": 1}, data, seed=1, precision="float32")
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in run.model.weights]
    mean = Average(run.model)
    mean.add()
    mean._sums[0] += np.inf
    with pytest.raises(Diverged), mean:
        run.val_accuracy()
    for weight, value in zip(run.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def compiled(config, image_shape, classes):
    model = load("mlp_dropout").build({**load("mlp_dropout").reference, **config}, image_shape, classes)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


OWN = Family("own", SearchSpace({"epochs": Int(1, 9)}), compiled)


def short(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    return keras.Model(inputs, keras.layers.Dense(classes, dtype="bfloat16")(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize(
    "family",
    [load("mlp_dropout"), load("cnn"), OWN, Family("bfloat16", OWN.space, short)],
    ids=lambda family: family.name,
)
def test_a_run_that_is_left_and_gone_on_with_ends_as_one_that_was_not(family, tmp_path):
    data = digits_like()
    config = {**(family.reference or {}), "depth": 1, "width": 16, "batch_norm": True, "batch_size": 32, "epochs": 3}

    def trainer():
        return make_trainer(family, config, data, seed=1, precision="float32")

    whole = trainer()
    whole.advance(576, lambda samples, loss: None)
    left = trainer()
    left.advance(200, lambda samples, loss: None)
    left.save_state(tmp_path / "state.npz")
    keras.utils.set_random_seed(99)
    goes_on = trainer()
    goes_on.load_state(tmp_path / "state.npz")
    assert goes_on.samples == left.samples == 224
    goes_on.advance(576, lambda samples, loss: None)
    if keras.backend.backend() == "tensorflow":  # with JAX the program was there
        assert goes_on.trace_seconds > goes_on.train_seconds > 0  # what took the longest was the first call
    assert goes_on.samples == whole.samples
    for one, other in zip(whole.model.weights, goes_on.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_of_another_model_or_a_torn_one_is_refused(tmp_path):
    path, family = tmp_path / "state.npz", load("mlp")
    trainer = make_trainer(family, {**family.reference, **SMALL, "epochs": 1}, digits_like(), 0, "float32")
    trainer.save_state(path)
    wider = make_trainer(family, {**family.reference, **SMALL, "width": 32, "epochs": 1}, digits_like(), 0, "float32")
    with pytest.raises(RecordError, match="of another model"):
        wider.load_state(path)
    for left in (1000, 0):
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(RecordError, match="does not read back"):
            trainer.load_state(path)


@pytest.mark.parametrize("at_once", [1, 16, 20, 128, 500])
@pytest.mark.parametrize("images", [1, 15, 16, 17, 100, 128, 129, 255, 256, 257])
def test_every_image_is_judged_once_and_all_calls_have_one_shape(images, at_once):
    data, family = digits_like(), load("mlp")
    trainer = make_trainer(family, {**family.reference, **SMALL, "epochs": 1}, data, 0, "float32")
    trainer.at_once, sizes = at_once, []
    trainer._forward = lambda x: sizes.append(len(x)) or x.astype(np.float32)
    np.testing.assert_array_equal(trainer.logits(np.arange(images)), np.arange(images))
    assert len(set(sizes)) == 1 and sizes[0] <= at_once and sum(sizes) - images < 16 * len(sizes)


@pytest.mark.parametrize("judged_on", [None, 32])
def test_the_confusion_is_that_of_the_last_evaluation(judged_on):
    data, family = digits_like(), load("mlp")
    trainer = make_trainer(family, {**family.reference, **SMALL, "epochs": 1}, data, seed=1, precision="float32")
    assert trainer.confusion() is None
    trainer.val_accuracy()
    trainer.advance(10**9, lambda samples, loss: None)
    accuracy = trainer.val_accuracy(judged_on)
    y = data.val_y[:judged_on]
    predicted = trainer.logits(data.val_x[:judged_on]).argmax(axis=1)
    cells = {(true, guess): images for true, guess, images in trainer.confusion()}
    assert cells == Counter(zip(y.tolist(), predicted.tolist(), strict=True))
    assert sum(n for (true, guess), n in cells.items() if true == guess) / len(y) == pytest.approx(accuracy)
    np.testing.assert_array_equal(trainer.correct(), predicted == y)


def test_a_run_of_epochs_that_the_batch_does_not_divide_ends_with_a_full_batch():
    data, family = digits_like(), load("mlp")
    trainer = make_trainer(family, {**family.reference, **SMALL, "batch_size": 50, "epochs": 1}, data, 0, "float32")
    trainer.advance(10**9, lambda samples, loss: None)
    assert trainer.samples == 200  # 192 images, four batches of 50


@pytest.mark.parametrize("name", ["mlp", "mlp_dropout", "cnn"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3)])
def test_every_built_in_family_builds_at_both_ends_of_its_space(name, shape):
    family = load(name)
    ends = [family.space.walk(lambda _, domain, share=share: domain.at(share)) for share in (0.0, 1.0)]
    small, large = (count_parameters(family, config, shape, 10) for config in ends)
    assert 0 < small < large


@pytest.mark.parametrize("name", ["mlp", "mlp_dropout", "cnn"])
@pytest.mark.parametrize("shape", [(8, 1), (28, 1), (32, 3)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_built_in_family_trains_on_every_image_shape(name, shape, precision):
    data = digits_like(side=shape[0], channels=shape[1])
    family = load(name)
    trainer = make_trainer(family, {**family.reference, "epochs": 1}, data, 0, precision)
    trainer.advance(10**9, lambda samples, loss: None)
    assert 0.0 <= trainer.val_accuracy() <= 1.0


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_cnn_takes_all_its_blocks_on_the_smallest_images(kernel, batch_norm):
    data, family = digits_like(side=8), load("cnn")
    config = {**family.reference, "kernel": kernel, "batch_norm": batch_norm, "dropout": 0.5, "epochs": 1}
    assert make_trainer(family, config, data, 0, "float32").parameters > 0


def test_the_references_have_the_notebooks_parameter_counts():
    data = digits_like(side=28)
    counts = {n: make_trainer(load(n), load(n).reference, data, 0, "float32").parameters for n in ("mlp", "cnn")}
    assert counts == {"mlp": 407_050, "cnn": 356_298}


@pytest.mark.parametrize("cooldown", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("warm_up", [0.0, 0.25])
def test_the_learning_rate_rises_stays_and_cools_down(cooldown, warm_up):
    data, family = digits_like(), load("mlp")
    config = {**family.reference, **SMALL, "batch_size": 4, "epochs": 4, "cooldown": cooldown, "warm_up": warm_up}
    trainer = make_trainer(family, config, data, 0, "float32")
    shares = []
    for samples in (4, 192, 384, 576, 768):
        trainer.advance(samples, lambda samples, loss: None)
        shares.append(float(trainer._optimizer.learning_rate) / 1e-3)
    assert shares[0] == pytest.approx(0.0 if warm_up else 1.0, abs=1e-3)
    # A quarter, half, three quarters and all of the run are over.
    assert shares[1:] == pytest.approx(
        {0.0: [1, 1, 1, 1], 0.5: [1, 1, 0.5, 0], 1.0: [0.75, 0.5, 0.25, 0]}[cooldown], abs=0.03
    )


def test_a_loss_that_is_not_finite_is_a_divergence():
    data, family = digits_like(), load("mlp")
    config = {**family.reference, **SMALL, "optimizer": "sgd", "learning_rate": 1e30, "momentum": 0.0, "epochs": 3}
    with pytest.raises(Diverged):
        make_trainer(family, config, data, 0, "float32").advance(10**9, lambda samples, loss: None)


def test_a_saved_model_loads_with_stock_keras_and_predicts_the_same(tmp_path):
    data, family = digits_like(), load("mlp_dropout")
    trainer = make_trainer(family, {**family.reference, "epochs": 1}, data, 0, "float32")
    trainer.advance(10**9, lambda samples, loss: None)
    trainer.save(tmp_path / "model.keras")
    stock = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = stock(data.val_x / np.float32(255), training=False)
    np.testing.assert_allclose(trainer.logits(data.val_x), expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_penalties_of_every_dtype_and_shape_are_added_up_as_keras_does(precision):
    class EachImages(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(keras.ops.mean(keras.ops.square(inputs), axis=1))
            return inputs

    def build(config, image_shape, classes):
        inputs = keras.Input(image_shape)
        x = keras.layers.Dense(8, activity_regularizer="l2", kernel_regularizer="l2")(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(EachImages()(x)))

    data, config = digits_like(), {"optimizer": "sgd", "learning_rate": 1e-3, "batch_size": 32, "epochs": 1}
    ours = make_trainer(Family("own", SearchSpace({"epochs": Int(1, 9)}), build), config, data, 5, precision)
    assert isinstance(ours, CompiledTrainer)
    keras.utils.set_random_seed(5)
    keras.config.set_dtype_policy("float32")  # Keras itself does not add up losses of two dtypes
    theirs = build(config, data.image_shape, data.classes)
    theirs.compile(make_optimizer(Recipe.of(config)), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ours.advance(192, lambda samples, loss: None)
    rows = Batches(len(data.x), 32, 5).take(6).ravel()
    theirs.fit(data.x[rows] / np.float32(255), data.y[rows], batch_size=32, shuffle=False, verbose=0)
    for mine, other in zip(ours.model.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-5 if precision == "float32" else 2e-2)


def test_weights_that_the_last_step_made_infinite_are_a_divergence():
    data, family = digits_like(), load("mlp")
    config = {**family.reference, **SMALL, "optimizer": "sgd", "learning_rate": 1e38, "weight_decay": 1e3, "epochs": 3}
    trainer = make_trainer(family, config, data, 0, "float32")
    with pytest.raises(Diverged, match="by step 1;"):
        trainer.advance(32, lambda samples, loss: None)


def test_no_optimizer_decays_weights_unless_it_is_told():
    for name in OPTIMIZERS:
        assert not make_optimizer(Recipe(1, optimizer=name)).weight_decay
        assert make_optimizer(Recipe(1, optimizer=name, weight_decay=0.01)).weight_decay == 0.01


def test_a_model_of_the_wrong_output_size_is_refused_with_both_shapes():
    def build(config, image_shape, classes):
        return load("mlp").build({**SMALL, "depth": 1}, image_shape, classes + 1)

    family = Family("wrong", SearchSpace({"epochs": Int(1, 9)}), build)
    with pytest.raises(FamilyError, match=r"output must have shape \(None, 10\), not \(None, 11\)"):
        make_trainer(family, {"epochs": 1}, digits_like(), 0, "float32")


def test_unusable_training_parameters_are_named_together():
    with pytest.raises(
        FamilyError, match=r"(?s)Did you mean adam or nadam\?.*epochs must be a positive number, not None"
    ):
        Recipe.of({"optimizer": "addam"})


def noisy(config, image_shape, classes):
    class Noise(keras.layers.Layer):
        def call(self, inputs, training=False):
            return inputs + keras.random.normal((1,), seed=1) if training else inputs

    inputs = keras.Input(image_shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(Noise()(keras.layers.Flatten()(inputs))))


def lively(config, image_shape, classes):
    def relu(x):
        return keras.activations.relu(x)

    inputs = keras.Input(image_shape)
    return keras.Model(inputs, keras.layers.Dense(classes, activation=relu)(keras.layers.Flatten()(inputs)))


def held_back(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    dense = keras.layers.Dense(classes, kernel_regularizer=lambda kernel: 0.01 * keras.ops.sum(kernel * kernel))
    return keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))


@pytest.mark.parametrize(
    ("family", "whole"),
    [
        (load("cnn"), True),
        (load("mlp_dropout"), True),
        (OWN, False),
        *((Family(build.__name__, OWN.space, build), False) for build in (noisy, lively, held_back)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_only_a_state_that_is_certain_to_be_whole_is_gone_on_with_in_a_final(family, whole):
    config = {**(family.reference or {}), "batch_size": 32, "epochs": 1}
    assert make_trainer(family, config, digits_like(), 1, "float32").state_is_whole is whole
