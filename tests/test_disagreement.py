"""Mistakes of several families, counted another way, and checked by simulation."""

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.multitest import multipletests

from bench import statistics
from bench.disagreement import (
    ALPHA,
    SURE,
    Answers,
    against,
    false_discovery,
    fisher,
    likely_label_errors,
    models_needed,
    unsolved,
)  # fmt: skip
from bench.errors import ShapeError

CLASSES = 4


def said(*models, sure=0.97, labels=(0, 1, 2, 3, 0, 1), name="mlp"):
    """A family whose models give these answers, each with this probability."""
    answers = np.array(models)
    probabilities = np.full((*answers.shape, CLASSES), (1 - sure) / (CLASSES - 1), np.float32)
    np.put_along_axis(probabilities, answers[:, :, None], sure, axis=2)
    return Answers(name, probabilities, np.array(labels))


def drawn(name, errors, seeds, labels, seed):
    """Models that err on each image with its own probability."""
    generator = np.random.default_rng(seed)
    wrong = generator.random((seeds, len(labels))) < errors
    return said(*np.where(wrong, (labels + 1) % CLASSES, labels), labels=labels, name=name)


def test_an_image_is_unsolved_when_every_model_of_every_family_is_wrong():
    one = said([0, 1, 3, 3, 1, 1], [0, 1, 3, 3, 2, 1])
    other = said([0, 1, 3, 0, 1, 1], [0, 1, 0, 3, 1, 1], name="cnn")
    assert [image.image for image in unsolved([one])] == [2, 4]
    found = {image.image: image for image in unsolved([one, other])}
    assert sorted(found) == [2, 4]
    assert (found[2].label, found[2].said, found[2].models) == (2, 3, 3)
    assert (found[4].label, found[4].said, found[4].models) == (0, 1, 3)
    assert found[2].probability == pytest.approx((3 * 0.97 + 0.01) / 4, abs=1e-6)


def test_an_image_that_one_model_gets_right_is_not_unsolved():
    assert unsolved([said([1, 1, 2, 3, 0, 1], [0, 1, 2, 3, 0, 1])]) == ()


def test_a_likely_label_error_takes_every_model_and_every_family_to_be_sure_of_the_same():
    agreed = said([0, 1, 2, 3, 0, 3], [0, 1, 2, 3, 0, 3])
    assert [(one.image, one.label, one.said) for one in likely_label_errors([agreed])] == [(5, 1, 3)]
    assert [one.models for one in likely_label_errors([agreed, said([0, 1, 2, 3, 0, 3], name="cnn")])] == [3]
    for other in (
        said([0, 1, 2, 3, 0, 1], name="cnn"),  # right
        said([0, 1, 2, 3, 0, 2], name="cnn"),  # another wrong answer
        said([0, 1, 2, 3, 0, 3], sure=SURE - 0.01, name="cnn"),
    ):
        assert likely_label_errors([agreed, other]) == ()


