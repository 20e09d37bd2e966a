"""Equivalence and P(A > B) against statsmodels, scipy and simulation."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm, t
from statsmodels.stats.weightstats import ttost_paired

from bench.equivalence import MARGIN, equivalence, superiority
from bench.errors import ShapeError
from bench.statistics import compare
from tests.test_statistics import anova_variance, answers, difficulties


@pytest.mark.parametrize("margin", [0.001, 0.02, 0.04])
def test_of_one_seed_each_the_tests_are_those_of_statsmodels(margin):
    generator = np.random.default_rng(0)
    difficulty = difficulties(generator, 2000)
    a, b = (answers(generator, 1, difficulty, skill=skill) for skill in (0.0, 0.2))
    expected, *_ = ttost_paired(a[0].astype(float), b[0].astype(float), -margin, margin)
    assert equivalence(compare(a, b), 2000, margin) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_families_are_equivalent_where_the_90_percent_interval_lies_within_the_margin():
    generator = np.random.default_rng(1)
    difficulty = difficulties(generator, 2000)
    a, b = (answers(generator, 5, difficulty, seed_sd=0.3, skill=skill) for skill in (0.0, 0.05))
    found = compare(a, b)
    image_part = np.var(a.mean(0) - b.mean(0), ddof=1) / 2000
    seed_part = sum(max(0.0, s - r) / (5 * 2000) for _, s, r in map(anova_variance, (a, b)))
    half = t.ppf(0.95, found.df) * np.sqrt(image_part + seed_part)
    widest = abs(found.difference) + half
    assert equivalence(found, 2000, widest * 1.001) < 0.05 < equivalence(found, 2000, widest * 0.999)


def test_images_without_a_difference_show_no_more_than_their_number_allows():
    perfect = np.ones((3, 10_000), bool)
    assert equivalence(compare(perfect, perfect), 10_000) == pytest.approx(0.999**10_000)
    few = perfect[:, :360]
    assert equivalence(compare(few, few), 360) == pytest.approx(0.999**360)
    assert equivalence(compare(few, ~few), 360) == 1.0


def test_a_difference_of_the_margin_is_called_equivalent_in_one_case_of_twenty():
    """Families that differ by just the margin: the worst that the test must withstand."""
    generator, passed, repeats = np.random.default_rng(2), 0, 1000
    for _ in range(repeats):
        difficulty = generator.normal(3.5, 2.5, 2000)
        a = answers(generator, 5, difficulty, 0.05)
        b = answers(generator, 5, difficulty, 0.05)
        b &= generator.random(b.shape) >= 0.02  # 2 % of what b knows is lost
        margin = 0.02 * 0.8735  # 0.8735 is the accuracy of `answers`, the mean of a logistic over that normal
        passed += equivalence(compare(a, b), 2000, margin) < 0.05
    assert 0.02 <= passed / repeats <= 0.06


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1])
def test_a_margin_that_is_no_share_is_refused(margin):
    with pytest.raises(ShapeError, match="between 0 and 1"):
        equivalence(compare(np.ones((2, 9), bool), np.ones((2, 9), bool)), 9, margin)


def test_the_margin_is_a_tenth_of_a_point():
    assert MARGIN == 0.001


def right(counts, images=100):
    """bool (seeds, images) with so many right a seed."""
    return np.arange(images)[None, :] < np.array(counts)[:, None]


def test_the_probability_is_the_statistic_of_mann_and_whitney():
    a, b = [90, 91, 95, 95, 97], [89, 91, 95]
    found = superiority(right(a), right(b))
    assert found.probability == pytest.approx(mannwhitneyu(a, b).statistic / 15)
    turned = superiority(right(b), right(a))
    assert turned.probability == pytest.approx(1 - found.probability)
    assert turned.ci95 == pytest.approx((1 - found.ci95[1], 1 - found.ci95[0]))


def test_the_bounds_are_where_the_score_test_just_rejects():
    found = superiority(right([90, 92, 95, 97, 98]), right([89, 91, 93, 94, 96]))
    for truth in found.ci95:
        odds = (1 - truth) / (2 - truth) + truth / (1 + truth)
        variance = truth * (1 - truth) * (1 + 4 * odds) / 25
        assert abs(found.probability - truth) / np.sqrt(variance) == pytest.approx(norm.ppf(0.975), rel=1e-6)


def test_who_always_wins_need_not_always_win():
    assert superiority(right([95] * 5), right([90] * 5)).ci95 == pytest.approx((0.643, 1.0), abs=1e-3)
    assert superiority(right([95] * 2), right([90] * 2)).ci95 == pytest.approx((0.386, 1.0), abs=1e-3)
    assert superiority(right([90] * 5), right([90] * 5)).probability == 0.5


@pytest.mark.parametrize("seeds", [2, 5, 10])
@pytest.mark.parametrize("shift", [0.0, 0.75, 1.5])
def test_the_interval_covers_the_probability_that_one_run_beats_another(seeds, shift):
    """Normal accuracies that lie `shift` standard deviations apart; at few seeds it covers more than 95 %."""
    generator, inside = np.random.default_rng(int(10 * seeds + 100 * shift)), 0
    truth, repeats = norm.cdf(shift / np.sqrt(2)), 500
    for _ in range(repeats):
        a, b = (np.clip(np.round(5000 + 400 * generator.normal(mean, 1, seeds)), 0, 9999) for mean in (shift, 0.0))
        low, high = superiority(right(a, 10_000), right(b, 10_000)).ci95
        inside += low <= truth <= high
    assert inside / repeats >= 0.92


def test_a_single_seed_or_other_images_are_refused():
    for other in (np.ones((1, 9), bool), np.ones((2, 8), bool)):
        with pytest.raises(ShapeError, match="two seeds or more on the same images"):
            superiority(np.ones((2, 9), bool), other)
