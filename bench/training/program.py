"""A JAX program that trains one architecture, and every configuration of it that differs in variables only.

Learning rate, warm-up, cool-down, weight decay, dropout rates, initial weights and seeds are arguments of the program,
so that trials of one architecture share a trace, and several can be computed side by side.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras

from bench.training.architecture import described
from bench.training.interface import Recipe
from bench.training.loop import make_optimizer, scale_of

KEPT = 16  # programs; a model's weights and some 10 MB of machine code each


class State(NamedTuple):
    """All that training changes: lists of arrays, in the order of the model's and the optimizer's variables."""

    trainable: list[Any]
    others: list[Any]  # statistics and seed generators
    optimizer: list[Any]


class Knobs(NamedTuple):
    """What a trace is not made for: float32 scalars, and the shares that dropout layers keep, shape (layers,)."""

    learning_rate: Any
    warm_up: Any
    cooldown: Any
    weight_decay: Any
    steps: Any  # of the whole run
    kept: Any


class Program:
    """The compiled functions of one architecture.

    Args:
        model: any model of it; its values are not used.
        recipe: names the optimizer; its other values are not used, but for whether there is momentum, and how much.

    Attributes:
        train: (state, knobs, images, labels, order, first, steps) -> (state, sum of the losses). `order` holds batches
            as rows, shape (at least `steps`, batch_size); row k is step `first + k` of the run. The state that is
            given may not be used again. Where a weight is not finite in the end, nor is the sum.
        train_together: the same for several runs: state, knobs and order have an axis more in front.
        logits: (trainable, others, images) -> float32, shape (n, classes).
    """

    def __init__(self, model: Any, recipe: Recipe) -> None:
        self._model = model
        self._optimizer = make_optimizer(recipe)
        self._optimizer.build(model.trainable_variables)
        self._rate_at = [id(v) for v in self._optimizer.variables].index(id(self._optimizer._learning_rate))
        self._dropouts = dropouts(model)
        self.train = jax.jit(self._train, donate_argnums=0)
        self.train_together = jax.jit(
            jax.vmap(self._train, in_axes=(0, 0, None, None, 0, None, None)), donate_argnums=0
        )
        self.logits = jax.jit(partial(logits_of, model))

    def _train(self, state: State, knobs: Knobs, x: Any, y: Any, order: Any, first: Any, steps: Any) -> Any:
        def step(k: Any, carried: tuple[State, Any]) -> tuple[State, Any]:
            state, total = carried
            rows = order[k]
            images = scaled(x.at[rows].get(mode="promise_in_bounds"))
            state, loss = self._step(state, knobs, images, y[rows], (first + k).astype(jnp.float32) / knobs.steps)
            return state, total + loss

        # Not lax.scan: its length is a part of the trace, and a search needs calls of many lengths.
        state, total = jax.lax.fori_loop(0, steps, step, (state, jnp.float32(0.0)))
        # The last step's loss tells nothing of the weights that it makes.
        finite = [jnp.isfinite(one).all() for one in state.trainable if jnp.issubdtype(one.dtype, jnp.floating)]
        return state, jnp.where(jnp.stack([jnp.bool_(True), *finite]).all(), total, jnp.nan)

    def _step(self, state: State, knobs: Knobs, images: Any, labels: Any, progress: Any) -> tuple[State, Any]:
        def objective(trainable: list[Any]) -> tuple[Any, tuple[Any, Any]]:
            outputs, others, penalties = self._model.stateless_call(
                trainable, state.others, images, training=True, return_losses=True
            )
            likelihood = jax.nn.log_softmax(outputs.astype(jnp.float32))
            loss = -jnp.mean(jnp.take_along_axis(likelihood, labels[:, None], axis=1))
            # As Keras adds them up, whatever their shapes.
            return sum(map(jnp.sum, penalties), loss), (loss, others)

        with _rates_of(self._dropouts, knobs.kept):
            (_, (loss, others)), gradients = jax.value_and_grad(objective, has_aux=True)(state.trainable)
        variables = list(state.optimizer)
        variables[self._rate_at] = rate(knobs, progress)
        with _decay_of(self._optimizer, knobs.weight_decay):
            trainable, variables = self._optimizer.stateless_apply(variables, gradients, state.trainable)
        return State(list(trainable), list(others), list(variables)), loss


_programs: OrderedDict[str, Program] = OrderedDict()


def program_of(model: Any, recipe: Recipe) -> Program:
    """The program of a model's architecture: the one that another trial had compiled, where there is one."""
    key = architecture(model)
    if key is None:
        return Program(model, recipe)
    key = f"{recipe.optimizer} {recipe.momentum if recipe.optimizer == 'sgd' else ''} {key}"
    if key not in _programs:
        _programs[key] = Program(model, recipe)
    _programs.move_to_end(key)
    if len(_programs) > KEPT:
        _programs.popitem(last=False)
    return _programs[key]


