"""The JAX loop: many steps in one compiled call, batches gathered on the device from data that stays there.

What a run does not share with others of its architecture are arguments of one program; see `bench.training.program`.
"""

from __future__ import annotations

import functools
import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from bench.errors import BenchError
from bench.family import Family
from bench.space import Value
from bench.training.budget import steps_for
from bench.training.fit import FitTrainer
from bench.training.interface import Data, Recipe
from bench.training.loop import EVAL_BATCH, CompiledTrainer, Forward, Pace, built, steps_itself
from bench.training.program import Knobs, Program, State, dropouts, logits_of, program_of

MOST_STEPS = 1024  # a call; orders of batches are padded to as many, so that every call has one shape


def start(threads: int, gpu: str | None) -> str:
    """The device's name. Threads and device were set by the environment, before JAX was imported."""
    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else str(device.device_kind)


def make_trainer(
    family: Family, config: Mapping[str, Value], data: Data, seed: int, precision: str
) -> JaxTrainer | FitTrainer:
    """Build the family's model for this configuration and wrap it in the loop that suits it; see `built`."""
    began = time.perf_counter()
    model, recipe = built(family, config, data, seed, precision)
    if steps_itself(model):
        return FitTrainer(model, data, recipe, seed, time.perf_counter() - began, forward(model, data.x.dtype))
    return JaxTrainer(model, data, recipe, seed, time.perf_counter() - began, program_of(model, recipe))


def forward(model: Any, dtype: npt.DTypeLike) -> Forward:
    """A compiled forward pass over stored images; JAX finds their dtype out by itself."""
    return partial(_forward, jax.jit(partial(logits_of, model)), model)


def _forward(compiled: Callable[..., Any], model: Any, images: Any) -> npt.NDArray[np.float32]:
    trainable, others = ([v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables))
    return np.asarray(compiled(trainable, others, images))


def _forward_padded(compiled: Callable[..., Any], model: Any, images: Any) -> npt.NDArray[np.float32]:
    """The last batch as long as the others: another shape would be another compilation."""
    short = EVAL_BATCH - len(images)
    padded = np.pad(images, [(0, short), *[(0, 0)] * (images.ndim - 1)]) if short else images
    return _forward(compiled, model, padded)[: len(images)]


@functools.lru_cache(maxsize=1)
def _arrays(data: Data) -> tuple[Any, Any]:
    """The training set on the device, the same for every run."""
    return jax.device_put(data.x), jax.device_put(data.y)


class JaxTrainer(CompiledTrainer):
    """One run of a program that others of the same architecture share."""

    def __init__(
        self, model: Any, data: Data, recipe: Recipe, seed: int, build_seconds: float, program: Program
    ) -> None:
        super().__init__(model, data, recipe, seed, build_seconds, partial(_forward_padded, program.logits, model))
        self.program = program
        self.arrays = _arrays(data)
        self._pace = Pace(MOST_STEPS)
        self._knobs = Knobs(
            np.float32(recipe.learning_rate),
            np.float32(recipe.warm_up),
            np.float32(recipe.cooldown),
            np.float32(self._optimizer.weight_decay or 0.0),
            np.float32(self.total_steps),
            np.array([1.0 - layer.rate for layer in dropouts(model)], np.float32),
        )

    @property
    def state(self) -> State:
        """What training has changed so far. A program that is given it takes it away; assign what comes back."""
        groups = (self.model.trainable_variables, self.model.non_trainable_variables, self._optimizer.variables)
        return State(*([variable.value for variable in group] for group in groups))

    @state.setter
    def state(self, state: State) -> None:
        groups = (self.model.trainable_variables, self.model.non_trainable_variables, self._optimizer.variables)
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)

    def _train(self, order: npt.NDArray[np.int32], first: int) -> float:
        self.state, total = self.program.train(self.state, self._knobs, *self.arrays, _padded(order), first, len(order))
        return float(total)


