"""The proposer on Optuna's samplers, without any training: values are made up, everything else is real."""

import importlib.util
import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest

from bench.engines.interface import Exhausted, seed_of
from bench.engines.proposer import ENOUGH, NAMES, STARTUP, OptunaProposer
from bench.errors import MissingPackage, SpaceError, UsageError
from bench.family import load
from bench.records import Trial
from bench.space import Choice, Float, Int, SearchSpace, When

SPACE = load("cnn").space
REFERENCE = dict(load("cnn").reference)


def proposer(space=SPACE, sampler="tpe", seed=0, reference=None):
    return OptunaProposer(space, sampler, seed, reference)


def value_of(config):
    return 1.0 - abs(config["learning_rate"] - 2e-3) * 50


def run(asked, count, start=0):
    """Ask and tell `count` trials, every third complete and the others pruned at the first rung; returns them."""
    trials = []
    for number in range(start, start + count):
        params = asked.ask(number)
        curve = ((1000, value_of(params) - 0.1),)
        if number % 3:
            trial = Trial(number, "pruned", params, curve[0][1], curve=curve)
        else:
            trial = Trial(number, "complete", params, value_of(params), curve=(*curve, (5000, value_of(params))))
        trial = replace(trial, sampler_state=json.loads(json.dumps(asked.state_with(number))))
        asked.tell(trial)
        trials.append(trial)
    return trials


def test_the_reference_is_trial_zero():
    asked = proposer(reference=REFERENCE)
    assert asked.ask(0) == REFERENCE
    assert asked.ask(1) != REFERENCE


def test_an_unknown_sampler_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r"No sampler 'tpes'; there are tpe, .*Did you mean tpe"):
        proposer(sampler="tpes")


@pytest.mark.parametrize("sampler", NAMES)
def test_every_sampler_proposes_points_of_the_space(sampler):
    missing = {"gp": "torch", "cmaes": "cmaes"}.get(sampler)
    if missing and importlib.util.find_spec(missing) is None:
        with pytest.raises(MissingPackage, match=f"pip install {missing}"):
            proposer(sampler=sampler)
        return
    space = SPACE
    if sampler == "brute-force":
        space = SearchSpace({"learning_rate": Choice(1e-3, 2e-3), "epochs": Int(1, 9)})
    if sampler == "grid":
        space = SearchSpace({"learning_rate": Float(1e-3, 2e-3), "epochs": Int(1, 9)})
    for trial in run(proposer(space, sampler), STARTUP + 4 if sampler == "tpe" else 12):
        assert space.problems_of(trial.params) == []


def test_tpe_hears_the_highest_rung_that_enough_trials_have_reached():
    asked = proposer()
    for number in range(ENOUGH + 2):
        params = asked.ask(number)
        # All pass the first rung, all but the first two the second; the last two are complete.
        curve = [(1000, 0.5 + number / 100)]
        if number >= 2:
            curve.append((4000, 0.6 + number / 100))
        if number >= ENOUGH:
            curve.append((9000, 0.9))
        state = "complete" if number >= ENOUGH else "pruned"
        asked.tell(Trial(number, state, params, curve[-1][1], curve=tuple(curve)))
        heard = {max(trial.intermediate_values) for trial in asked._study.trials}
        assert heard == ({1000} if number < ENOUGH + 1 else {1000, 4000})
    assert {trial.state.name for trial in asked._study.trials} == {"PRUNED"}


def test_tpe_hears_final_values_once_enough_trials_are_complete():
    asked = proposer()
    for number in range(ENOUGH):
        asked.tell(Trial(number, "complete", asked.ask(number), 0.9, curve=((1000, 0.5), (9000, 0.9))))
    assert [trial.value for trial in asked._study.trials] == [0.9] * ENOUGH


def test_a_trial_shorter_than_the_rung_is_heard_with_its_end():
    asked = proposer()
    for number in range(ENOUGH + 1):
        curve = ((1000, 0.5), (4000, 0.6)) if number else ((1000, 0.5), (2000, 0.7))
        asked.tell(Trial(number, "pruned" if number else "complete", asked.ask(number), curve[-1][1], curve=curve))
    assert asked._study.trials[0].intermediate_values == {1000: 0.5, 4000: 0.7}


@pytest.mark.parametrize(
    ("state", "curve", "heard"),
    [
        ("complete", ((1000, 0.5), (5000, 0.7)), {1000: 0.5, 4000: 0.7}),  # a judgement so near its end saves little
        ("complete", ((1000, 0.5), (6000, 0.65), (9000, 0.7)), {1000: 0.5, 4000: 0.65}),  # rungs of a bracket
        ("pruned", ((6000, 0.65),), {4000: 0.65}),
        ("pruned", ((1000, 0.5),), {1000: 0.5}),
    ],
)
def test_a_trial_that_passed_the_rung_unjudged_is_heard_with_what_it_had_next(state, curve, heard):
    asked = proposer()
    for number in range(ENOUGH + 1):
        of_others = ((1000, 0.5), (4000, 0.6))
        told = (state, curve) if not number else ("pruned", of_others)
        asked.tell(Trial(number, told[0], asked.ask(number), told[1][-1][1], curve=told[1]))
    assert asked._cap == 4000
    assert asked._study.trials[0].intermediate_values == heard


