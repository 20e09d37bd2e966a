import pytest

from bench.records import Trial
from bench.rungs import rungs


def pruned(number, *curve):
    return Trial(number, "pruned", {}, curve[-1][1], curve[-1][0], curve=curve)


def complete(number, *curve):
    return Trial(number, "complete", {}, curve[-1][1], curve[-1][0], curve=curve)


def test_a_rung_knows_who_reached_it_who_went_on_and_whether_its_ranks_held():
    trials = [
        complete(0, (10, 0.5), (30, 0.6), (60, 0.9)),
        complete(1, (10, 0.6), (30, 0.7), (50, 0.8)),
        complete(2, (10, 0.7), (30, 0.8), (60, 0.7)),
        complete(3, (10, 0.8), (30, 0.9), (60, 0.6)),
        pruned(4, (10, 0.1)),
        Trial(5, "failed", {}, None, 10, curve=((10, 0.1),)),
    ]
    assert rungs(trials) == [
        {"samples": 10, "trials": 6, "went_on": 4, "rank_correlation": pytest.approx(1.0)},
        {"samples": 30, "trials": 4, "went_on": 4, "rank_correlation": pytest.approx(-1.0)},
    ]


def test_few_trials_and_equal_values_have_no_ranks():
    few = [complete(n, (10, n / 10), (20, n / 10)) for n in range(3)]
    equal = [complete(n, (10, 0.5), (20, n / 10)) for n in range(6)]
    assert [one["rank_correlation"] for one in (*rungs(few), *rungs(equal))] == [None, None]
    assert rungs([]) == rungs([complete(0, (20, 0.5))]) == []
