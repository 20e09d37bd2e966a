"""Whose weights are judged: at rungs the mean of those on the way, after every epoch and at the end the last ones."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.engines.local import LocalDriver
from bench.engines.plan import Plan
from bench.engines.proposer import OptunaProposer
from bench.engines.stopper import OptunaStopper
from bench.family import load
from bench.training import backend
from bench.training.interface import Data
from bench.workers.messages import Decide, Job
from bench.workers.training import Training


class Trainer:
    total_samples, samples, parameters = 60, 0, 1
    build_seconds = trace_seconds = train_seconds = eval_seconds = 0.0

    def __init__(self):
        self.did = []

    def advance(self, to_samples, on_progress):
        self.did.append(f"to {to_samples}")

    def advance_to_rung(self, rung, on_progress, images=None):
        self.did.append(f"mean to {rung}")
        return 0.5

    def val_accuracy(self, images=None):
        self.did.append("last")
        return 0.6

    def confusion(self):
        return None

    def save_state(self, path):
        raise AssertionError("nobody asked for it")


@pytest.mark.parametrize(
    ("mean", "did"),
    [
        (True, ["mean to 10", "mean to 30", "to 60", "last"]),
        (False, ["to 10", "last", "to 30", "last", "to 60", "last"]),
    ],
)
def test_a_worker_judges_the_weights_that_its_job_names(monkeypatch, mean, did):
    trainer = Trainer()
    monkeypatch.setattr(backend, "module", lambda: SimpleNamespace(make_trainer=lambda *_: trainer))
    parent = SimpleNamespace(send=lambda message: None, decision=lambda number, _: Decide(number, "go"))
    pixels, labels = np.zeros((20, 1, 1, 1), np.uint8), np.zeros(20, np.int32)
    job = Job(0, Path(), {}, 0, "float32", (10, 30), mean_weights=mean)
    done = Training(parent, job, 0.0).train(Data(pixels, labels, pixels, labels, 2), None)
    assert (trainer.did, done.val_accuracy) == (did, 0.6)


@pytest.mark.parametrize(("marks", "mean"), [(None, True), ([50_000, 100_000], False)])
def test_trials_are_judged_by_means_at_rungs_and_by_last_weights_at_given_marks(marks, mean):
    family = load("mlp")
    plan = Plan(Path(), 0, "float32", 50_000, 4, longest=15.0, marks=marks)
    stopper = OptunaStopper("none", 8_333, 74_997)
    driver = LocalDriver(plan, OptunaProposer(family.space, "random", 0), stopper, None, lambda event: None)
    job = driver._begin(0, 0, {**family.reference, "epochs": 5}, 1)
    assert job.mean_weights is mean
    assert job.rungs == ((8_333, 24_999, 74_997) if mean else (50_000, 100_000))
