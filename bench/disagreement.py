"""Which images the families get wrong: those that none gets right, those whose label may be wrong, and what one family
fixes and newly breaks against another. Pure numpy, from predictions that are stored.

**No family gets right**: every model of every family answers wrong.

**Likely label errors**: every model of every family gives the same other answer, and each family gives it a mean
probability of SURE at least. Models can be sure and wrong together, so that this is a list to look at; nothing is
removed, and no figure changes for it.

**Fixed and broken**: an image counts by pairs of a model of one family and one of the other, so that the counts are
means over seeds and their difference is the difference of the errors. A class is called better or worse where the test
of `bench.statistics.compare` on its images and the interval of the error reduction both say so, Holm-corrected over the
classes that are tested. A single image is called fixed or broken where the share of models that are right differs
(Fisher's exact test, two-sided) at a false discovery rate of 5 % over all images that so many models could tell apart
(Benjamini and Hochberg 1995; images on which even the most uneven split would not do are no questions, and left out,
which looks only at how many models are right in all).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench import statistics
from bench.errors import ShapeError

SURE = 0.9
ALPHA = 0.05
LEAST_ERRORS = statistics.LEAST_ERRORS  # of both families together in a class, before it is tested
Labels = npt.NDArray[np.integer[Any]]
Verdict = Literal["better", "worse", "not resolved", "not tested"]


@dataclass(frozen=True)
class Answers:
    """What the models of a family said of the test images.

    Attributes:
        name: what the family is called here.
        probabilities: float32, shape (seeds, images, classes).
        labels: shape (images,).
    """

    name: str
    probabilities: npt.NDArray[np.float32]
    labels: Labels

    @property
    def predicted(self) -> Labels:
        """Shape (seeds, images)."""
        best: Labels = self.probabilities.argmax(axis=2)
        return best

    @property
    def correct(self) -> statistics.Correct:
        right: statistics.Correct = self.predicted == self.labels
        return right


@dataclass(frozen=True)
class Missed:
    """An image that models get wrong.

    Attributes:
        said: the answer that most models give, of equally common ones the one they are surer of.
        models: how many of all give it.
        probability: that they give it, mean over all models of all families.
    """

    image: int
    label: int
    said: int
    models: int
    probability: float


@dataclass(frozen=True)
class ClassChange:
    """A class's errors with one family and with the other, means over seeds.

    Attributes:
        fixed: images that the other gets wrong and this one right; broken: the reverse.
        difference: accuracy of this one minus that of the other, with its 95 % interval.
    """

    label: int
    images: int
    errors: float
    other_errors: float
    fixed: float
    broken: float
    difference: float | None
    ci95: tuple[float, float] | None
    p_holm: float | None
    verdict: Verdict


@dataclass(frozen=True)
class ImageChange:
    """A single image on which two families resolvedly differ: how many models of each are right."""

    image: int
    label: int
    right: int
    other_right: int
    q_value: float


@dataclass(frozen=True)
class Against:
    """One family against another.

    Attributes:
        fixed, broken: images, means over pairs of models.
        questions: images that so many models could tell apart.
        images_fixed, images_broken: those that are, the surest first.
    """

    fixed: float
    broken: float
    classes: tuple[ClassChange, ...]
    questions: int
    images_fixed: tuple[ImageChange, ...]
    images_broken: tuple[ImageChange, ...]


def unsolved(families: Sequence[Answers]) -> tuple[Missed, ...]:
    """Images that no model of any family gets right, the surest mistakes first.

    Raises:
        ShapeError: no family, or families that answered other images.
    """
    labels = _labels(families)
    right = np.zeros(len(labels), bool)
    for family in families:
        right |= family.correct.any(axis=0)
    return _missed(families, np.flatnonzero(~right))


def likely_label_errors(families: Sequence[Answers]) -> tuple[Missed, ...]:
    """Images of which every model says the same other class, and every family is SURE of it; the surest first.

    Raises:
        ShapeError: no family, or families that answered other images.
    """
    labels = _labels(families)
    said = families[0].predicted[0]
    agreed = said != labels
    for family in families:
        agreed &= (family.predicted == said).all(axis=0)
        agreed &= family.probabilities.mean(axis=0)[np.arange(len(labels)), said] >= SURE
    return _missed(families, np.flatnonzero(agreed))


def against(one: Answers, other: Answers, classes: int) -> Against:
    """What `one` fixes and newly breaks against `other`.

    Raises:
        ShapeError: they answered other images.
    """
    labels = _labels((one, other))
    mine, theirs = one.correct, other.correct
    share, other_share = mine.mean(axis=0), theirs.mean(axis=0)
    fixed, broken = share * (1 - other_share), other_share * (1 - share)
    changes = [_class_change(label, labels == label, mine, theirs, fixed, broken) for label in range(classes)]
    questions, better, worse = _images(labels, mine, theirs)
    return Against(float(fixed.sum()), float(broken.sum()), _judged(changes), questions, better, worse)


def models_needed(models: int, others: int) -> int | None:
    """How many models of each family it takes to tell a single image; None where there are enough."""
    if _least(models, others, models) <= ALPHA:  # all of one right, none of the other
        return None
    return next(count for count in range(2, 100) if 2 / math.comb(2 * count, count) <= ALPHA)


def _labels(families: Sequence[Answers]) -> Labels:
    if not families:
        raise ShapeError("At least one family is needed.")
    first = families[0].labels
    for family in families:
        if not np.array_equal(family.labels, first) or family.probabilities.shape[1] != len(first):
            raise ShapeError(f"{families[0].name} and {family.name} did not answer the same images.")
    return first


def _missed(families: Sequence[Answers], images: npt.NDArray[np.intp]) -> tuple[Missed, ...]:
    if not len(images):
        return ()
    every = np.concatenate([family.probabilities[:, images] for family in families])  # (models, images, classes)
    votes = np.zeros(every.shape[1:])
    for answers in every.argmax(axis=2):
        votes[np.arange(len(images)), answers] += 1
    means = every.mean(axis=0)
    votes[np.arange(len(images)), families[0].labels[images]] = -1  # a wrong answer is asked for
    said = (votes + means).argmax(axis=1)
    found = [
        Missed(
            int(image),
            int(families[0].labels[image]),
            int(answer),
            int(votes[place, answer]),
            float(means[place, answer]),
        )
        for place, (image, answer) in enumerate(zip(images, said, strict=True))
    ]
    return tuple(sorted(found, key=lambda one: (-one.probability, one.image)))


def _class_change(
    label: int,
    chosen: npt.NDArray[np.bool_],
    mine: statistics.Correct,
    theirs: statistics.Correct,
    fixed: npt.NDArray[np.float64],
    broken: npt.NDArray[np.float64],
) -> tuple[ClassChange, float | None, bool]:
    """The row, its p-value where it is tested, and whether the interval of the reduction says so too."""
    images = int(chosen.sum())
    errors, other_errors = (float((~of[:, chosen]).sum(axis=1).mean()) for of in (mine, theirs))
    sums = (float(fixed[chosen].sum()), float(broken[chosen].sum()))
    if images < 2:
        row = ClassChange(label, images, errors, other_errors, *sums, None, None, None, "not tested")
        return row, None, False
    found = statistics.compare(mine[:, chosen], theirs[:, chosen])
    tested = found.tested and errors + other_errors >= LEAST_ERRORS
    low, high = found.log_ratio_ci95 or (1.0, 1.0)  # without errors of one there is no ratio: the test alone says it
    row = ClassChange(label, images, errors, other_errors, *sums, found.difference, found.ci95, None, "not tested")
    return row, found.p_value if tested else None, not low <= 0 <= high


def _judged(found: Sequence[tuple[ClassChange, float | None, bool]]) -> tuple[ClassChange, ...]:
    tested = [place for place, (_, p_value, _) in enumerate(found) if p_value is not None]
    adjusted = dict(zip(tested, statistics.holm([found[place][1] or 0.0 for place in tested]), strict=True))
    rows = []
    for place, (row, _, apart) in enumerate(found):
        if place in adjusted:
            resolved = adjusted[place] < ALPHA and apart
            better = (row.difference or 0.0) > 0
            verdict: Verdict = ("better" if better else "worse") if resolved else "not resolved"
            row = replace(row, p_holm=adjusted[place], verdict=verdict)
        rows.append(row)
    return tuple(rows)


def _images(
    labels: Labels, mine: statistics.Correct, theirs: statistics.Correct
) -> tuple[int, tuple[ImageChange, ...], tuple[ImageChange, ...]]:
    models, others = len(mine), len(theirs)
    right, other_right = mine.sum(axis=0), theirs.sum(axis=0)
    asked = [
        image for image in range(len(labels)) if _least(models, others, int(right[image] + other_right[image])) <= ALPHA
    ]
    p_values = [fisher(int(right[image]), models, int(other_right[image]), others) for image in asked]
    better: list[ImageChange] = []
    worse: list[ImageChange] = []
    for image, q_value in zip(asked, false_discovery(p_values), strict=True):
        if q_value <= ALPHA:
            change = ImageChange(image, int(labels[image]), int(right[image]), int(other_right[image]), q_value)
            (better if right[image] * others > other_right[image] * models else worse).append(change)
    by_surest = [tuple(sorted(side, key=lambda one: (one.q_value, one.image))) for side in (better, worse)]
    return len(asked), by_surest[0], by_surest[1]


@lru_cache(maxsize=4096)
def fisher(right: int, models: int, other_right: int, others: int) -> float:
    """Two-sided p-value of Fisher's exact test that right / models and other_right / others differ."""
    total = right + other_right
    ways = {k: math.comb(models, k) * math.comb(others, total - k) for k in _possible(models, others, total)}
    return sum(count for count in ways.values() if count <= ways[right]) / math.comb(models + others, total)


@lru_cache(maxsize=1024)
def _least(models: int, others: int, total: int) -> float:
    """The smallest p-value that there can be where so many models of both are right."""
    return min(fisher(k, models, total - k, others) for k in _possible(models, others, total))


def _possible(models: int, others: int, total: int) -> range:
    return range(max(0, total - others), min(models, total) + 1)


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for the false discovery rate after Benjamini and Hochberg 1995."""
    count = len(p_values)
    order = sorted(range(count), key=lambda place: p_values[place], reverse=True)
    adjusted, least = [1.0] * count, 1.0
    for step, place in enumerate(order):
        least = min(least, p_values[place] * count / (count - step))
        adjusted[place] = least
    return adjusted
