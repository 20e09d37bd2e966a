"""What `bench compare-engines` computes, against scipy and by hand; the figure; nothing is searched here."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.comparison import BASELINE, Pair, Searched, curve, document, pair_of
from bench.errors import ShapeError, UsageError
from bench.options import ENGINES, Offer
from bench.records import Trial
from bench.statistics import of_mean
from dashboards.figures import comparison

IMAGES = 1000
TPE = Pair("optuna", "tpe", "asha")
QMC = Pair("optuna", "qmc", "none")


def trial(number, samples, accuracy, elapsed, state="complete"):
    return Trial(number, state, {}, accuracy, samples, elapsed=elapsed)


def searched(pair, seed, best, samples=4000):
    """Two trials that complete, the second the better one, and one that was stopped between them."""
    trials = [
        trial(0, samples, best - 0.1, 10.0),
        trial(1, 500, 0.999, 15.0, "pruned"),
        trial(2, samples, best, 20.0),
        trial(3, 0, None, 12.0, "failed"),
    ]
    return Searched(pair, seed, f"{pair}-{seed}", trials)


def compared(scores, **options):
    """A document of pair -> best of each seed."""
    found = [searched(pair, seed, best, **options) for pair, bests in scores.items() for seed, best in enumerate(bests)]
    return document("digits", "mlp", IMAGES, 10_000, "float32", found)


BASE = [0.90, 0.91, 0.92, 0.93, 0.94]
AHEAD = [b + d for b, d in zip(BASE, [0.02, 0.021, 0.019, 0.02, 0.022], strict=True)]
SAME = [b + d for b, d in zip(BASE, [0.01, -0.012, 0.004, 0.0, -0.001], strict=True)]


def test_the_best_so_far_knows_only_what_was_over_and_complete_by_then():
    steps = curve(
        [
            trial(0, 100, 0.5, 9.0),
            trial(1, 40, 0.99, 3.0, "pruned"),
            trial(2, 100, 0.9, 8.0),
            trial(3, 0, None, 4.0, "failed"),
            trial(4, 100, None, None, "running"),
            trial(5, 100, 0.7, 20.0),
        ]
    )
    assert [(s.samples, s.seconds, s.best) for s in steps] == [
        (40, 3.0, None), (40, 4.0, None), (140, 8.0, 0.9), (240, 9.0, 0.9), (340, 20.0, 0.9),
    ]  # fmt: skip


def test_what_a_search_finished_beyond_the_budget_does_not_count():
    late = Searched(TPE, 0, "a", [trial(0, 600, 0.8, 1.0), trial(1, 600, 0.9, 2.0), trial(2, 10, 0.99, 3.0)])
    other = Searched(BASELINE, 0, "b", [trial(0, 600, 0.8, 1.0), trial(1, 400, 0.85, 2.0)])
    base, tpe = document("digits", "mlp", 100, 1000, "float32", [other, late])["pairs"]
    assert (base["best"], tpe["best"]) == ([0.85], [0.8])
    assert tpe["trials"] == 1 and base["trials"] == 2
    assert tpe["against_samples"][-1] == {"at": 1000, "mean": 0.8, "ci95": None}


def test_pairs_are_compared_seed_by_seed_as_scipy_does():
    rows = compared({BASELINE: BASE, TPE: AHEAD, QMC: SAME})["pairs"]
    for row, bests in zip(rows[1:], (AHEAD, SAME), strict=True):
        theirs = stats.ttest_rel(bests, BASE)
        assert row["p_value"] == pytest.approx(theirs.pvalue)
        assert row["difference_ci95"] == pytest.approx(tuple(theirs.confidence_interval(0.95)))
        alone = stats.t.interval(0.95, 4, np.mean(bests), stats.sem(bests))
        assert (row["mean"], row["ci95"]) == (pytest.approx(np.mean(bests)), pytest.approx(alone))
    p = sorted(row["p_value"] for row in rows[1:])
    assert sorted(row["p_holm"] for row in rows[1:]) == pytest.approx([min(1, 2 * p[0]), max(2 * p[0], p[1])])
    assert [row["verdict"] for row in rows] == [None, "better", "no difference resolved"]


def test_holm_takes_back_what_one_test_alone_would_have_resolved():
    differences = [0.02, 0.028, 0.005, 0.012, 0.004]
    scores = {BASELINE: BASE, TPE: [b + d for b, d in zip(BASE, differences, strict=True)]}
    assert 0.025 < compared(scores)["pairs"][1]["p_value"] < 0.05
    assert compared(scores)["resolved"]
    assert not compared({**scores, QMC: SAME})["resolved"]


def test_two_seeds_that_agree_or_one_alone_resolve_nothing():
    for bests in ([0.9], [0.9, 0.91]):
        found = compared({BASELINE: bests, TPE: [best + 0.05 for best in bests]})
        row = found["pairs"][1]
        assert row["difference"] == pytest.approx(0.05)
        assert (row["difference_ci95"], row["p_value"], row["verdict"]) == (None, None, "no difference resolved")
        assert not found["resolved"]


def test_a_search_without_a_complete_trial_is_not_left_out():
    found = [*(searched(BASELINE, seed, 0.9) for seed in (0, 1)), searched(TPE, 0, 0.99)]
    found.append(Searched(TPE, 1, "none", [trial(0, 100, 0.3, 1.0, "pruned")]))
    row = document("digits", "mlp", IMAGES, 10_000, "float32", found)["pairs"][1]
    assert (row["mean"], row["difference"], row["verdict"]) == (None, None, "not compared")
    assert row["best"] == [0.99, None] and row["against_samples"] == []


def test_what_it_took_to_reach_the_baselines_best_is_a_median_that_never_drops_a_search():
    rows = compared({BASELINE: [0.9, 0.9, 0.9], TPE: [0.95, 0.95, 0.8]})["pairs"]
    assert rows[0]["to_baseline"] == {"reached": 3, "samples": 8500, "seconds": 20.0}
    assert rows[1]["to_baseline"] == {"reached": 2, "samples": 8500, "seconds": 20.0}
    behind = compared({BASELINE: [0.9, 0.9, 0.9], TPE: [0.95, 0.8, 0.8]})["pairs"][1]["to_baseline"]
    assert behind == {"reached": 1, "samples": None, "seconds": None}


def test_when_nothing_differs_about_one_comparison_in_twenty_says_so():
    generator = np.random.default_rng(0)
    said = [of_mean(generator.normal(0, 0.01, 5)).p_value < 0.05 for _ in range(4000)]
    assert abs(np.mean(said) - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 4000)
    with pytest.raises(ShapeError):
        of_mean([])


def test_a_pair_is_read_from_what_each_engine_offers(monkeypatch):
    monkeypatch.setitem(ENGINES, "later", Offer(("own", "other"), ("none",)))
    assert pair_of("optuna:tpe/asha") == pair_of("optuna") == pair_of(" optuna:tpe ") == TPE
    assert str(pair_of("later")) == "later:own/none" and str(pair_of("later:other")) == "later:other/none"
    for text, said in {
        "optna": "no engine 'optna'. Did you mean optuna",
        "optuna:tpee": "no sampler 'tpee'. Did you mean tpe",
        "optuna:tpe/ahsa": "no pruner 'ahsa'. Did you mean asha",
        "later:tpe": "engine later has no sampler 'tpe'. Known: own, other",
    }.items():
        with pytest.raises(UsageError, match=said.replace(".", r"\.")):
            pair_of(text)


def test_the_figure_draws_every_pair_against_samples_and_seconds_and_stands_alone():
    found = compared({BASELINE: BASE, TPE: AHEAD})
    figure = comparison({**found, "family": "<script>alert(1)</script>"})
    lines = [line for line in figure.data if line.fill is None and line.line.width]
    assert [(line.name, line.xaxis) for line in lines] == [
        (str(pair), axis) for pair in (BASELINE, TPE) for axis in ("x", "x2")
    ]
    assert lines[0].x[-1] == 10.0 and lines[1].x[-1] == 20.0
    assert lines[2].customdata[-1] == pytest.approx(100 * np.mean(AHEAD))
    bands = [line for line in figure.data if line.fill is not None]
    assert len(bands) == 4 and all(band.fillcolor.endswith("0.15)") for band in bands), "what lies below shows through"
    assert figure.data[-4:] == tuple(lines), "lines lie on top"
    page = figure.to_html(include_plotlyjs=True, full_html=True)
    assert "<script>alert" not in page and 'src="http' not in page and len(page) > 1_000_000
    empty = comparison(document("digits", "mlp", IMAGES, 10, "float32", [searched(BASELINE, 0, 0.9)]))
    assert empty.layout.annotations[0].text == "No search completed a trial within the budget"
