"""The statistics of a leaderboard, written a second time with numpy and scipy; nothing of bench's own is used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

LEVEL, MARGIN = 0.05, 0.001


@dataclass(frozen=True)
class Tested:
    """A pair: difference of accuracies, its test, and log(errors of the first / errors of the second)."""

    difference: float
    error: float
    df: float
    p_value: float
    log_ratio: float | None
    log_bounds: tuple[float, float] | None
    tested: bool

    def turned(self) -> Tested:
        ratio, bounds = self.log_ratio, self.log_bounds
        return Tested(
            -self.difference, self.error, self.df, self.p_value,
            None if ratio is None else -ratio, bounds and (-bounds[1], -bounds[0]), self.tested,
        )  # fmt: skip


def crossed(*groups: np.ndarray) -> tuple[float, float]:
    """(variance, degrees of freedom) of the sum of the groups' means: seeds x images, both random, images shared.

    Sums of squares as in any two-way table without repetition: SS_residual = SS_total - SS_seeds - SS_images.
    """
    images = groups[0].shape[1]
    by_image = np.add.reduce([group.mean(axis=0) for group in groups])
    variance = float(np.square(by_image - by_image.mean()).sum()) / (images - 1) / images
    squares, least = variance**2 / (images - 1), [images - 1]
    poorest = [len(group) - 1 for group in groups if len(group) > 1]
    for group in groups:
        seeds = len(group)
        if seeds == 1:
            continue
        centred = group - group.mean()
        of_seeds = images * float(np.square(centred.mean(axis=1)).sum())
        of_images = seeds * float(np.square(centred.mean(axis=0)).sum())
        left = max(0.0, float(np.square(centred).sum()) - of_seeds - of_images)
        ms_seed, ms_left = of_seeds / (seeds - 1), left / ((seeds - 1) * (images - 1))
        scale = images * seeds
        variance += max(0.0, ms_seed - ms_left) / scale
        squares += (ms_seed / scale) ** 2 / (seeds - 1)
        squares += (ms_left / scale) ** 2 / ((seeds - 1) * (images - 1))
    floor = min(poorest or least)
    return variance, max(variance**2 / squares, floor) if squares > 0 else floor


def half_width(variance: float, df: float) -> float:
    return float(stats.t.ppf(0.975, df)) * math.sqrt(variance)


def accuracy_interval(right: np.ndarray) -> tuple[list[float], str]:
    """95 % interval of the mean accuracy, and the name of its method."""
    seeds, images = right.shape
    if seeds == 1 or right.all() or not right.any():
        found = stats.binomtest(int(right[0].sum()), images).proportion_ci(method="wilson")
        return [float(found.low), float(found.high)], "Wilson"
    mean, half = float(right.mean()), half_width(*crossed(right.astype(float)))
    return [max(0.0, mean - half), min(1.0, mean + half)], "crossed seeds x images"


def tested(a: np.ndarray, b: np.ndarray) -> Tested:
    variance, df = crossed(a.astype(float), -b.astype(float))
    difference, error = float(a.mean() - b.mean()), math.sqrt(variance)
    p_value = 1.0 if difference == 0 else 0.0 if error == 0 else 2 * float(stats.t.sf(abs(difference) / error, df))
    ratio, bounds = None, None
    wrong = [1.0 - a, 1.0 - b]
    if all(errors.any() for errors in wrong):
        relative = [errors / errors.mean() for errors in wrong]
        spread, ratio_df = crossed(relative[0], -relative[1])
        if spread * a.shape[1] >= 1e-9:  # else the two made the same mistakes
            ratio = math.log(wrong[0].mean() / wrong[1].mean())
            half = half_width(spread, ratio_df)
            bounds = (ratio - half, ratio + half)
    return Tested(difference, error, df, p_value, ratio, bounds, min(len(a), len(b)) > 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The k-th smallest of m, times m - k + 1, never below the one before; at most 1."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def equivalence(pair: Tested, images: int) -> float:
    """The larger of the two one-sided p-values, never below the chance to miss a difference of the margin."""
    if pair.error == 0:
        p_value = float(abs(pair.difference) >= MARGIN)
    else:
        lower = stats.t.sf((pair.difference + MARGIN) / pair.error, pair.df)
        upper = stats.t.cdf((pair.difference - MARGIN) / pair.error, pair.df)
        p_value = float(max(lower, upper))
    return max(p_value, (1 - MARGIN) ** images)


def superiority(a: np.ndarray, b: np.ndarray) -> tuple[float, list[float]]:
    """Share of pairs of seeds that a wins, equal ones half, and Newcombe's score interval (2006, method 5)."""
    m, n = len(a), len(b)
    share = float(stats.mannwhitneyu(a.sum(axis=1), b.sum(axis=1), method="asymptotic").statistic) / (m * n)
    z2 = float(stats.norm.ppf(0.975)) ** 2

    def excess(truth: float) -> float:
        spread = 1 + ((m + n) / 2 - 1) * ((1 - truth) / (2 - truth) + truth / (1 + truth))
        return float((share - truth) ** 2 - z2 * truth * (1 - truth) * spread / (m * n))

    low = optimize.brentq(excess, 0.0, share, xtol=1e-15) if share > 0 and excess(share) < 0 else 0.0
    high = optimize.brentq(excess, share, 1.0, xtol=1e-15) if share < 1 and excess(share) < 0 else 1.0
    if share in (0.0, 1.0):  # the curve touches zero there, and crosses it once more
        other = optimize.brentq(excess, 1e-9, 1 - 1e-9, xtol=1e-15)
        low, high = (other, 1.0) if share == 1.0 else (0.0, other)
    return share, [float(low), float(high)]
