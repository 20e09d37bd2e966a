"""The loop of models that bring their own loss, optimizer or step, with the framework that KERAS_BACKEND names."""

import numpy as np
import pytest

from bench.errors import FamilyError
from bench.family import Family, load
from bench.space import Int, SearchSpace
from bench.training import backend
from bench.training.fit import FitTrainer
from tests.training.test_loop import SMALL, digits_like

keras = pytest.importorskip("keras")
make_trainer = backend.module().make_trainer


def test_a_model_with_its_own_loss_falls_back_to_keras_own_step():
    def build(config, image_shape, classes):
        model = load("mlp").build({**SMALL, "depth": 1}, image_shape, classes)
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    family = Family("own", SearchSpace({"epochs": Int(1, 9)}), build)
    trainer = make_trainer(family, {"epochs": 4}, digits_like(), 0, "float32")
    assert isinstance(trainer, FitTrainer)
    first = trainer.advance(192, lambda samples, loss: None)
    assert trainer.advance(768, lambda samples, loss: None) < first


class OwnStep(keras.Model):
    def train_step(self, *given):
        return super().train_step(*given)


def own_step(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    return OwnStep(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))


class OwnLoss(keras.Model):
    def compute_loss(self, *given, **named):
        return 0.0 * super().compute_loss(*given, **named)


def own_loss(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    return OwnLoss(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))


def patched_loss(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    model = keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))
    model.compute_loss = lambda x, y, y_pred, *rest, **named: 0.0 * keras.ops.sum(y_pred)
    return model


class Wordless(keras.Model):
    def train_step(self, *given):
        said = super().train_step(*given)
        return ({"ce": said[0]["loss"]}, said[1]) if isinstance(said, tuple) else {"ce": said["loss"]}  # JAX, others


def wordless(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    return Wordless(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))


def compiled(config, image_shape, classes):
    model = own_step(config, image_shape, classes)
    model.compile(keras.optimizers.SGD(config["learning_rate"]), "sparse_categorical_crossentropy")
    return model


def of_own_step(build, **config):
    family = Family("own", SearchSpace({"epochs": Int(1, 9)}), build)
    trainer = make_trainer(family, {"batch_size": 4, "epochs": 4, **config}, digits_like(), 0, "float32")
    assert isinstance(trainer, FitTrainer)
    return trainer


@pytest.mark.parametrize("build", [own_step, compiled])
def test_the_recipe_has_the_learning_rate_of_a_model_that_comes_uncompiled(build):
    trainer = of_own_step(build, learning_rate=0.01, warm_up=0.25, cooldown=0.5)
    shares = []
    for samples in (4, 192, 384, 576, 768):
        trainer.advance(samples, lambda samples, loss: None)
        shares.append(float(trainer.model.optimizer.learning_rate) / 0.01)
    assert shares == pytest.approx([0, 1, 1, 0.5, 0] if build is own_step else [1] * 5, abs=0.03)


@pytest.mark.parametrize("build", [own_step, compiled])
def test_a_state_goes_on_at_the_learning_rate_that_the_run_is_told(build, tmp_path):
    trainer, faster = of_own_step(build, learning_rate=0.01), of_own_step(build, learning_rate=0.03)
    trainer.advance(192, lambda samples, loss: None)
    trainer.save_state(tmp_path / "state.npz")
    faster.load_state(tmp_path / "state.npz")
    assert faster.samples == 192
    for one, other in zip(trainer.model.weights, faster.model.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    faster.advance(196, lambda samples, loss: None)
    assert float(faster.model.optimizer.learning_rate) == pytest.approx(0.03)


def test_a_state_goes_on_at_the_learning_rate_that_a_model_gave_itself(tmp_path):
    trainer, again = (of_own_step(compiled, learning_rate=0.01) for _ in range(2))
    trainer.model.optimizer.learning_rate = 0.005
    trainer.save_state(tmp_path / "state.npz")
    again.load_state(tmp_path / "state.npz")
    assert float(again.model.optimizer.learning_rate) == pytest.approx(0.005)


@pytest.mark.parametrize("build", [own_loss, patched_loss])
def test_a_loss_of_the_models_own_is_the_one_that_it_is_trained_by(build):
    """Keras's step asks for it; the loop's own loss would move the weights."""
    trainer = of_own_step(build, learning_rate=0.1, optimizer="sgd", momentum=0.0)
    before = [weights.copy() for weights in trainer.model.get_weights()]
    assert trainer.advance(64, lambda samples, loss: None) == 0.0
    for one, other in zip(before, trainer.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_step_that_says_no_loss_is_told_what_to_say():
    trainer = of_own_step(wordless)
    with pytest.raises(FamilyError, match="train_step returns ce; let its dict have a 'loss'"):
        trainer.advance(64, lambda samples, loss: None)
