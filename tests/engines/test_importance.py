"""Importances on made-up studies whose truth is known."""

import math

import numpy as np
import pytest

from bench.engines.importance import ENOUGH, importance
from bench.records import Trial
from bench.space import Choice, Config, Float, SearchSpace, When

SPACE = SearchSpace(
    {
        "strong": Float(0.0, 1.0),
        "idle": Float(0.0, 1.0),
        "kind": Choice("a", "b"),
        "inner": When("kind", ("b",), Float(0.0, 1.0)),
    }
)


def drawn(seed: int) -> Config:
    generator = np.random.default_rng(seed)
    return SPACE.walk(lambda name, domain: domain.at(float(generator.random())))


def study(count, value, state="complete"):
    """One trial a configuration; `value` makes its accuracy of the configuration."""
    return [
        Trial(k, state, config, value(config), 100, curve=((100, value(config)),))
        for k, config in enumerate(map(drawn, range(count)))
    ]


def by_strong(config):
    return 0.5 + 0.5 * config["strong"]


def test_the_parameter_that_decides_comes_first_and_stands_out_from_chance():
    found = importance(SPACE, study(60, by_strong))
    assert next(iter(found.shares)) == "strong"
    assert found.clear == ("strong",)
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert (found.trials, found.reached, found.samples, found.problem) == (60, 60, None, None)


def test_where_nothing_decides_a_parameter_is_called_clear_about_once_in_twenty_times():
    clear = 0
    for seed in range(12):
        generator = np.random.default_rng(seed)
        clear += len(importance(SPACE, study(40, lambda config, g=generator: float(g.random()))).clear)
    assert clear <= 8  # of 48; 2.4 are expected, and 9 or more come in less than one case of a thousand


def test_the_same_study_gives_the_same_answer():
    assert importance(SPACE, study(30, by_strong)) == importance(SPACE, study(30, by_strong))


@pytest.mark.parametrize("count", [0, 1, ENOUGH - 1])
def test_of_too_few_trials_nothing_is_said(count):
    found = importance(SPACE, study(count, by_strong))
    assert found.shares == {}
    assert "Too few trials" in found.problem
    assert found.reached == count


def test_failed_and_running_trials_do_not_count():
    trials = study(ENOUGH - 1, by_strong) + study(9, by_strong, "failed") + study(9, by_strong, "running")
    assert "Too few trials" in importance(SPACE, trials).problem


def test_equal_trials_are_called_equal():
    assert importance(SPACE, study(30, lambda config: 0.9)).problem == "All trials are equally good."


def pruned_study(low):
    """A first rung at 10 that judges everything, and an end that twelve reached; `low` makes the first accuracy."""
    trials = []
    for k, config in enumerate(map(drawn, range(40))):
        if k < 12:
            # At the end the idle parameter decides, which too few trials can show.
            curve = ((10, low(config)), (100, config["idle"]))
            trials.append(Trial(k, "complete", config, config["idle"], 100, curve=curve))
        else:
            trials.append(Trial(k, "pruned", config, low(config), 10, curve=((10, low(config)),)))
    return trials


def test_pruned_trials_are_compared_at_the_highest_level_that_enough_of_all_have_reached():
    found = importance(SPACE, pruned_study(by_strong))
    assert (found.trials, found.reached, found.samples) == (40, 40, 10)
    assert next(iter(found.shares)) == "strong"


def test_trials_that_were_stopped_before_the_level_count_as_worse_whatever_they_scored():
    """Thirty run to the end; ten others score best at the first rung, and stop there."""
    trials = []
    for k, config in enumerate(map(drawn, range(40))):
        if k < 30:
            curve = ((10, 0.1), (100, by_strong(config)))
            trials.append(Trial(k, "complete", config, by_strong(config), 100, curve=curve))
        else:
            weak = {**config, "strong": 0.01}
            trials.append(Trial(k, "pruned", weak, 1.0, 10, curve=((10, 1.0),)))
    found = importance(SPACE, trials)
    assert (found.trials, found.reached, found.samples) == (40, 30, None)
    assert next(iter(found.shares)) == "strong"
    assert "strong" in found.clear


def test_a_run_too_short_for_the_rung_stands_with_its_own_end():
    trials = [Trial(k, "pruned", drawn(k), 0.5, 10, curve=((10, 0.5),)) for k in range(25)]
    short = [Trial(25 + k, "complete", drawn(25 + k), 0.9, 12, curve=((12, 0.9),)) for k in range(5)]
    found = importance(SPACE, trials + short)
    assert (found.reached, found.samples) == (30, 10)
    assert not math.isnan(sum(found.shares.values()))
