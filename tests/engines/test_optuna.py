"""The proposer and stopper on Optuna, without any training: values are made up, everything else is real."""

import importlib.util

import pytest

from bench.engines.interface import Exhausted, seed_of
from bench.engines.optuna import PRUNERS, SAMPLERS, OptunaStudy
from bench.errors import MissingPackage, SpaceError
from bench.family import load
from bench.records import Trial
from bench.space import Choice, Float, Int, SearchSpace, When

SPACE = load("cnn").space
REFERENCE = dict(load("cnn").reference)


def study(space=SPACE, sampler="tpe", pruner="asha", seed=0, reference=None):
    return OptunaStudy(space, sampler, pruner, seed, first_rung=1000, last_rung=16000, reference=reference)


def value_of(config):
    return 1.0 - abs(config["learning_rate"] - 2e-3) * 50


def run(optuna_study, count, start=0):
    """Ask and tell `count` trials; returns them."""
    trials = []
    for number in range(start, start + count):
        params = optuna_study.ask(number)
        curve = ((1000, value_of(params) - 0.1),)
        stop = optuna_study.prune(number, *curve[0])
        state = "pruned" if stop else "complete"
        trial = Trial(number, state, params, value_of(params) - (0.1 if stop else 0), curve=curve)
        optuna_study.tell(trial)
        trials.append(trial)
    return trials


def test_the_reference_is_trial_zero_and_is_never_pruned():
    searched = study(reference=REFERENCE)
    assert searched.ask(0) == REFERENCE
    other = searched.ask(1)
    assert searched.prune(1, 1000, 0.9) is False
    assert searched.prune(0, 1000, 0.1) is False
    assert other != REFERENCE


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_proposes_points_of_the_space(sampler):
    missing = {"gp": "torch", "cmaes": "cmaes"}.get(sampler)
    if missing and importlib.util.find_spec(missing) is None:
        with pytest.raises(MissingPackage, match=f"pip install {missing}"):
            study(sampler=sampler)
        return
    space = SPACE
    if sampler == "brute-force":
        space = SearchSpace({"learning_rate": Choice(1e-3, 2e-3), "epochs": Int(1, 9)})
    if sampler == "grid":
        space = SearchSpace({"learning_rate": Float(1e-3, 2e-3), "epochs": Int(1, 9)})
    searched = study(space, sampler)
    for trial in run(searched, 12):
        assert space.problems_of(trial.params) == []


@pytest.mark.parametrize("pruner", sorted(PRUNERS))
def test_every_pruner_judges_and_only_none_spares_the_worst(pruner):
    searched = study(pruner=pruner, sampler="random")
    verdicts = []
    for number in range(12):
        searched.ask(number)
        verdicts.append(searched.prune(number, 1000, 0.9 - 0.01 * number))
        searched.tell(Trial(number, "pruned" if verdicts[-1] else "complete", {}, 0.5))
    assert any(verdicts) is (pruner != "none")


def test_the_sampler_hears_only_of_the_references_first_rung():
    searched = study(reference=REFERENCE)
    searched.ask(0)
    for samples in (1000, 4000):
        searched.prune(0, samples, 0.9)
    searched.tell(Trial(0, "complete", REFERENCE, 0.99))
    (heard,) = searched._study.trials
    assert heard.intermediate_values == {1000: 0.9}
    assert heard.state.name == "PRUNED"


def test_successive_halving_keeps_a_third_at_a_rung():
    searched = study(pruner="asha", sampler="random")
    kept = []
    for number, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.05, 0.75, 0.74, 0.73, 0.72]):
        searched.ask(number)
        if not searched.prune(number, 1000, value):
            kept.append(value)
    # Of the values so far, its own among them, the best third goes on, rounded down but at least one.
    assert kept == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.75, 0.74, 0.73]


def test_the_same_seed_proposes_the_same_trials_and_another_does_not():
    first, again, other = (run(study(seed=seed), 15) for seed in (3, 3, 4))
    assert [t.params for t in first] == [t.params for t in again]
    assert [t.params for t in first] != [t.params for t in other]


def test_a_resumed_search_proposes_what_an_unbroken_one_would():
    unbroken = run(study(), 20)
    resumed = study()
    resumed.resume(unbroken[:12])
    assert [t.params for t in run(resumed, 8, start=12)] == [t.params for t in unbroken[12:]]


def test_a_finite_space_is_exhausted_by_the_grid():
    space = SearchSpace({"learning_rate": Choice(1e-3, 2e-3), "epochs": Int(1, 2)})
    searched = study(space, "grid", "none")
    seen = {tuple(trial.params.items()) for trial in run(searched, 4)}
    assert len(seen) == 4
    with pytest.raises(Exhausted):
        searched.ask(4)


def test_a_grid_too_large_to_walk_says_how_to_make_it_smaller():
    with pytest.raises(SpaceError, match=r"points, more than 10,000. Fix parameters with --set"):
        study(SPACE, "grid").ask(0)


def test_conditional_parameters_stay_out_when_inactive():
    space = SearchSpace(
        {
            "optimizer": Choice("adam", "sgd"),
            "momentum": When("optimizer", ("sgd",), Float(0.5, 0.9)),
            "learning_rate": Float(1e-4, 1e-2, log=True),
        }
    )
    for trial in run(study(space), 30):
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")


def test_a_trial_that_is_run_again_may_report_its_rungs_again():
    searched = study()
    searched.ask(0)
    for _ in range(2):
        searched.prune(0, 1000, 0.5)
    searched.tell(Trial(0, "complete", {}, 0.6))


def test_seeds_differ_between_trials_and_purposes_and_stay_the_same_for_ever():
    assert len({seed_of(0, n, p) for n in range(50) for p in ("train", "sampler")}) == 100
    assert seed_of(0, 0, "train") == seed_of(0, 0, "train")


def test_tpe_starts_with_every_option_and_all_parts_of_every_range():
    searched = study(reference=REFERENCE)
    params = [searched.ask(number) for number in range(11)][1:]
    for name in ("optimizer", "kernel", "batch_norm", "blocks"):
        assert {p[name] for p in params} == set(SPACE.domains[name].options if name != "blocks" else (2, 3))
    rates = sorted(p["learning_rate"] for p in params)
    low, high = SPACE.domains["learning_rate"].low, SPACE.domains["learning_rate"].high
    edges = [low * (high / low) ** (k / 11) for k in range(12)]
    occupied = {next(k for k in range(11) if edges[k] <= rate <= edges[k + 1]) for rate in rates}
    assert len(occupied) == 10  # of the eleven parts the reference's place in the design is left out
