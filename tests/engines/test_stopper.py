"""The stopper on its pruners: values are made up, the pruners are real."""

import pytest

from bench.engines.stopper import PRUNERS, OptunaStopper
from bench.errors import UsageError
from bench.records import Trial


def stopper(pruner="asha", spared=None):
    return OptunaStopper(pruner, first_rung=1000, last_rung=16000, spared=spared)


def test_the_spared_trial_is_never_pruned_and_others_are():
    judge = stopper(spared=0)
    assert judge.prune(1, 1000, 0.9) is False
    assert judge.prune(0, 1000, 0.1) is False
    assert judge.prune(2, 1000, 0.1) is True


@pytest.mark.parametrize("pruner", sorted(set(PRUNERS) - {"patient"}))
def test_every_pruner_judges_and_only_none_spares_the_worst(pruner):
    judge = stopper(pruner)
    verdicts = []
    for number in range(12):
        verdicts.append(judge.prune(number, 1000, 0.9 - 0.01 * number))
        judge.tell(Trial(number, "pruned" if verdicts[-1] else "complete", {}, 0.5))
    assert any(verdicts) is (pruner != "none")


def test_patience_ends_with_a_trial_that_is_worse_than_it_was():
    judge = stopper("patient")
    falling = ((1000, 0.9), (3000, 0.9), (9000, 0.89))
    assert [judge.prune(0, samples, value) for samples, value in falling] == [False, False, True]
    rising = ((1000, 0.5), (3000, 0.6), (9000, 0.7))
    assert not any(judge.prune(1, samples, value) for samples, value in rising)


def test_every_pruner_of_optuna_is_offered_or_left_out_for_a_reason():
    import optuna

    ours = {"Halving": "SuccessiveHalvingPruner"}  # what stands in for which
    left_out = {"BasePruner", "ThresholdPruner", "WilcoxonPruner"}  # the reason stands at PRUNERS
    offered = {type(make(100, 1000)).__name__ for make in PRUNERS.values()}
    offered = {ours.get(name, name) for name in offered}
    assert {name for name in optuna.pruners.__all__ if name.endswith("Pruner")} == offered | left_out


def test_successive_halving_keeps_the_best_third_at_a_rung():
    judge = stopper()
    values = [0.8, 0.05, 0.5, 0.3, 0.4, 0.7, 0.6, 0.75, 0.2, 0.1, 0.2, 0.72]
    kept = [value for number, value in enumerate(values) if not judge.prune(number, 1000, value)]
    # Of the values so far, its own among them, the best third goes on, rounded down but at least one.
    assert kept == [0.8, 0.7, 0.75, 0.72]


@pytest.mark.parametrize("rung", [1000, 3000, 9000])
def test_at_a_rung_a_third_of_the_latest_goes_on_and_whoever_is_better_than_all_before(rung):
    judge = stopper()
    for number in range(14):
        for lower in (1000, 3000):
            if lower < rung:
                assert judge.prune(number, lower, 0.1 + number / 100) is False
    rising = [judge.prune(number, rung, 0.1 + number / 100) for number in range(12)]
    assert rising == [False] * 12
    # Each of these is among the best third of all, but nine of the latest nine have gone on.
    assert judge.prune(12, rung, 0.205) is True
    assert judge.prune(13, rung, 0.3) is False


def test_trials_may_report_in_any_order_and_twice():
    judge = stopper()
    assert judge.prune(3, 1000, 0.5) is False
    assert judge.prune(0, 1000, 0.4) is True
    assert judge.prune(3, 1000, 0.5) is False
    judge.tell(Trial(3, "complete", {}, 0.6))
    judge.tell(Trial(1, "failed", {}))


def test_what_is_said_once_holds_for_a_trial_that_is_run_again():
    judge = stopper()
    first = [judge.prune(number, 1000, value) for number, value in enumerate((0.5, 0.4, *(0.6, 0.7, 0.8, 0.9)))]
    assert first == [False, True, False, False, False, False]
    assert [judge.prune(0, 1000, 0.5), judge.prune(1, 1000, 0.99)] == [False, True]


def test_a_rung_of_before_counts_as_it_went_and_not_as_it_would_be_judged_now():
    before = [(number, 0.1 + number / 100) for number in reversed(range(12))]  # the best came first
    once, again = stopper(), stopper()
    for number, value in before:
        once.recall(number, 1000, value, went_on=number in (11, 3))
    assert once.prune(3, 1000, 0.13) is False
    assert once.prune(4, 1000, 0.99) is True
    for number, value in reversed(before):
        again.recall(number, 1000, value, went_on=True)
    # Among the best third of either: places were left in one, where a single one of the latest nine went on.
    assert once.prune(12, 1000, 0.205) is False
    assert again.prune(12, 1000, 0.205) is True


def test_a_rung_whose_verdict_was_not_known_is_told_again():
    judge = stopper()
    for number in range(9):
        judge.recall(number, 1000, 0.5 + number / 100, went_on=number > 5)
    judge.recall(8, 1000, 0.58, went_on=False)
    assert judge.prune(8, 1000, 0.58) is True
    # Two of the latest nine went on, so that there is a place; of three there would be none.
    assert judge.prune(9, 1000, 0.575) is False


def test_the_spared_trial_takes_a_place_where_it_goes_on():
    judge = stopper(spared=9)
    for number in range(9):
        judge.recall(number, 1000, 0.5 + number / 100, went_on=number > 6)
    assert judge.prune(9, 1000, 0.1) is False
    assert judge.prune(10, 1000, 0.575) is True


def test_hyperband_judges_the_same_trials_alike_every_time():
    first, again = (
        [judge.prune(n, 1000, 0.9 - 0.01 * n) for n in range(20)]
        for judge in (stopper("hyperband"), stopper("hyperband"))
    )
    assert first == again


def test_an_unknown_pruner_is_refused():
    with pytest.raises(UsageError, match=r"No pruner 'ash'; there are asha, .*Did you mean asha"):
        stopper("ash")
