"""What makes the comparison fair: rivals search bench's space, with bench's recipe."""

import random

import numpy as np
import optuna
import pytest
from fitting import trapezoid
from ground import Task
from with_keras_tuner import hyperparameters

from bench.family import load
from bench.rows import suggested
from bench.training.interface import Recipe
from bench.training.loop import rate_at


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_optuna_walks_the_space_that_bench_walks(family):
    space = load(family).space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        config = space.walk(suggested(trial))
        assert space.problems_of(config) == []
        assert trial.params == config


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_keras_tuner_draws_from_the_space_that_bench_searches(family):
    space = load(family).space
    found = hyperparameters(space)
    assert {parameter.name for parameter in found.space} == set(space.domains)
    draw = random.Random(0)
    for _ in range(30):
        values = {parameter.name: parameter.random_sample(draw.random()) for parameter in found.space}
        assert space.problems_of(space.walk(lambda name, _, values=values: values[name])) == []


def test_what_is_conditional_for_bench_is_conditional_for_keras_tuner():
    found = hyperparameters(load("mlp").space)
    (condition,) = next(parameter for parameter in found.space if parameter.name == "momentum").conditions
    assert (condition.name, list(condition.values)) == ("optimizer", ["sgd"])


@pytest.mark.parametrize(("warm_up", "cooldown"), [(0.2, 0.5), (0.0, 0.7), (0.3, 0.0)])
def test_the_learning_rate_of_fit_is_that_of_the_recipe(warm_up, cooldown):
    recipe = Recipe(epochs=2, learning_rate=0.01, warm_up=warm_up, cooldown=cooldown)
    schedule = trapezoid(recipe, first=0, total=20)
    ours = [float(rate_at(recipe, step / 20)) for step in range(20)]
    np.testing.assert_allclose([float(schedule(step)) for step in range(20)], ours, rtol=1e-5, atol=1e-8)


def test_a_task_comes_to_its_process_as_it_was():
    task = Task("folder", "cnn", 12.5, fixed={"epochs": 2}, configs=[{"epochs": 2, "batch_norm": True}], tuned=True)
    assert Task.of(task.to_json()) == task


def test_a_rival_trains_trial_by_trial_from_the_seeds_that_bench_has():
    from bench.engines.interface import seed_of

    assert Task("folder", "cnn", 0.0, seed=3).seed_for(5) == seed_of(3, 5, "train")