def test_samplers_that_learn_from_complete_trials_alone_hear_them_whole():
    asked = proposer(sampler="nsgaii")
    trials = run(asked, 4)
    assert [trial.state.name for trial in asked._study.trials] == ["COMPLETE", "PRUNED", "PRUNED", "COMPLETE"]
    assert asked._study.trials[3].value == trials[3].val_accuracy


def test_the_same_seed_proposes_the_same_trials_and_another_does_not():
    first, again, other = (run(proposer(seed=seed), STARTUP + 5) for seed in (3, 3, 4))
    assert [t.params for t in first] == [t.params for t in again]
    assert [t.params for t in first] != [t.params for t in other]


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "grid", "nsgaii", "nsgaiii"])
def test_a_resumed_search_proposes_what_an_unbroken_one_would(sampler):
    space = SearchSpace({"learning_rate": Float(1e-3, 2e-3), "epochs": Int(1, 9)})
    # Of every three one is complete, and fifty make a generation of NSGA-II.
    for count in (12, 30, *([160] if sampler.startswith("nsga") else [])):
        unbroken = (
            run(proposer(space, sampler, reference={"learning_rate": 1e-3, "epochs": 3}), count + 4)
            if (sampler != "grid" or count == 12)
            else []
        )
        resumed = proposer(space, sampler, reference={"learning_rate": 1e-3, "epochs": 3})
        resumed.resume(unbroken[:count])
        assert [t.params for t in run(resumed, len(unbroken[count:]), start=count)] == [
            t.params for t in unbroken[count:]
        ]


def test_cma_es_remembers_what_it_drew_when_it_hears_of_others_and_stores_no_pickle():
    space = SearchSpace({"learning_rate": Float(1e-3, 2e-3), "momentum": Float(0.5, 0.9)})
    alone, joined = proposer(space, "cmaes"), proposer(space, "cmaes")
    trials = run(alone, 60)
    run(joined, 60)
    joined.resume(trials)  # as the storage has them
    assert alone.ask(60) == joined.ask(60)
    assert all(joined.state_with(number) == {} for number in range(61))


@pytest.mark.parametrize("sampler", ["grid", "brute-force"])
def test_a_finite_space_is_exhausted(sampler):
    space = SearchSpace({"learning_rate": Choice(1e-3, 2e-3), "epochs": Int(1, 2)})
    asked = proposer(space, sampler)
    seen = {tuple(trial.params.items()) for trial in run(asked, 4)}
    assert len(seen) == 4
    with pytest.raises(Exhausted):
        asked.ask(4)


def test_a_grid_too_large_to_walk_says_how_to_make_it_smaller():
    with pytest.raises(SpaceError, match=r"points, more than 10,000. Fix parameters with --set"):
        proposer(SPACE, "grid").ask(0)


def test_conditional_parameters_stay_out_when_inactive():
    space = SearchSpace(
        {
            "optimizer": Choice("adam", "sgd"),
            "momentum": When("optimizer", ("sgd",), Float(0.5, 0.9)),
            "learning_rate": Float(1e-4, 1e-2, log=True),
        }
    )
    for trial in run(proposer(space), 30):
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")


def test_seeds_differ_between_trials_and_purposes_and_stay_the_same_for_ever():
    assert len({seed_of(0, n, p) for n in range(50) for p in ("train", "sampler")}) == 100
    assert (seed_of(0, 0, "train"), seed_of(7, 12, "final 3")) == (1_824_836_794, 1_820_504_157)


def test_tpe_starts_with_every_option_and_all_parts_of_every_range():
    asked = proposer(reference=REFERENCE)
    params = [asked.ask(number) for number in range(STARTUP + 1)][1:]
    for name, options in (("optimizer", 3), ("kernel", 2), ("batch_norm", 2), ("blocks", 2)):
        assert len({config[name] for config in params}) == options
    domain = SPACE.domains["learning_rate"]
    edges = [domain.low * (domain.high / domain.low) ** (k / (STARTUP + 1)) for k in range(STARTUP + 2)]
    occupied = {low for config in params for low, high in pairwise(edges) if low <= config["learning_rate"] < high}
    assert len(occupied) == STARTUP  # the reference has the place of one


def test_sobol_points_cover_a_range_evenly():
    space = SearchSpace({"rate": Float(0.0, 1.0), "epochs": Int(1, 9)})
    asked = proposer(space, "qmc")
    eighths = {math.floor(8 * asked.ask(number)["rate"]) for number in range(8)}
    assert eighths == set(range(8))


def test_every_sampler_of_optuna_is_offered():
    """By name; the grid and the quasi-random points are drawn by bench itself, and --set is what PartialFixed does."""
    import optuna

    from bench.engines.proposer import NAMES

    offered = {"tpe": "TPE", "random": "Random", "gp": "GP", "cmaes": "CmaEs", "qmc": "QMC", "grid": "Grid"}
    offered |= {"nsgaii": "NSGAII", "nsgaiii": "NSGAIII", "brute-force": "BruteForce"}
    assert set(offered) == set(NAMES)
    theirs = {name for name in optuna.samplers.__all__ if name.endswith("Sampler")} - {"BaseSampler", "BaseGASampler"}
    assert theirs == {*(f"{name}Sampler" for name in offered.values()), "PartialFixedSampler"}


def test_the_command_line_offers_what_there_is():
    from bench import options
    from bench.engines.proposer import NAMES
    from bench.engines.stopper import PRUNERS

    assert set(options.SAMPLERS) == set(NAMES)
    assert set(options.PRUNERS) == {*PRUNERS, "one-pass"}
