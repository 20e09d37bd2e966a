"""By how much an accuracy flatters that was chosen on the images it is reported on. Pure: arrays in, numbers out.

Whoever looks many times at the same images and reports the best look there reports luck as well. The validation images
are halved: the look with the most right answers on one half is judged on the other, which had no part in the choice.
What it loses there is what choosing and reporting on the same images would have pretended.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.errors import ShapeError
from bench.statistics import Variance

HALVINGS = 500  # each used both ways, so that a look that is always chosen pretends nothing at all
GROUPS = 20  # of images, for the jackknife
LEAST_IMAGES = 2 * GROUPS
METHOD = f"{HALVINGS} random halvings, each both ways; seeds, and images by a jackknife of {GROUPS} groups"
DRAW = 0  # of halves and groups: the same answers give the same numbers

Answers = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Optimism:
    """What choosing the best of `looks` pretends on half of the images; all but `looks` are fractions of images.

    Attributes:
        peeked: mean accuracy of the chosen look on the half it was chosen on.
        judged: the same look's on the other half.
        pretended: peeked - judged.
        ci95: of `pretended`, for other seeds and other images; None for a single seed.
        by_seed: `pretended`, a seed.
    """

    looks: int
    peeked: float
    judged: float
    pretended: float
    ci95: tuple[float, float] | None
    by_seed: tuple[float, ...]


def optimism(answers: Answers) -> Optimism:
    """Estimate it from every look's answers to the same images.

    The variance of the mean over seeds is that of the seeds, s^2 / S, and that of the images, by a delete-a-group
    jackknife. What a seed does to single images is in both, so that the interval is rather too wide.

    Args:
        answers: whether a look got an image right, shape (seeds, looks, images). Of equal looks the first is chosen.

    Raises:
        ShapeError: no seed, fewer than two looks, or fewer than 40 images.
    """
    if answers.ndim != 3 or answers.shape[0] < 1 or answers.shape[1] < 2 or answers.shape[2] < LEAST_IMAGES:
        raise ShapeError(f"Needs a seed, two looks and {LEAST_IMAGES} images or more, not shape {answers.shape}.")
    seeds, looks, images = answers.shape
    rng = np.random.default_rng(DRAW)
    first_half = rng.permuted(np.tile(np.arange(images) % 2 == 0, (HALVINGS, 1)), axis=1)
    groups = np.array_split(rng.permutation(images), GROUPS)
    scores = np.array([_scores(one, first_half, groups) for one in answers])  # (seeds, 1 + GROUPS, 2)
    peeked, judged = (float(score) for score in scores[:, 0].mean(axis=0))
    by_seed = scores[:, 0, 0] - scores[:, 0, 1]
    interval = None
    if seeds > 1:
        without = (scores[:, 1:, 0] - scores[:, 1:, 1]).mean(axis=0)
        of_seeds = float(by_seed.var(ddof=1)) / seeds
        of_images = float((GROUPS - 1) * without.var())
        spread = of_seeds**2 / (seeds - 1) + of_images**2 / (GROUPS - 1)
        variance = Variance(of_seeds + of_images, (of_seeds + of_images) ** 2 / spread if spread else seeds - 1)
        half = variance.quantile() * variance.standard_error
        interval = (peeked - judged - half, peeked - judged + half)
    return Optimism(looks, peeked, judged, peeked - judged, interval, tuple(map(float, by_seed)))


def _scores(answers: Answers, first_half: Answers, groups: list[npt.NDArray[np.int64]]) -> Counts:
    """(peeked, judged) on all images, then without each group in turn; shape (1 + groups, 2).

    Args:
        answers: of one seed, shape (looks, images).
        first_half: shape (halvings, images).
    """
    found = answers.astype(np.float32)
    sides = first_half.astype(np.float32)
    # Right answers in the first half by group, look and halving; then in both, and the images of each.
    first = np.array([found[:, group] @ sides[:, group].T for group in groups], float)
    both = np.array([found[:, group].sum(axis=1) for group in groups], float)[:, :, None]
    n_first = np.array([sides[:, group].sum(axis=1) for group in groups], float)
    n_both = np.array([float(len(group)) for group in groups])
    scores = []
    for k in (None, *range(len(groups))):
        left = [part.sum(axis=0) - (0.0 if k is None else part[k]) for part in (first, both, n_first, n_both)]
        scores.append(_chosen(left[0] / left[2], (left[1] - left[0]) / (left[3] - left[2])))
    return np.array(scores)


def _chosen(a: Counts, b: Counts) -> tuple[float, float]:
    """Mean accuracy where a look was chosen, and where it was not; a, b: by half, shape (looks, halvings)."""
    halvings = np.arange(a.shape[1])
    by_a, by_b = a.argmax(axis=0), b.argmax(axis=0)
    peeked = a[by_a, halvings].mean() + b[by_b, halvings].mean()
    judged = b[by_a, halvings].mean() + a[by_b, halvings].mean()
    return float(peeked) / 2, float(judged) / 2
