"""What is noticed of the seeds of a final."""

import numpy as np

from bench.seeds import findings


def one_hot(answers, classes=4):
    return np.eye(classes, dtype=np.float32)[answers]


def found(labels, *answers):
    answers = np.array(answers)
    return findings((11, 12, 13)[: len(answers)], one_hot(answers), answers == labels)


LABELS = np.arange(40) % 4


def test_two_seeds_that_answer_alike_and_err_alike_are_named():
    wrong = LABELS.copy()
    wrong[:3] = 3
    other = LABELS.copy()
    other[5] = 0
    probabilities = one_hot(np.array([wrong, wrong, other]))
    probabilities[1] = 0.9 * probabilities[1] + 0.025  # as sure of nothing as the first
    said = findings((11, 12, 13), probabilities, np.array([wrong, wrong, other]) == LABELS)
    assert said == ("seeds 11 and 12 answered all 40 test images alike, 3 of them wrongly: were they two runs?",)


def test_two_seeds_that_are_always_right_may_be_two():
    sure, less = one_hot(LABELS), 0.9 * one_hot(LABELS) + 0.025
    right = np.ones((2, 40), bool)
    assert findings((1, 2), np.stack([sure, less]), right) == ()
    (said,) = findings((1, 2), np.stack([less, less]), right)
    assert "with the same probabilities" in said


def test_seeds_that_differ_on_one_image_are_two():
    one, other = LABELS.copy(), LABELS.copy()
    one[0], other[1] = 3, 3
    assert found(LABELS, one, other) == ()
    assert found(LABELS, one) == ()
