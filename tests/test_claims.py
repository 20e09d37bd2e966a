"""Verdicts from answers whose truth is known: each of the three can come out, and noise resolves nothing."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from bench import claims
from bench.statistics import compare

LABELS = np.repeat(np.arange(10), 600)


def answers(seed, rates, seeds=5):
    """bool (seeds, images) with these error rates by class; images differ in difficulty, seeds share it."""
    generator = np.random.default_rng(seed)
    rate = np.asarray(rates)[LABELS]
    difficulty = generator.beta(0.5 * rate, 0.5 * (1 - rate))
    return generator.random((seeds, len(LABELS))) >= difficulty


def weak(correct):
    """The claim about classes; a wrong answer names the next class."""
    return claims.weak_classes(np.where(correct, LABELS, (LABELS + 1) % 10), LABELS)


def rates(base=0.02, **classes):
    return [classes.get(f"c{c}", base) for c in range(10)]


def test_weak_classes_are_supported_when_all_three_err_more_than_the_rest():
    claim = weak(answers(0, rates(c4=0.12, c5=0.12, c8=0.15)))
    assert claim.verdict == "supported"
    assert set(claim.numbers["harder"]) == {4, 5, 8}
    assert {row["class"] for row in claim.numbers["classes"][:3]} == {4, 5, 8}
    together = claim.numbers["together"]
    assert together["against_rest_ci95"][0] > 0.05


def test_weak_classes_are_contradicted_when_one_of_them_errs_less():
    claim = weak(answers(1, rates(base=0.08, c4=0.005)))
    assert claim.verdict == "contradicted"
    assert claim.numbers["easier"] == [4]


def test_weak_classes_are_not_resolved_when_only_one_stands_out():
    claim = weak(answers(2, rates(c8=0.045)))
    assert claim.verdict == "not resolved"
    assert claim.numbers["harder"] == [8]


@pytest.mark.slow
def test_equal_classes_are_called_harder_or_easier_in_one_search_of_twenty_at_most():
    called = 0
    for seed in range(60):
        numbers = weak(answers(seed, rates())).numbers
        called += bool(numbers["harder"] or numbers["easier"])
    assert called <= 8


def test_one_seed_resolves_no_class():
    claim = weak(answers(0, rates(c4=0.12, c5=0.12, c8=0.15), seeds=1))
    assert claim.verdict == "not resolved"
    assert {row["p_holm"] for row in claim.numbers["classes"]} == {None}
    assert any("not tested" in sentence for sentence in claim.says)


def test_classes_with_hardly_any_error_are_not_tested():
    few = np.ones((3, len(LABELS)), bool)
    few[:, ::2000] = False
    assert {row["p_holm"] for row in weak(few).numbers["classes"]} == {None}


def fewer(seed, correct, classes, share):
    """The same answers with this share of the errors on these classes mended."""
    mend = np.random.default_rng(seed).random(correct.shape) < share
    return correct | (mend & np.isin(LABELS, classes))


def test_dropout_is_supported_when_it_errs_less_everywhere():
    mlp = answers(3, rates(0.06))
    claim = claims.dropout_helps(mlp, fewer(0, mlp, range(10), 0.4), LABELS)
    assert claim.verdict == "supported"
    assert claim.numbers["parts"]["all images"]["error_reduction"] == pytest.approx(0.4, abs=0.05)


def test_dropout_is_contradicted_when_it_errs_more_on_the_named_classes():
    dropout = answers(4, rates(0.06))
    mlp = fewer(1, fewer(2, dropout, (4, 5, 8), 0.5), (0, 1, 2, 3, 6, 7, 9), 0.0)
    claim = claims.dropout_helps(mlp, dropout, LABELS)
    assert claim.verdict == "contradicted"
    assert any("more errors" in sentence for sentence in claim.says)


def test_dropout_is_not_resolved_where_a_test_says_so_and_its_interval_does_not(monkeypatch):
    mlp = answers(5, rates(0.06))
    made = compare(fewer(3, mlp, range(10), 0.4), mlp)
    assert made.p_value < 0.01
    doubtful = replace(made, log_ratio_ci95=(-2.0, 0.01))
    monkeypatch.setattr(claims.statistics, "compare", lambda one, other: doubtful)
    assert claims.dropout_helps(mlp, mlp, LABELS).verdict == "not resolved"


def test_dropout_is_not_resolved_when_it_only_helps_on_other_classes_or_does_nothing():
    mlp = answers(5, rates(0.06))
    assert claims.dropout_helps(mlp, fewer(3, mlp, (0, 1, 2, 3, 6, 7, 9), 0.4), LABELS).verdict == "not resolved"
    assert claims.dropout_helps(mlp, answers(6, rates(0.06)), LABELS).verdict == "not resolved"


@pytest.mark.parametrize(
    ("log_ratio", "half", "verdict"),
    [
        (np.log(0.55), 0.05, "supported"),
        (np.log(0.55), 0.30, "not resolved"),
        (np.log(0.49), 0.05, "not resolved"),
        (np.log(0.40), 0.05, "contradicted"),
        (np.log(0.80), 0.05, "contradicted"),
    ],
)
def test_almost_half_is_judged_by_where_the_whole_interval_lies(log_ratio, half, verdict):
    made = compare(answers(7, rates()), answers(8, rates()))
    claim = claims.halves_error(replace(made, log_ratio=log_ratio, log_ratio_ci95=(log_ratio - half, log_ratio + half)))
    assert claim.verdict == verdict
    low, high = claim.numbers["error_reduction_ci95"]
    assert claim.numbers["error_reduction"] == pytest.approx(1 - np.exp(log_ratio))
    assert low < claim.numbers["error_reduction"] < high


def test_one_seed_or_no_errors_leave_the_cut_open():
    one = compare(answers(7, rates(), 1), answers(8, rates(), 1))
    assert claims.halves_error(one).verdict == "not resolved"
    perfect = np.ones((3, len(LABELS)), bool)
    assert claims.halves_error(compare(perfect, perfect)).verdict == "not resolved"


def test_claims_are_json():
    mlp = answers(3, rates(0.06))
    for claim in (weak(mlp), claims.dropout_helps(mlp, mlp, LABELS)):
        json.dumps(asdict(claim), allow_nan=False)
