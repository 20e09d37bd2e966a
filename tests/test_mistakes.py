"""Confusion and error rates, recomputed another way and checked by simulation."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from bench import statistics
from bench.errors import ShapeError
from bench.mistakes import answers, class_errors, confusion, pairs
from bench.ranking import wilson


def some_answers(seed=0, seeds=3, images=400, classes=5, accuracy=0.85):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    guesses = generator.integers(0, classes, (seeds, images))
    return labels, np.where(generator.random((seeds, images)) < accuracy, labels, guesses)


def test_confusion_is_what_counting_one_by_one_gives():
    from sklearn.metrics import confusion_matrix

    labels, predicted = some_answers()
    by_hand = np.zeros((5, 5))
    for answer in predicted:
        for true, said in zip(labels, answer, strict=True):
            by_hand[true, said] += 1 / 3
    np.testing.assert_allclose(confusion(labels, predicted, 5), by_hand)
    np.testing.assert_allclose(by_hand, sum(confusion_matrix(labels, p, labels=range(5)) for p in predicted) / 3)


def test_rates_are_the_share_wrong_of_each_class_and_the_rows_of_the_confusion():
    labels, predicted = some_answers()
    matrix = confusion(labels, predicted, 5)
    for found in class_errors(labels, predicted, 5):
        row = matrix[found.label]
        assert found.images == row.sum() == (labels == found.label).sum()
        assert found.errors == pytest.approx(row.sum() - row[found.label])
        assert found.rate == pytest.approx(1 - (predicted[:, labels == found.label] == found.label).mean())
        assert found.ci95[0] < found.rate < found.ci95[1]


def test_one_seed_has_wilsons_interval_on_the_images_of_the_class():
    labels, predicted = some_answers(seeds=1)
    for found in class_errors(labels, predicted, 5):
        assert found.ci95 == pytest.approx(wilson(found.rate, found.images), abs=1e-9)


def test_seeds_that_differ_widen_the_interval_as_the_crossed_model_says():
    generator = np.random.default_rng(3)
    labels = generator.integers(0, 3, 600)
    skill = np.array([[0.95], [0.85], [0.7], [0.9]])  # of each seed
    predicted = np.where(generator.random((4, 600)) < skill, labels, (labels + 1) % 3)
    for found in class_errors(labels, predicted, 3):
        known = statistics.estimate(predicted[:, labels == found.label] != found.label)
        n = found.rate * (1 - found.rate) / known.standard_error**2
        z = t.ppf(0.975, known.df)
        centre = (found.rate + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * math.sqrt(found.rate * (1 - found.rate) / n + z**2 / (4 * n**2))
        assert n < found.images
        assert found.ci95 == pytest.approx((centre - half, centre + half), rel=1e-6)
        low, high = wilson(found.rate, found.images)
        assert found.ci95[0] < low < high < found.ci95[1]


def test_seeds_that_err_apart_are_not_taken_for_more_images():
    labels, predicted = some_answers(accuracy=0.7)
    for found in class_errors(labels, predicted, 5):
        assert found.ci95 == pytest.approx(wilson(found.rate, found.images))


def test_the_same_errors_in_every_seed_count_once():
    """Five copies of one model know no more than one of them; pooled, the interval would be 2.2 times too short."""
    labels, predicted = some_answers(seeds=1)
    for once, copied in zip(
        class_errors(labels, predicted, 5), class_errors(labels, np.repeat(predicted, 5, axis=0), 5), strict=True
    ):
        assert copied.rate == once.rate
        assert copied.ci95[1] - copied.ci95[0] >= 0.99 * (once.ci95[1] - once.ci95[0])


def test_the_interval_covers_the_true_rate():
    generator = np.random.default_rng(1)
    labels, covered = np.zeros(100, int), 0
    for _ in range(200):
        image, seed = 0.7 * generator.normal(size=100), 0.1 * generator.normal(size=(5, 1))
        noise = math.sqrt(0.51 - 0.01) * generator.normal(size=(5, 100))
        wrong = (image + seed + noise) < norm.ppf(0.05)  # variances 0.49, 0.01 and 0.5: 5 % of all
        low, high = class_errors(labels, wrong.astype(int), 2)[0].ci95
        covered += low <= 0.05 <= high
    assert covered >= 0.93 * 200


def test_classes_without_errors_and_without_images():
    labels = np.array([0] * 50 + [1])
    none, single, absent = class_errors(labels, np.stack([labels, labels]), 3)
    assert (none.errors, none.rate) == (0, 0)
    assert none.ci95 == pytest.approx(wilson(0.0, 50), abs=1e-9)
    assert single.ci95 == pytest.approx(wilson(0.0, 1))
    assert (absent.images, absent.rate, absent.ci95) == (0, None, None)


def test_the_most_confused_pairs_come_first_and_only_confused_ones():
    matrix = np.array([[9, 2, 0], [0.5, 9, 0], [3, 0, 9]])
    assert [(p.label, p.predicted, p.images) for p in pairs(matrix, 9)] == [(2, 0, 3), (0, 1, 2), (1, 0, 0.5)]
    assert len(pairs(matrix, 2)) == 2
    assert pairs(np.eye(3) * 9, 5) == ()


def test_the_cells_of_a_trial_give_its_confusion():
    labels, predicted = answers(((0, 0, 3), (0, 1, 2), (1, 1, 4)))
    np.testing.assert_array_equal(confusion(labels, predicted, 2), [[3, 2], [0, 4]])
    assert [found.rate for found in class_errors(labels, predicted, 2)] == [0.4, 0]
    labels, predicted = answers(())
    assert [found.rate for found in class_errors(labels, predicted, 2)] == [None, None]


@pytest.mark.parametrize(
    ("labels", "predicted"), [([0, 1], [[0]]), ([0, 1], [0, 1]), ([0, 5], [[0, 1]]), ([0, 1], [[-1, 1]])]
)
def test_arrays_that_do_not_fit_are_refused(labels, predicted):
    with pytest.raises(ShapeError):
        confusion(np.array(labels), np.array(predicted), 2)
