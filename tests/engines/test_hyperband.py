"""KerasTuner's Hyperband with made-up values: its promotions continue trials of the study."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.engines import hyperband
from bench.engines.company import Alone
from bench.engines.hyperband import Hyperband
from bench.engines.interface import Continue, Exhausted
from bench.engines.local import LocalDriver
from bench.engines.plan import Plan
from bench.errors import UsageError
from bench.records import Finished, Phases, Trial
from bench.space import Choice, Float, Int, SearchSpace, When
from bench.workers.messages import Decide, Lost

IMAGES = 100  # an epoch
SPACE = SearchSpace(
    {
        "rate": Float(1e-4, 1e-1, log=True),
        "optimizer": Choice("adam", "sgd"),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "epochs": Int(2, 9),
    }
)
REFERENCE = {"rate": 1e-3, "optimizer": "adam", "epochs": 4}


def value_of(trial, samples):
    return 0.5 + trial.params["rate"] + samples / 1e5


class Study:
    """What the driver does, without training: asks, trains to the mark, tells; `continued` notes every promotion."""

    def __init__(self, target, workers=2, stored=(), seed=0, fail=(), reference=REFERENCE):
        self.engine = Hyperband(SPACE, seed, 9, IMAGES, target, reference)
        self.target, self.workers, self.fail = target, workers, fail
        self.trials = {trial.number: trial for trial in stored}
        self.continued, self.exhausted = [], False
        self.engine.resume(list(stored))
        self.again = [trial.number for trial in stored if trial.state == "running" and not trial.paused]
        self.random = random.Random(1)

    @property
    def finished(self):
        return sum(trial.state != "running" for trial in self.trials.values())

    def run(self, until=None):
        running = []
        while self.finished < (until or self.target) and not (self.exhausted and not running):
            while len(running) < self.workers and (number := self._next(len(running))) is not None:
                running.append(number)
            for number in self.engine.dropped():
                assert self.trials[number].paused
                self._over(replace(self.trials[number], state="pruned"))
            if running:
                self._train(running.pop(self.random.randrange(len(running))))
            else:
                assert self.finished >= self.target or self.exhausted, "nothing runs and nothing is decided"
        return [self.trials[number] for number in sorted(self.trials)]

    def _next(self, running):
        if self.again:
            return self.again.pop(0)
        if self.exhausted or self.finished + running >= self.target:
            return None
        try:
            answer = self.engine.ask(len(self.trials))
        except Exhausted:
            self.exhausted = True
            return None
        if isinstance(answer, Continue):
            assert self.trials[answer.number].paused
            self.continued.append(answer.number)
            return answer.number
        if answer is None:
            return None
        number = len(self.trials)
        self.trials[number] = Trial(number, "running", answer, seed=1)
        return number

    def _train(self, number):
        trial, marks = self.trials[number], self.engine.marks(number)
        if number in self.fail:
            self._over(replace(trial, state="failed", val_accuracy=None))
            return
        samples = marks[0] if marks else trial.params["epochs"] * IMAGES
        value = value_of(trial, samples)
        trial = replace(trial, curve=(*trial.curve, (samples, value)), samples=samples + 3, val_accuracy=value)
        if marks:
            assert self.engine.judge(number, samples, value) == "pause"
            self.trials[number] = trial
            self.engine.tell(trial)
        else:
            self._over(replace(trial, state="complete"))

    def _over(self, trial):
        self.trials[trial.number] = trial
        self.engine.tell(trial)


def stands(trials):
    """How many trials ended in each state, by the epochs that they reached."""
    return Counter((trial.state, trial.curve[-1][0] // IMAGES if trial.curve else 0) for trial in trials)


def test_a_sweep_is_what_kerastuner_makes_of_it_and_promotions_are_no_new_trials():
    """Brackets of 9, 5 and 3: of nine, 3 go on to 3 epochs and 1 to 9; of five 2 to 9; three run to 9 at once."""
    assert hyperband.bracket_sizes(9) == [9, 5, 3]
    trials = Study(18).run()
    assert stands(trials[1:10]) == {("pruned", 1): 6, ("pruned", 3): 2, ("complete", 9): 1}
    assert stands(trials[10:15]) == {("pruned", 3): 3, ("complete", 9): 2}
    assert stands(trials[15:]) == {("complete", 9): 3}


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("target", [1, 2, 5, 18, 23, 40])
def test_a_study_ends_with_exactly_as_many_trials_as_asked_for_however_they_fit(target, workers):
    trials = Study(target, workers).run()
    assert [trial.number for trial in trials] == list(range(target))
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    assert sum(trial.state == "complete" for trial in trials) >= min(target, 2)


def test_the_best_of_a_round_go_on():
    trials = Study(10, workers=1).run()[1:]
    assert sorted(trials, key=lambda t: t.params["rate"])[-1].state == "complete"
    reached = sorted((trial.curve[-1][0], trial.params["rate"]) for trial in trials)
    assert [rate for _, rate in reached[:6]] == sorted(trial.params["rate"] for trial in trials)[:6]


def test_the_curve_of_a_promoted_trial_grows_over_its_rungs():
    study = Study(10)
    winner = next(trial for trial in study.run()[1:] if trial.state == "complete")
    assert [samples for samples, _ in winner.curve] == [100, 300, 900]
    assert study.continued.count(winner.number) == 2


def test_epochs_are_hyperbands_and_records_are_points_of_the_space():
    trials = Study(18).run()
    assert trials[0].params == REFERENCE
    assert {trial.params["epochs"] for trial in trials[1:]} == {9}
    assert all(SPACE.problems_of(trial.params) == [] for trial in trials)
    assert {"momentum" in trial.params for trial in trials} == {True, False}


def test_the_reference_is_neither_paused_nor_known_to_the_oracle():
    study = Study(1)
    (reference,) = study.run()
    assert (reference.state, reference.curve[-1][0]) == ("complete", 400)
    assert study.engine._oracle.trials == {}


def test_the_same_seed_gives_the_same_study_with_one_worker():
    assert Study(23, workers=1).run() == Study(23, workers=1).run()
    assert Study(5, workers=1).run() != Study(5, workers=1, seed=1).run()


@pytest.mark.parametrize("fail", [(1, 2, 3, 5, 8), tuple(range(1, 23))])
def test_failed_trials_keep_their_places_and_stop_nothing(fail):
    trials = Study(23, fail=fail).run()
    assert len(trials) == 23
    assert {trial.number for trial in trials if trial.state == "failed"} == set(fail)
    if len(fail) < 22:
        assert stands(trials[1:10])[("pruned", 1)] == 1  # of the four that are left three go on, as of nine


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("killed_after", [1, 2, 6, 12, 17])
def test_after_a_kill_paused_trials_go_on_being_paused(killed_after, workers):
    whole = Study(23, workers)
    stored = whole.run(until=killed_after)
    paused = {trial.number for trial in stored if trial.paused}
    resumed = Study(23, workers, stored)
    trials = resumed.run()
    assert [trial.number for trial in trials] == list(range(23))
    assert all(trials[number].curve[0] == stored[number].curve[0] for number in paused)
    assert stands(trials[1:10]) == {("pruned", 1): 6, ("pruned", 3): 2, ("complete", 9): 1}
    if workers == 1:
        assert trials == whole.run()


def test_a_rung_that_was_reported_and_not_saved_is_trained_again():
    stored = Study(23).run(until=2)
    running = next(trial for trial in stored if trial.paused)
    lost = replace(running, samples=0)  # killed between the report and the pause
    trials = Study(23, stored=[lost if trial is running else trial for trial in stored]).run()
    assert len(trials) == 23
    assert trials[running.number].state in ("complete", "pruned")


@pytest.mark.parametrize("first", [3, 7, 12, 23])
def test_a_higher_target_later_goes_on_with_new_brackets(first):
    before = Study(first).run()
    trials = Study(45, stored=before).run()
    assert len(trials) == 45
    assert trials[:first] == before


def test_a_space_that_is_used_up_ends_the_study():
    engine_space = SearchSpace({"rate": Choice(0.1, 0.2), "epochs": Int(1, 9)})
    study = Study(30, reference=None)
    study.engine = Hyperband(engine_space, 0, 9, IMAGES, 30)
    trials = study.run()
    assert 1 <= len(trials) <= 2
    assert all(trial.state in ("complete", "pruned") for trial in trials)
    assert any(trial.state == "complete" for trial in trials)


def test_a_space_without_epochs_to_divide_is_refused():
    with pytest.raises(UsageError, match=r"divides epochs, and this space has at most 1\. Use another sampler"):
        hyperband.check_epochs(SearchSpace({"rate": Choice(1, 2), "epochs": Int(1, 1)}), 1)
    conditional = SearchSpace({"long": Choice(True, False), "epochs": When("long", (True,), Int(1, 9))})
    with pytest.raises(UsageError, match="which here depend on 'long'"):
        hyperband.check_epochs(conditional, 9)


def test_what_does_not_fit_into_brackets_is_said_with_what_would():
    said = hyperband.advice(20, 50, True)
    assert "brackets of 12, 6, 4 trials; of 50 the last 5" in said
    assert "--trials 45 or 57 would fit" in said
    assert hyperband.advice(20, 45, True) is hyperband.advice(20, 1, True) is None


def test_the_time_of_a_trial_is_that_of_all_its_parts():
    sent, events = [], []
    pool = SimpleNamespace(send=lambda worker, decision: sent.append(decision), idle=[])
    plan = Plan(Path("f.py"), 0, "float32", IMAGES, 5, trial_seconds=50.0)
    engine = Hyperband(SPACE, 0, 9, IMAGES, 5, REFERENCE)
    driver = LocalDriver(plan, engine, engine, pool, events.append, company=Alone([]))
    driver._shelved[3] = Trial(3, "running", REFERENCE, 0.5, 100, Phases(train=60.0), seed=1)
    driver._begin(0, 3, REFERENCE, 1)
    driver._watch()
    assert sent == [Decide(3, "stop", "timed out")]
    driver._hear(0, Lost("killed", "it did not hear"))
    (ended,) = [event.trial for event in events if isinstance(event, Finished)]
    assert (ended.state, ended.reason) == ("failed", "timed out")
    assert ended.seconds.total >= 60.0
