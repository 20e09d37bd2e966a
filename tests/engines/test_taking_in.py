"""What a search that goes on knows of the trials that another process left running."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.engines.company import Alone
from bench.engines.interface import Exhausted
from bench.engines.local import LocalDriver
from bench.engines.onepass import OnePass
from bench.engines.plan import Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.family import load
from bench.records import Finished, Paused, Phases, Started, Trial
from bench.workers.messages import AtRung, Decide, Done

FAMILY = load("mlp")
PARAMS = {**FAMILY.reference, "epochs": 5}


def driver_of(pruner, stored, sent, emit=lambda event: None):
    stopper = OnePass(8_333) if pruner == "one-pass" else OptunaStopper(pruner, 8_333, 74_997)
    pool = SimpleNamespace(send=lambda worker, decision: sent.append(decision), poll=lambda _: [(0, polled.pop(0))])
    polled = pool.polled = []
    plan = Plan(Path(), 0, "float32", 50_000, 7, longest=15.0)
    proposer = OptunaProposer(FAMILY.space, "random", 0)
    return LocalDriver(plan, proposer, stopper, pool, emit, company=Alone(stored))


@pytest.mark.parametrize("pruner", ["asha", "one-pass"])
def test_a_trial_that_goes_on_passes_the_rungs_that_it_had_passed_and_is_judged_at_the_next(pruner):
    # The last came to the rung first, and went on; by its number it would be judged after better ones.
    stored = [
        Trial(number, "complete", PARAMS, 0.9, 250_000, curve=((8_333, 0.8), (250_000, 0.9))) for number in (0, 1)
    ]
    stored += [Trial(number, "pruned", PARAMS, 0.7, 8_333, curve=((8_333, 0.7),)) for number in (2, 3, 4)]
    stored += [Trial(5, "running", PARAMS, curve=((8_333, 0.5),), seed=1, attempts=1)]
    sent = []
    driver = driver_of(pruner, stored, sent)
    driver._take_in(stored)
    for worker, number in enumerate((5, 6)):
        driver._begin(worker, number, PARAMS, 1)
        driver._hear(worker, AtRung(number, 8_333, 0.5))
    assert sent == [Decide(5, "go"), Decide(6, "prune")]


@pytest.mark.parametrize("pruner", ["asha", "one-pass"])
def test_what_another_process_had_not_decided_is_corrected_and_what_this_one_said_is_not(pruner):
    sent = []
    driver = driver_of(pruner, [], sent)
    others = [Trial(number, "running", PARAMS, curve=((8_333, 0.5),), seed=1, attempts=1) for number in range(4)]
    driver._take_in(others)
    driver._begin(0, 4, PARAMS, 1)
    driver._hear(0, AtRung(4, 8_333, 0.4))
    ours = Trial(4, "running", PARAMS, curve=((8_333, 0.4),), seed=1, attempts=1)  # stored, and not over yet
    driver._take_in([Trial(0, "pruned", PARAMS, 0.5, 8_333, curve=((8_333, 0.5),)), *others[1:], ours])
    verdicts = [driver._stopper.judge(number, 8_333, 0.5) for number in (0, 1)]
    assert [decision.verdict for decision in sent] == ["prune"]
    assert driver._stopper.judge(4, 8_333, 0.4) == "prune"
    assert verdicts[1] == "go"
    if pruner == "asha":
        assert verdicts[0] == "prune"


class Workers:
    """A pool of four that says nothing to two polls, then ends what it was given, a run a poll."""

    def __init__(self):
        self.idle, self.busy, self.given, self.silent = [0, 1, 2, 3], {}, [], 2

    def submit(self, worker, job):
        self.idle.remove(worker)
        self.busy[worker] = job.number
        self.given.append(job.number)

    def poll(self, seconds):
        if self.silent:
            self.silent -= 1
            return []
        worker = min(self.busy, key=self.busy.get)
        self.idle.append(worker)
        return [(worker, Done(self.busy.pop(worker), "complete", 0.9, 250_000, Phases(), None, 0))]


def run_on(stored, target, company):
    """(whether the target was reached, numbers in the order in which they were begun, those that ended)."""
    ended = []
    driver = driver_of("asha", stored, [], lambda event: isinstance(event, Finished) and ended.append(event.trial))
    driver._pool, driver._company, driver._plan = Workers(), company, replace(driver._plan, target=target)
    return driver.run(stored), driver._pool.given, [trial.number for trial in ended]


def complete(*numbers):
    return [Trial(number, "complete", PARAMS, 0.9, 250_000, curve=((250_000, 0.9),)) for number in numbers]


@pytest.mark.parametrize(("target", "begun"), [(3, [2]), (4, [2, 3]), (6, [2, 3, 4, 5]), (7, [2, 3, 4, 5, 6])])
def test_no_more_of_what_was_left_is_begun_than_the_target_has_places_for(target, begun):
    stored = [*complete(0, 1), *(Trial(number, "running", PARAMS, seed=1, attempts=0) for number in (2, 3, 4, 5))]
    assert run_on(stored, target, Alone(stored)) == (True, begun, begun)  # none is left half trained


@pytest.mark.parametrize(("verdict", "reached"), [("stopped", False), ("complete", True)])
def test_a_finite_space_is_not_all_tried_while_its_last_trial_was_only_stopped(verdict, reached):
    events, stopped = [], []
    driver = driver_of("asha", [], [], events.append)
    driver._pool, driver._company = Workers(), Alone([])
    driver._pool.send = lambda worker, decision: stopped.append(decision.verdict)
    driver._pool.poll = lambda seconds: [(0, Done(0, verdict, 0.9, 8_333, Phases(), None, 0))] if stopped else []
    points = iter([PARAMS])
    driver._proposer.ask = lambda number: next(points, None) or exhausted()
    driver._proposer.tell = lambda trial: None
    driver._stop_asked = lambda: driver._exhausted
    assert driver.run([]) == reached
    assert [type(event) for event in events] == [Started, Finished if reached else Paused]


def exhausted():
    raise Exhausted


def test_what_runs_here_comes_to_its_end_though_others_reached_the_target_meanwhile():
    class Others(Alone):
        looks = 0

        def news(self):
            self.looks += 1
            return [*stored, *complete(1, 2)] if self.looks == 2 else None

        def begin(self, ask):
            return None

    stored = [Trial(0, "running", PARAMS, seed=1, attempts=0)]
    assert run_on(stored, 2, Others(stored)) == (True, [0], [0])


def test_a_rung_that_comes_after_a_stop_is_neither_stored_nor_judged():
    sent, events = [], []
    driver = driver_of("asha", [], sent, events.append)
    driver._begin(0, 0, PARAMS, 1)
    seconds = Phases()
    driver._pool.polled += [AtRung(0, 8_333, 0.5), Done(0, "stopped", None, 8_333, seconds, None, 0)]
    driver._pause()
    assert [decision.verdict for decision in sent] == ["stop"]
    assert [type(event) for event in events] == [Started, Paused]
