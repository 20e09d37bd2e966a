"""KerasTuner's oracles as proposer. Values are made up where nothing is trained; the oracles are real."""

import math
import subprocess
import sys

import pytest

from bench.engines.interface import Exhausted
from bench.engines.oracle import OracleProposer, from_values, hyperparameters, to_values
from bench.errors import UsageError
from bench.family import load
from bench.options import ENGINES, Options
from bench.records import Trial
from bench.space import Choice, Fixed, Float, Int, SearchSpace, When

SPACE = SearchSpace(
    {
        "blocks": Int(1, 3),
        "width": Int(8, 64, log=True),
        "rate": Float(1e-4, 1e-1, log=True),
        "mixed": Choice("auto", 2, 0.5, True),
        "optimizer": Choice("adam", "sgd"),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "nesterov": When("momentum", (0.5,), Choice(True, False)),
        "scale": When("mixed", ("auto", 2), Float(0.0, 1.0)),
        "skip": When("blocks", (2, 3), Choice("add", "concat")),
    }
)
SAMPLERS = (pytest.param("bayesian", marks=pytest.mark.slow), "random", "grid")


def proposer(sampler="random", seed=0, space=SPACE, reference=None):
    asked = OracleProposer(space, sampler, seed, reference)
    if sampler == "bayesian":
        asked._oracle.num_initial_points = 3  # else three a parameter, before anything is learned
    return asked


def enough(sampler):
    """Trials that show what is asked; a Gaussian process takes seconds for each."""
    return 6 if sampler == "bayesian" else 36


def over(number, params, state="complete", value=None):
    value = None if state == "failed" else 1 - abs(math.log(params["rate"]) + 5) / 10 if value is None else value
    return Trial(number, state, params, value)


def run(asked, count, start=0, states=("complete",), value=None):
    trials = []
    for number in range(start, start + count):
        trial = over(number, asked.ask(number), states[number % len(states)], value)
        asked.tell(trial)
        trials.append(trial)
    return trials


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_configuration_is_a_point_of_the_space(sampler):
    for space in (SPACE, load("cnn").space):
        trials = run(proposer(sampler, space=space), enough(sampler), value=0.5)
        assert [space.problems_of(trial.params) for trial in trials] == [[]] * enough(sampler)
        assert len({tuple(trial.params.items()) for trial in trials}) == enough(sampler)


def test_both_bounds_are_proposed_and_none_is_crossed():
    space = SearchSpace({"k": Int(1, 3), "n": Int(1, 3, log=True), "x": Float(0.1, 0.3, log=True)})
    asked = proposer(space=space)
    configs = [asked.ask(number) for number in range(60)]
    assert {config["k"] for config in configs} == {config["n"] for config in configs} == {1, 2, 3}
    top = from_values(space, {"k": 3, "n": 4, "x": 0.30000000000000004})  # what the oracle makes of a share of 1.0
    assert top == {"k": 3, "n": 3, "x": 0.3}


def test_a_log_range_is_sampled_evenly_in_its_logarithm():
    asked = proposer(space=SearchSpace({"rate": Float(1e-4, 1e-1, log=True)}))
    rates = [asked.ask(number)["rate"] for number in range(300)]
    for low, high in ((1e-4, 1e-3), (1e-3, 1e-2), (1e-2, 1e-1)):
        assert 75 < sum(low <= rate < high for rate in rates) < 125


def test_a_parameter_is_there_exactly_while_its_condition_holds():
    asked = proposer()
    configs = [asked.ask(number) for number in range(80)]
    for config in configs:
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert ("scale" in config) == (config["mixed"] in ("auto", 2))
        assert ("skip" in config) == (config["blocks"] > 1)
    assert {config.get("skip") for config in configs} == {None, "add", "concat"}


def test_options_of_several_types_come_back_as_they_were_declared():
    asked = proposer()
    seen = {(type(value), value) for value in (asked.ask(number)["mixed"] for number in range(60))}
    assert seen == {(str, "auto"), (int, 2), (float, 0.5), (bool, True)}
    config = asked.ask(60)
    assert from_values(SPACE, to_values(SPACE, config)) == config


def test_what_is_fixed_is_no_hyperparameter_and_decides_what_depends_on_it():
    fixed = SearchSpace({**SPACE.domains, "optimizer": Fixed("adam"), "blocks": Fixed(2)})
    names = {parameter.name for parameter in hyperparameters(fixed).space}
    assert names == {"width", "rate", "mixed", "scale", "skip"}
    asked = proposer(space=fixed)
    assert all(fixed.problems_of(asked.ask(number)) == [] for number in range(20))


