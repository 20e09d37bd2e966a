"""What a dry run makes of what it measured."""

from types import SimpleNamespace

import pytest

from bench.estimate import Measured, _mark, _measured, _whole
from bench.family import load
from bench.records import Phases
from bench.workers.messages import Done

FAMILY = load("cnn")
MNIST = SimpleNamespace(n_train=50_000, n_validation=10_000)
MODEL = Measured("smallest", {}, 1, 1.0, 10.0, 2.0, 0)


@pytest.mark.parametrize(("trials", "at_once"), [(0, 0), (1, 1), (4, 1), (8, 1), (16, 2)])
def test_fewer_trials_than_workers_take_as_long_as_one(trials, at_once):
    one, _ = _whole(FAMILY, MNIST, MODEL, 1, 0, "none", 1)
    search, _ = _whole(FAMILY, MNIST, MODEL, trials, 0, "none", 8)
    assert search == pytest.approx(at_once * one)


@pytest.mark.parametrize(("images", "epochs", "mark"), [(50_000, 5, 24 * 128), (2_000, 5, 24 * 128), (200, 5, 999)])
def test_it_is_measured_by_more_than_the_first_step_and_before_the_end(images, epochs, mark):
    assert _mark({"epochs": epochs}, SimpleNamespace(n_train=images)) == mark


def test_a_pass_over_half_of_the_validation_images_counts_as_half():
    done = Done(0, "pruned", 0.5, 24 * 128, Phases(train=1.0, eval=0.25), 1, 0)
    assert _measured("smallest", {"epochs": 5}, done, MNIST).validation_seconds == 0.5
