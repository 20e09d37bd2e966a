"""What a search that goes on knows of the trials that another process left running."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.engines.company import Alone
from bench.engines.local import LocalDriver
from bench.engines.onepass import OnePass
from bench.engines.plan import Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.family import load
from bench.records import Paused, Phases, Started, Trial
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


def test_a_rung_that_comes_after_a_stop_is_neither_stored_nor_judged():
    sent, events = [], []
    driver = driver_of("asha", [], sent, events.append)
    driver._begin(0, 0, PARAMS, 1)
    seconds = Phases()
    driver._pool.polled += [AtRung(0, 8_333, 0.5), Done(0, "stopped", None, 8_333, seconds, None, 0)]
    driver._pause()
    assert [decision.verdict for decision in sent] == ["stop"]
    assert [type(event) for event in events] == [Started, Paused]
