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
from bench.records import Trial
from bench.workers.messages import AtRung, Decide


@pytest.mark.parametrize("pruner", ["asha", "one-pass"])
def test_a_trial_that_goes_on_passes_the_rungs_that_it_had_passed_and_is_judged_at_the_next(pruner):
    family = load("mlp")
    params = {**family.reference, "epochs": 5}
    # The last came to the rung first, and went on; by its number it would be judged after better ones.
    stored = [
        Trial(number, "complete", params, 0.9, 250_000, curve=((8_333, 0.8), (250_000, 0.9))) for number in (0, 1)
    ]
    stored += [Trial(number, "pruned", params, 0.7, 8_333, curve=((8_333, 0.7),)) for number in (2, 3, 4)]
    stored += [Trial(5, "running", params, curve=((8_333, 0.5),), seed=1, attempts=1)]
    sent = []
    pool = SimpleNamespace(send=lambda worker, decision: sent.append(decision))
    stopper = OnePass(8_333) if pruner == "one-pass" else OptunaStopper(pruner, 8_333, 74_997)
    plan = Plan(Path(), 0, "float32", 50_000, 7, longest=15.0)
    proposer = OptunaProposer(family.space, "random", 0)
    driver = LocalDriver(plan, proposer, stopper, pool, lambda event: None, company=Alone(stored))
    driver._take_in(stored)
    for worker, number in enumerate((5, 6)):
        driver._begin(worker, number, params, 1)
        driver._hear(worker, AtRung(number, 8_333, 0.5))
    assert sent == [Decide(5, "go"), Decide(6, "prune")]