def architecture(model: Any) -> str | None:
    """What two models have in common that one program computes; None where that cannot be told."""
    description = described(model)
    if description is None:
        return None
    # What is trained may be chosen weight by weight, which the description of a layer does not say.
    weights = [(list(one.shape), str(one.dtype), one.trainable) for one in model.variables]
    return json.dumps([_without_variables(description), weights], sort_keys=True, default=repr)


def _without_variables(part: Any) -> Any:
    """A description without what becomes an argument of the program: rates and seeds of dropout."""
    if isinstance(part, dict):
        inner = {name: _without_variables(value) for name, value in part.items()}
        if part.get("class_name") == "Dropout" and part["config"]["noise_shape"] is None:
            inner["config"] |= {"rate": part["config"]["rate"] > 0, "seed": None}
        return inner
    return [_without_variables(value) for value in part] if isinstance(part, (list, tuple)) else part


def dropouts(model: Any) -> list[Any]:
    """The layers of a model whose rate is an argument of its program, inside nested models too."""
    found = [layer for layer in model._flatten_layers() if type(layer) is keras.layers.Dropout]
    found = [layer for layer in found if "call" not in vars(layer)]  # a family's own, which stays
    return [layer for layer in found if layer.rate > 0 and layer.noise_shape is None]


def rate(knobs: Knobs, progress: Any) -> Any:
    """Learning rate at `progress` in [0, 1) of the run; see Recipe."""

    def ramp(share: Any, part: Any) -> Any:
        return jnp.where(share > 0, jnp.minimum(1.0, part / jnp.where(share > 0, share, 1.0)), 1.0)

    return knobs.learning_rate * ramp(knobs.warm_up, progress) * ramp(knobs.cooldown, 1.0 - progress)


def scaled(x: Any) -> Any:
    """Images in float32, as a stock Keras model gets them: a layer that computes in less rounds them itself."""
    return x.astype(jnp.float32) * scale_of(x)


def logits_of(model: Any, trainable: list[Any], others: list[Any], images: Any) -> Any:
    """Float32 logits, shape (n, classes), of images as they are stored."""
    outputs, _ = model.stateless_call(trainable, others, scaled(images), training=False)
    return outputs.astype(jnp.float32)


@contextmanager
def _rates_of(layers: list[Any], kept: Any) -> Iterator[None]:
    """While a program is traced, let dropout layers keep these shares: Keras's own branch on a rate that is a number.

    Masks are drawn as Keras draws them, from the layer's seed generator.
    """

    def call(layer: Any, share: Any, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        mask = jax.random.bernoulli(layer.seed_generator.next(), share, inputs.shape)
        return jax.lax.select(mask, inputs / share.astype(inputs.dtype), jnp.zeros_like(inputs))

    for k, layer in enumerate(layers):
        layer.call = partial(call, layer, kept[k])
    try:
        yield
    finally:
        for layer in layers:
            del layer.call


@contextmanager
def _decay_of(optimizer: Any, decay: Any) -> Iterator[None]:
    """While a program is traced, let the optimizer's weight decay be a variable."""
    before, optimizer.weight_decay = optimizer.weight_decay, decay
    try:
        yield
    finally:
        optimizer.weight_decay = before