def _padded(order: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    steps, batch_size = order.shape
    rows = np.zeros((MOST_STEPS, batch_size), np.int32)
    rows[:steps] = order
    return rows


def together(trainers: Sequence[JaxTrainer | FitTrainer]) -> Together | None:
    """These runs, to be trained side by side; None where they cannot be, see Together."""
    ours = [trainer for trainer in trainers if isinstance(trainer, JaxTrainer)]
    fits = len(ours) == len(trainers) and all(_alike(ours[0], other) for other in ours[1:])
    return Together(ours) if fits else None


def _alike(one: JaxTrainer, other: JaxTrainer) -> bool:
    """Whether two runs are of one program, equally far and equally long, and on the same data."""
    same = one.program is other.program and one.arrays is other.arrays
    return same and (one.samples, one.total_steps, one.recipe.batch_size) == (
        other.samples,
        other.total_steps,
        other.recipe.batch_size,
    )


class Together:
    """Runs of one architecture, equally far and equally long, trained side by side in one program.

    They may differ in seed, learning rate and its course, weight decay and dropout rates. Each ends with the weights
    that it ends with alone, up to rounding. One that diverges does not stop the others: its loss says so.

    Raises:
        BenchError: they differ in more.
    """

    def __init__(self, trainers: Sequence[JaxTrainer]) -> None:
        if not all(_alike(trainers[0], other) for other in trainers[1:]):
            raise BenchError("Runs side by side must have one architecture, one length and the same data.")
        self._trainers = trainers
        self._pace = Pace(MOST_STEPS)

    def advance(self, to_samples: int, on_progress: Callable[[int, list[float]], None]) -> list[float]:
        """Train until `to_samples` nominal samples were seen by each.

        Args:
            on_progress: gets samples and every run's mean loss, at least every five seconds; may raise Stopped.

        Returns:
            The mean loss of each run's part just trained; not finite where it diverged.
        """
        trainers, first = self._trainers, self._trainers[0]
        program, arrays = first.program, first.arrays
        target = min(steps_for(to_samples, first.recipe.batch_size), first.total_steps)
        step = begun = first._step
        losses = np.zeros(len(trainers))
        state = _stack([trainer.state for trainer in trainers])
        knobs = _stack([trainer._knobs for trainer in trainers])
        while step < target:
            steps = self._pace.next(target - step)
            order = np.stack([_padded(trainer._batches.take(steps)) for trainer in trainers])
            began = time.perf_counter()
            state, totals = program.train_together(state, knobs, *arrays, order, step, steps)
            found = np.asarray(totals, np.float64)
            seconds = time.perf_counter() - began
            step += steps
            for trainer in trainers:
                trainer.passed(step, seconds / len(trainers), self._pace.traced)
            self._pace.took(steps, seconds)
            losses += found
            on_progress(first.samples, (found / steps).tolist())
        for k, trainer in enumerate(trainers):
            trainer.state = jax.tree.map(operator.itemgetter(k), state)
        return list((losses / max(1, step - begun)).tolist())


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *values: jnp.stack(values), *trees)


def training_step(dtype: str, images: int) -> Callable[[], float]:
    """A convolution of so many images and a matrix product with their gradients in this dtype, compiled."""
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = ((images, 13, 13, 32), (3, 3, 32, 64), (11 * 11 * 64, 32))
    values = [jax.random.normal(key, shape).astype(dtype) for key, shape in zip(keys, shapes, strict=True)]

    def total(x: Any, kernel: Any, matrix: Any) -> Any:
        hidden = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.sum((jax.nn.relu(hidden).reshape(images, -1) @ matrix).astype(jnp.float32))

    def step(*values: Any) -> Any:
        gradients = jax.grad(total, argnums=(0, 1, 2))(*values)
        return sum(jnp.sum(gradient.astype(jnp.float32)) for gradient in gradients)

    compiled = jax.jit(step)
    float(compiled(*values))
    return lambda: float(compiled(*values))


def threads_of() -> int:
    """Threads that one operation may use; 0 where XLA chooses."""
    return int(os.environ.get("NPROC", "0"))


def on_gpu() -> bool:
    """Whether this process computes on a GPU."""
    return bool(jax.default_backend() != "cpu")