def test_trial_zero_is_the_reference_and_the_oracle_does_not_hear_of_it():
    reference = proposer(seed=9).ask(0)
    asked = proposer(reference=reference)
    trials = run(asked, 4)
    assert trials[0].params == reference
    assert len(asked._oracle.trials) == 3
    assert [t.params for t in trials[1:]] != [t.params for t in run(proposer(), 3)]  # seeds go by the trial's number


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_proposes_the_same_and_another_does_not(sampler):
    first, again = (run(proposer(sampler, seed=4), enough(sampler)) for _ in range(2))
    assert first == again
    if sampler != "grid":
        assert first[0].params != run(proposer(sampler, seed=5), 1)[0].params


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_new_process_goes_on_from_the_stored_trials_as_if_it_had_never_stopped(sampler):
    states = ("complete", "pruned", "complete", "failed")
    count = enough(sampler) + 2
    whole = run(proposer(sampler, reference=proposer(seed=9).ask(0)), count, states=states)
    resumed = proposer(sampler, reference=dict(whole[0].params))
    resumed.resume(whole[:-2])
    assert run(resumed, 2, start=count - 2, states=states) == whole[-2:]


@pytest.mark.slow
def test_the_bayesian_oracle_learns_and_random_does_not():
    space = SearchSpace({"rate": Float(1e-4, 1e-1, log=True)})
    means = {}
    for sampler in ("bayesian", "random"):
        values = [trial.val_accuracy for trial in run(proposer(sampler, space=space), 20)]
        means[sampler] = sum(values[-8:]) / 8
    assert means["bayesian"] > means["random"] + 0.05


def test_a_pruned_trial_is_told_as_completed_with_its_last_value_and_a_failed_one_as_failed():
    asked = proposer()
    for number, state in enumerate(("complete", "pruned", "failed")):
        asked.tell(over(number, asked.ask(number), state, None if state == "failed" else 0.25))
    told = [(trial.status, trial.score) for trial in asked._oracle.trials.values()]
    assert told == [("COMPLETED", 0.25), ("COMPLETED", 0.25), ("FAILED", None)]


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_many_failed_or_pruned_trials_in_a_row_do_not_end_the_search(state):
    asked = OracleProposer(SPACE, "bayesian", 0)
    assert len(run(asked, 12, states=(state,))) == 12


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_a_finite_space_is_exhausted(sampler):
    space = SearchSpace({"rate": Choice(1e-3, 1e-2), "mode": Choice("a", "b")})
    asked = proposer(sampler, space=space)
    configs = []

    def ask_on():
        while len(configs) < 9:
            (trial,) = run(asked, 1, start=len(configs))
            configs.append(tuple(trial.params.values()))

    with pytest.raises(Exhausted):
        ask_on()
    assert len(set(configs)) == len(configs) <= 4
    if sampler == "grid":
        assert len(configs) == 4


def test_a_grid_keeps_every_worker_busy():
    asked = proposer("grid")
    configs = [asked.ask(number) for number in range(6)]
    assert None not in configs
    assert len({tuple(config.items()) for config in configs}) == 6


def test_an_unknown_sampler_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"No sampler 'bayes'; there are bayesian, .*Did you mean bayesian"):
        proposer("bayes")


def test_hyperband_prunes_by_itself_and_says_so(tmp_path):
    assert ENGINES["keras-tuner"].pruner("hyperband", None) == "none"
    assert ENGINES["keras-tuner"].pruner(None, None) == "asha"
    with pytest.raises(UsageError, match=r"hyperband .* takes no pruner 'asha'. Leave --pruner out"):
        Options(tmp_path, engine="keras-tuner", sampler="hyperband", pruner="asha")
    with pytest.raises(UsageError, match=r"sampler must be one of bayesian, .* with engine keras-tuner, not 'tpe'"):
        Options(tmp_path, engine="keras-tuner", sampler="tpe")


LIGHT = """
import sys
from bench.engines.oracle import OracleProposer
from bench.family import load
{before}
asked = OracleProposer(load("mlp").space, "bayesian", 0, None)
print([asked.ask(number) for number in range(3)])
assert "tensorflow" in sys.modules or {light}
import os
assert os.listdir() == []
{after}
"""


def proposals(tmp_path, before="", after="", light=True):
    code = LIGHT.format(before=before, after=after, light=light)
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_an_oracle_needs_no_framework_and_leaves_no_trace(tmp_path):
    """It proposes what it proposes where Keras is there, and a later import gets KerasTuner as it is."""
    after = "assert not [m for m in sys.modules if m.partition('.')[0] in ('keras', 'keras_tuner', 'tensorflow')]\n"
    after += "import psutil; assert psutil.Process().memory_info().rss < 250e6\n"
    after += "import keras_tuner, keras; assert issubclass(keras_tuner.HyperModel, object) and keras.layers.Dense(3)"
    assert proposals(tmp_path, after=after) == proposals(tmp_path, before="import keras", light=False)
