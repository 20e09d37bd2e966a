"""Tune's schedulers as bench uses them: told of rungs alone, sparing the reference, warm after a resume."""

from dataclasses import replace
from random import Random
from types import SimpleNamespace

import pytest

from bench.engines.interface import perturbed
from bench.engines.schedulers import scheduler
from bench.engines.stopper import OptunaStopper
from bench.family import load
from bench.records import Trial
from bench.space import Choice, Float, Int, SearchSpace, When

SPACE = SearchSpace(
    {
        "width": Int(8, 64),
        "optimizer": Choice("adam", "sgd"),
        "learning_rate": Float(1e-3, 1e-1, log=True),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "epochs": Int(3, 20),
    }
)
MARKS = [5000, 15000, 45000]


class Stand:
    def __init__(self, number):
        self.trial_id, self.config, self.status = f"t{number}", {"number": number, "params": {}}, "RUNNING"


def at_rung(made, number, samples, value):
    one = Stand(number)
    if one.trial_id not in made._trial_info:
        made.on_trial_add(None, one)
    return made.on_trial_result(None, one, {"samples": samples, "val_accuracy": value})


def test_asha_stops_the_weak_at_each_of_our_rungs_and_spares_the_reference():
    made = scheduler("asha", MARKS, SPACE, 0, 0, ())
    assert sorted(milestone for milestone, _ in made._brackets[0]._rungs) == [1, 3, 9]
    for rung in MARKS:
        for number in range(3):
            assert at_rung(made, 10 + number, rung, 0.9) == "CONTINUE"
        assert at_rung(made, 20 + rung, rung, 0.5) == "STOP"
        assert at_rung(made, 0, rung, 0.5) == "CONTINUE"


@pytest.mark.parametrize("seed", range(5))
def test_asha_stops_the_very_trials_that_the_local_engine_stops(seed):
    made, local = scheduler("asha", MARKS, SPACE, 0, None, ()), OptunaStopper("asha", MARKS[0], MARKS[-1])
    random = Random(seed)
    went_on = [0, 0, 0]
    for number in range(100):
        for rung, samples in enumerate(MARKS):
            value = number / 200 + random.random()  # a sampler that improves
            decision, verdict = at_rung(made, number, samples, value), local.judge(number, samples, value)
            assert (decision, verdict) in {("CONTINUE", "go"), ("STOP", "prune")}
            if verdict == "prune":
                break
            went_on[rung] += 1
    assert 40 > went_on[0] > went_on[1] > went_on[2] > 2


@pytest.mark.parametrize("marks", [[100], [100, 300], MARKS])
def test_asha_has_as_many_rungs_as_the_run_has(marks):
    made = scheduler("asha", marks, SPACE, 0, None, ())
    assert sorted(milestone for milestone, _ in made._brackets[0]._rungs) == [3**k for k in range(len(marks))]


def test_progress_and_ends_are_no_rungs():
    made = scheduler("asha", MARKS, SPACE, 0, None, ())
    one = Stand(1)
    made.on_trial_add(None, one)
    assert made.on_trial_result(None, one, {"samples": 20_000}) == "CONTINUE"
    made.on_trial_complete(None, one, {"samples": 5000, "val_accuracy": 0.1})
    assert all(recorded == {} for _, recorded in made._brackets[0]._rungs)


@pytest.mark.parametrize("pruner", ["asha", "median"])
def test_trials_of_an_earlier_process_judge_those_of_this_one(pruner):
    stored = [
        Trial(number, "complete", {}, 0.9, 60_000, curve=((5000, 0.8 + number / 100), (60_000, 0.9)))
        for number in range(6)
    ]
    one = Stand(6)
    for heard, expected in ((stored, "STOP"), ([], "CONTINUE")):
        made = scheduler(pruner, MARKS, SPACE, 0, 0, heard)
        made.on_trial_add(SimpleNamespace(get_live_trials=list), one)
        assert (
            made.on_trial_result(SimpleNamespace(get_live_trials=list), one, {"samples": 5000, "val_accuracy": 0.5})
            == expected
        )


