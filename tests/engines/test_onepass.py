"""The pruner that judges once, after one pass over the training images."""

from types import SimpleNamespace

import numpy as np
import pytest

from bench import estimate
from bench.data.sealed import sealed_in
from bench.engines.onepass import KEPT, OnePass, among_the_best
from bench.estimate import Measured
from bench.family import load
from bench.records import Trial
from bench.store import Store
from tests.command_line import bench, document


def test_what_is_among_the_best_so_far_goes_on():
    judge = OnePass(1000)
    assert list(judge.marks(0)) == [1000]
    values = [0.5, 0.4, 0.3, 0.2, 0.6, 0.4, 0.45, 0.5]
    gone_on = [value for number, value in enumerate(values) if judge.judge(number, 1000, value) == "go"]
    assert gone_on == [0.5, 0.4, 0.3, 0.6, 0.4, 0.45, 0.5]
    assert judge.judge(99, 1000, 0.44) == "prune"


def test_the_spared_trial_goes_on_and_one_that_is_run_again_counts_once():
    judge = OnePass(1000, spared=9)
    for number in range(KEPT):
        assert judge.judge(number, 1000, 0.9) == "go"
        assert judge.judge(number, 1000, 0.9) == "go"
    assert judge.judge(9, 1000, 0.1) == "go"
    assert judge.judge(10, 1000, 0.1) == "prune"


def test_a_failed_trial_gives_its_place_up_and_one_of_a_single_epoch_has_one_by_its_end():
    judge = OnePass(1000)
    for number in range(KEPT):
        judge.judge(number, 1000, 0.99)
        judge.tell(Trial(number, "failed", {}, reason="out of memory"))
    for number in range(KEPT, 2 * KEPT):
        judge.tell(Trial(number, "complete", {}, 0.5))
    assert judge.judge(10, 1000, 0.4) == "prune"
    assert judge.judge(11, 1000, 0.6) == "go"


def test_the_share_that_goes_on_is_what_is_expected_of_trials_in_no_order():
    generator = np.random.default_rng(0)
    gone_on = 0
    for _ in range(400):
        judge = OnePass(1000)
        gone_on += sum(judge.judge(number, 1000, value) == "go" for number, value in enumerate(generator.random(50)))
    assert gone_on / 400 / 50 == pytest.approx(among_the_best(50), rel=0.03)


def test_a_dry_run_takes_a_pass_for_each_trial_and_the_rest_for_the_share_that_goes_on():
    family, sealed = load("mlp"), SimpleNamespace(n_train=50_000, n_validation=10_000)
    model = Measured("smallest", {}, 1, 0.0, 1.0, 0.0, 1)
    epochs = estimate._epochs(family)
    assert epochs > 2
    seconds, _ = estimate._whole(family, sealed, model, 50, 0, "one-pass", 1)
    assert seconds == pytest.approx(50 * (1 + among_the_best(50) * (epochs - 1)))
    assert estimate._whole(family, sealed, model, 50, 0, "none", 1)[0] == pytest.approx(50 * epochs)


@pytest.mark.slow
def test_a_search_judges_its_trials_after_one_pass_and_a_second_one_goes_on_from_there(tmp_path):
    search = ["search", "mlp", "--dataset", "digits", "--sampler", "random", "--no-final"]
    search += ["--pruner", "one-pass", "--set", "epochs=4"]
    bench(tmp_path, *search, "--trials", "6")
    found = document(tmp_path, *search, "--trials", "12")
    (sealed,) = sealed_in(tmp_path)
    store = Store(tmp_path)
    trials = store.trials(found["study"])
    store.close()
    best = []
    assert len(trials) == 12
    for trial in trials:
        assert [samples for samples, _ in trial.rungs] == [sealed.n_train]
        best.append(trial.rungs[0][1])
    pruned = [trial.number for trial in trials if trial.state == "pruned"]
    assert pruned and 0 not in pruned
    # Two workers judge in an order of their own, but the best three of all always went on.
    assert not {*pruned} & {*sorted(range(12), key=lambda number: -best[number])[:KEPT]}


@pytest.mark.slow
def test_a_run_of_one_epoch_ends_where_it_would_be_judged(tmp_path):
    options = ["--dataset", "digits", "--no-final", "--pruner", "one-pass", "--set", "epochs=1", "--trials", "5"]
    bench(tmp_path, "search", "mlp", *options)
    rows = document(tmp_path, "trials", "mlp", "--dataset", "digits")["rows"]
    assert [row["state"] for row in rows] == ["complete"] * 5
