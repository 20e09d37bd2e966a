"""How many seeds and test images resolve a difference: the variance model of `bench.statistics`, asked beforehand.

The difference of two families' mean accuracies has the variance (image + residual / S) / N + seed / S for S seeds a
family and N images, with components estimated from stored predictions, or assumed. It is resolved where a t-test at
5 % finds it with a probability of 80 %: power is that of the non-central t distribution (Cohen 1988, ch. 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.errors import ShapeError
from bench.statistics import Correct, mean_squares, t_quantile

ALPHA, POWER = 0.05, 0.8
MOST_SEEDS = 1_000
MOST_IMAGES = 10**9


@dataclass(frozen=True)
class Components:
    """Variance components of the difference of two families, each per image and seed.

    Attributes:
        image: what images alone add: some are answered by one family's models and not by the other's.
        residual: of each family, what a seed adds on an image.
        seed: of each family, what a seed adds on all images alike.
    """

    image: float
    residual: tuple[float, float]
    seed: tuple[float, float]


def components(a: Correct, b: Correct) -> Components:
    """Estimated from two families' answers to the same images; a negative component is none.

    Args:
        a, b: bool, shapes (seeds of a, images) and (seeds of b, images).

    Raises:
        ShapeError: one of them has a single seed, which does not show how seeds differ, or images are not the same.
    """
    if min(len(a), len(b)) < 2 or a.shape[1] != b.shape[1]:
        raise ShapeError(f"Both need two seeds or more on the same images, not shapes {a.shape} and {b.shape}.")
    images = a.shape[1]
    (seed_a, residual_a), (seed_b, residual_b) = (mean_squares(one.astype(float)) for one in (a, b))
    by_image = a.mean(axis=0) - b.mean(axis=0)
    left = float(by_image.var(ddof=1)) - residual_a / len(a) - residual_b / len(b)
    seed = max(0.0, (seed_a - residual_a) / images), max(0.0, (seed_b - residual_b) / images)
    return Components(max(0.0, left), (residual_a, residual_b), seed)


def assumed(error: float) -> Components:
    """Of two families that err on a share `error` of the images and share no mistakes, before any final.

    Accuracies of seeds on one test set then differ by a standard deviation of sqrt(error / 2n), as is often seen: half
    of a family's errors are its seed's. Families that share mistakes need fewer images.

    Raises:
        ShapeError: `error` is no share between 0 and 1.
    """
    if not 0 < error < 1:
        raise ShapeError(f"An error rate lies between 0 and 1, not {error!r}.")
    half = error / 2
    return Components(error - error**2, (half, half), (0.0, 0.0))


def detectable(found: Components, seeds: int, images: int) -> float:
    """The smallest difference of accuracies, as a fraction, that is resolved with so many seeds a family and images.

    It is never below one that shows on any image at all with a probability of POWER: families whose answers hardly ever
    differ have hardly any variance, and another test set may yet part them.
    """
    from scipy import optimize, special

    least: float = 1 - (1 - POWER) ** (1 / images)
    value, df = _variance(found, seeds, images)
    if value == 0:
        return least
    limit = t_quantile(df)
    if math.isinf(df) or df > 1e5:
        shift = limit + float(special.ndtri(POWER))
    else:
        shift = optimize.brentq(lambda nc: 1 - POWER - special.nctdtr(df, nc, limit), 0.0, 10 * limit + 10)
    return max(least, float(shift * math.sqrt(value)))


def _variance(found: Components, seeds: int, images: int) -> tuple[float, float]:
    """(variance of the difference, its Satterthwaite degrees of freedom), as `bench.statistics` would estimate them."""
    by_images = (found.image + sum(found.residual) / seeds) / images
    value = by_images + sum(found.seed) / seeds
    spread = by_images**2 / max(1, images - 1)
    for residual, seed in zip(found.residual, found.seed, strict=True):
        spread += ((residual + images * seed) / (images * seeds)) ** 2 / (seeds - 1)
        spread += (residual / (images * seeds)) ** 2 / ((seeds - 1) * max(1, images - 1))
    return value, max(value**2 / spread, seeds - 1) if spread > 0 else math.inf


def seeds_for(found: Components, difference: float, images: int) -> int | None:
    """The fewest seeds a family that resolve a difference on these images; None where none up to MOST_SEEDS do."""
    return _fewest(lambda seeds: detectable(found, seeds, images) <= difference, 2, MOST_SEEDS)


def images_for(found: Components, difference: float, seeds: int) -> int | None:
    """The fewest test images that resolve a difference with so many seeds a family; None where no number does."""
    # More may be too many: where images no longer vary, what is left to estimate is how few seeds do.
    most = _lowest(lambda images: detectable(found, seeds, images), 2, MOST_IMAGES)
    return _fewest(lambda images: detectable(found, seeds, images) <= difference, 2, most)


def _lowest(value: Callable[[int], float], low: int, high: int) -> int:
    """Where a function of a whole number is lowest that falls up to there, and rises from there on: in thirds."""
    while high - low > 2:
        ratio = (high / low) ** (1 / 3)
        left = min(max(low + 1, round(low * ratio)), high - 2)
        right = min(max(left + 1, round(low * ratio**2)), high - 1)
        low, high = (low, right) if value(left) < value(right) else (left, high)
    return min(range(low, high + 1), key=value)


def _fewest(enough: Callable[[int], bool], least: int, most: int) -> int | None:
    """The smallest whole number that is enough, given that all from there to `most` are."""
    if not enough(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle + 1, most)
    return least