def test_asha_stops_none_that_an_earlier_process_let_go_on():
    curve = ((5000, 0.1), (15_000, 0.2))
    weak, ended = Trial(6, "running", {}, curve=curve), Trial(7, "pruned", {}, 0.9, 15_000, curve=((5000, 0.9),))
    better = [Trial(number, "complete", {}, 0.9, 60_000, curve=(*curve, (60_000, 0.9))) for number in range(6)]
    better = [replace(one, curve=((5000, 0.8 + one.number / 100), (60_000, 0.9))) for one in better]
    made = scheduler("asha", MARKS, SPACE, 0, 0, [*better, weak, ended])
    assert at_rung(made, 6, 5000, 0.1) == at_rung(made, 6, 15_000, 0.2) == "CONTINUE"
    assert at_rung(made, 7, 5000, 0.99) == "STOP"
    assert at_rung(made, 8, 5000, 0.3) == "STOP"


def test_population_based_training_changes_what_can_change_and_stays_inside_its_ranges():
    assert perturbed(SPACE) == ["learning_rate", "momentum"]
    assert perturbed(load("mlp_dropout").space) != perturbed(load("mlp").space) != []
    made = scheduler("pbt", MARKS, SPACE, 0, 0, ())
    better = Stand(1)
    better.config |= {
        "seed": 1,
        "worker": 0,
        "rungs": [5000],
        "params": {"width": 9, "optimizer": "adam", "learning_rate": 0.09, "epochs": 4},
    }
    worse = Stand(2)
    worse.config |= {"seed": 2, "worker": 1, "rungs": [], "params": {"width": 64}}
    seen = set()
    for _ in range(20):
        config, _ = made._get_new_config(worse, better)
        assert (config["number"], config["seed"], config["worker"], config["rungs"]) == (2, 2, 1, [5000])
        assert {**config["params"], "learning_rate": 0.09} == better.config["params"]
        seen.add(round(config["params"]["learning_rate"], 6))
    assert seen == {0.072, 0.1}


class Controller:
    """Ends what it is told to end, and tells the scheduler."""

    def __init__(self, made):
        self.made, self.ended = made, []

    def stop_trial(self, trial):
        trial.status = "TERMINATED"
        self.ended.append(trial.config["number"])
        self.made.on_trial_remove(self, trial)


def in_a_bracket(marks, more):
    """A scheduler, its controller, and trials in the first bracket of so many that halves at every mark."""
    made = scheduler("hyperband", marks, SPACE, 0, None, (), more)
    trials = [Stand(number) for number in range(60)]
    for trial in trials:
        trial.is_saving = False
        made.on_trial_add(None, trial)
    bracket = next(one for band in made._hyperbands for one in band if one and one._halves == len(marks) - 1)
    return made, Controller(made), [trial for trial in trials if trial in bracket._live_trials]


def report(made, controller, trial, samples):
    decision = made.on_trial_result(
        controller, trial, {"samples": samples, "val_accuracy": trial.config["number"] / 100, "rung": None}
    )
    trial.status = {"PAUSE": "PAUSED", "STOP": "TERMINATED"}.get(decision, trial.status)
    return decision


def test_a_bracket_of_hyperband_goes_on_where_the_last_trial_of_a_later_round_is_lost():
    made, controller, trials = in_a_bracket(MARKS, lambda: False)
    for trial in trials:
        report(made, controller, trial, MARKS[1])
    left = [trial for trial in trials if trial.status != "TERMINATED"]
    assert 3 <= len(left) < len(trials)
    for trial in left[:-1]:
        trial.status = "RUNNING"
        report(made, controller, trial, MARKS[2])
    assert {trial.status for trial in left[:-1]} == {"PAUSED"}
    left[-1].status = "ERROR"
    made.on_trial_error(controller, left[-1])
    ended = [trial for trial in left[:-1] if trial.status == "TERMINATED"]
    assert ended and made.choose_trial_to_run(controller) in {*left[:-1]} - {*ended}


def test_a_bracket_of_hyperband_that_no_more_trials_come_to_goes_on_with_those_it_has():
    more = [True]
    made = scheduler("hyperband", MARKS, SPACE, 0, None, (), lambda: more[0])
    controller = Controller(made)
    trials = [Stand(number) for number in range(40)]
    for trial in trials:
        trial.is_saving = False
        made.on_trial_add(None, trial)
        if made._trial_info[trial][0]._halves:
            report(made, controller, trial, MARKS[-1])
    waiting = list(made._trial_info[trials[-1]][0]._live_trials)
    assert {trial.status for trial in waiting} == {"PAUSED"}
    assert made.choose_trial_to_run(controller) is None or made.choose_trial_to_run(controller) not in waiting
    more[0] = False
    assert made.choose_trial_to_run(controller) is not None
    assert any(trial.status == "TERMINATED" for trial in waiting)
