"""The pruner that judges once, after one pass over the training images."""

import pytest

from bench.data.sealed import sealed_in
from bench.engines.onepass import KEPT, OnePass
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


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["optuna", "keras-tuner"])
def test_a_search_judges_its_trials_after_one_pass_and_a_second_one_goes_on_from_there(tmp_path, engine):
    search = ["search", "mlp", "--dataset", "digits", "--engine", engine, "--sampler", "random", "--no-final"]
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