def test_planted_label_errors_are_found_and_hard_images_are_not():
    """A hundred labels of 5,000 are wrong; models err on 2 % of the images, unsurely, each on its own and together."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, CLASSES, 5_000)
    labels, planted = truth.copy(), generator.choice(5_000, 100, replace=False)
    labels[planted] = (truth[planted] + generator.integers(1, CLASSES, 100)) % CLASSES
    families = []
    hard = generator.random(5_000) < 0.02  # for all
    for name in ("mlp", "cnn"):
        wrong = hard | (generator.random((3, 5_000)) < 0.01)
        probability = np.where(wrong, 0.6, 0.98)
        answers = np.where(wrong, (truth + 1) % CLASSES, truth)
        probabilities = np.repeat(((1 - probability) / (CLASSES - 1))[..., None], CLASSES, axis=2).astype(np.float32)
        np.put_along_axis(probabilities, answers[:, :, None], probability[..., None].astype(np.float32), axis=2)
        families.append(Answers(name, probabilities, labels))
    found = {one.image for one in likely_label_errors(families)}
    assert found <= set(planted)
    assert len(found) > 75


def test_fixed_and_broken_are_means_over_pairs_of_models():
    labels = np.arange(200) % CLASSES
    one, other = drawn("cnn", 0.1, 3, labels, 1), drawn("mlp", 0.2, 2, labels, 2)
    found = against(one, other, CLASSES)
    pairs = [(a, b) for a in one.correct for b in other.correct]
    assert found.fixed == pytest.approx(np.mean([(a & ~b).sum() for a, b in pairs]))
    assert found.broken == pytest.approx(np.mean([(~a & b).sum() for a, b in pairs]))
    errors = [(~family.correct).sum(axis=1).mean() for family in (one, other)]
    assert found.fixed - found.broken == pytest.approx(errors[1] - errors[0])
    assert sum(row.fixed for row in found.classes) == pytest.approx(found.fixed)
    assert sum(row.images for row in found.classes) == 200


def test_a_class_is_tested_as_its_images_alone_and_holm_corrects_over_the_classes():
    labels = np.arange(4_000) % CLASSES
    rates = np.where(labels == 2, 0.02, 0.1)
    one, other = drawn("cnn", rates, 4, labels, 1), drawn("mlp", 0.1, 4, labels, 2)
    found = against(one, other, CLASSES)
    assert [row.verdict for row in found.classes] == ["not resolved", "not resolved", "better", "not resolved"]
    alone = [statistics.compare(one.correct[:, labels == c], other.correct[:, labels == c]) for c in range(CLASSES)]
    expected = multipletests([row.p_value for row in alone], method="holm")[1]
    np.testing.assert_allclose([row.p_holm for row in found.classes], expected)
    assert [row.difference for row in found.classes] == [row.difference for row in alone]
    assert [row.verdict for row in against(other, one, CLASSES).classes][2] == "worse"


def test_classes_with_too_few_errors_or_a_single_seed_are_not_tested():
    labels = np.arange(400) % CLASSES
    few = against(drawn("cnn", 0.01, 4, labels, 1), drawn("mlp", 0.01, 4, labels, 2), CLASSES)
    assert {row.verdict for row in few.classes} == {"not tested"}
    lone = against(drawn("cnn", 0.1, 1, labels, 1), drawn("mlp", 0.4, 4, labels, 2), CLASSES)
    assert {(row.verdict, row.p_holm) for row in lone.classes} == {("not tested", None)}


def test_a_class_without_images_is_no_error():
    found = against(said([0, 1, 2, 3, 0, 1]), said([0, 1, 2, 3, 0, 1], name="cnn"), CLASSES + 1)
    assert (found.classes[-1].images, found.classes[-1].difference, found.classes[-1].verdict) == (
        0,
        None,
        "not tested",
    )


@pytest.mark.parametrize(("models", "others"), [(2, 2), (4, 4), (5, 5), (3, 7), (1, 9)])
def test_fishers_test_is_scipys(models, others):
    for right in range(models + 1):
        for other_right in range(others + 1):
            table = [[right, models - right], [other_right, others - other_right]]
            assert fisher(right, models, other_right, others) == pytest.approx(fisher_exact(table)[1])


def test_the_false_discovery_rate_is_statsmodels():
    p_values = np.random.default_rng(0).random(300) ** 3
    np.testing.assert_allclose(false_discovery(list(p_values)), multipletests(p_values, method="fdr_bh")[1])
    assert false_discovery([]) == []


@pytest.mark.slow
def test_images_that_truly_changed_are_found_and_few_others_are():
    labels = np.arange(3_000) % CLASSES
    everyone = np.full(3_000, 0.03)
    errors, other_errors = everyone.copy(), everyone.copy()
    other_errors[:60], errors[60:90] = 0.97, 0.97  # sixty fixed, thirty broken
    shares = []
    for seed in range(20):
        found = against(
            drawn("cnn", errors, 5, labels, seed), drawn("mlp", other_errors, 5, labels, 1_000 + seed), CLASSES
        )
        fixed, broken = ({one.image for one in side} for side in (found.images_fixed, found.images_broken))
        assert len(fixed & set(range(60))) > 40
        assert len(broken & set(range(60, 90))) > 18
        false = len(fixed - set(range(60))) + len(broken - set(range(60, 90)))
        shares.append(false / max(len(fixed) + len(broken), 1))
    assert np.mean(shares) <= ALPHA


@pytest.mark.slow
def test_two_equal_families_have_hardly_ever_an_image_that_is_told_apart():
    labels = np.arange(1_000) % CLASSES
    hard = np.random.default_rng(9).beta(0.05, 0.6, 1_000)  # most images are easy, some are a toss-up
    told = [
        bool(found.images_fixed or found.images_broken)
        for seed in range(60)
        for found in [against(drawn("a", hard, 5, labels, seed), drawn("b", hard, 5, labels, 999 + seed), CLASSES)]
    ]
    assert np.mean(told) <= 0.06


def test_with_too_few_models_no_single_image_can_be_told_and_it_says_how_many_it_takes():
    labels = np.arange(100) % CLASSES
    found = against(drawn("cnn", 0.0, 3, labels, 1), drawn("mlp", 0.9, 3, labels, 2), CLASSES)
    assert (found.questions, found.images_fixed) == (0, ())
    assert models_needed(3, 3) == 4
    assert models_needed(4, 4) is None


def test_families_that_answered_other_images_are_never_compared():
    one, other = said([0, 1, 2, 3, 0, 1]), said([0, 1, 2, 3, 0, 1], labels=(0, 1, 2, 3, 0, 0), name="cnn")
    for call in (unsolved, likely_label_errors):
        with pytest.raises(ShapeError, match="did not answer the same images"):
            call([one, other])
        with pytest.raises(ShapeError, match="At least one family"):
            call([])
    with pytest.raises(ShapeError, match="did not answer the same images"):
        against(one, other, CLASSES)
