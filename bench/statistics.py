"""Estimates, intervals and tests for test accuracies. Imported when a result is written, never to print one.

Seeds and images are crossed random effects: every seed's model answers every image. One variance model gives intervals
and tests alike, as in multi-reader multi-case analysis (seeds are the readers, images the cases): Gallas 2006,
"One-shot estimate of MRMC variance: AUC"; Obuchowski and Rockette 1995. Degrees of freedom after Satterthwaite 1946.

In simulation (1,000 pairs of equal families, 100 errors a seed) with seeds that spread as real ones do, by sqrt(e / 2n)
to a third more, the test errs in 1 to 4 % of cases and the interval of one family covers 94.5 to 96 %, at 2, 5 and 10
seeds alike; that of a difference is cautious and covers 96 to 99 %. Two things fall short. Where seeds spread 2.5 times
as far, which `bench.seeds` flags, the test still errs in at most 5 %, but the interval of one family covers 91 % at 2
seeds: two that happen to agree hide how far they spread. Degrees of freedom that mend this leave a test that finds
nothing (it errs in 0 to 2 %), and others that find more err in 7 to 10 %. And where few errors are expected the
interval, which is symmetric, covers less: 92 to 95 % at 11 errors a seed, 86 to 90 % at 2 with five seeds or more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.errors import ShapeError

Correct = npt.NDArray[np.bool_]
CROSSED = "crossed seeds x images"
ONE_SEED = "images only (one seed)"
CONFIDENCE = 0.95
LEAST_ERRORS = 5  # expected a seed among some images, before they are tested against the others
SMALLEST = 1e-9  # a variance of errors / mean errors below this is rounding


@dataclass(frozen=True)
class Variance:
    """A variance with its Satterthwaite degrees of freedom."""

    value: float
    df: float

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.value)

    def quantile(self) -> float:
        """Two-sided 95 % quantile of Student's t."""
        return t_quantile(self.df)


@dataclass(frozen=True)
class Estimate:
    """A mean accuracy, its standard error and degrees of freedom, its 95 % interval, and what made it."""

    mean: float
    standard_error: float
    df: float
    ci95: tuple[float, float]
    method: str


@dataclass(frozen=True)
class Comparison:
    """Family a against family b on the same images.

    `difference` is mean(a) - mean(b). `log_ratio` is log(E_a / E_b) of the mean error rates, so that the error
    reduction of a against b is 1 - exp(log_ratio); None where either makes no error, or so few that the delta method
    sees no variance. `tested` is False where one of them has a single seed: its p-value knows nothing of seeds, and
    nothing is called better by it.
    """

    difference: float
    standard_error: float
    ci95: tuple[float, float]
    p_value: float
    df: float
    log_ratio: float | None
    log_ratio_ci95: tuple[float, float] | None
    tested: bool
    method: str


@dataclass(frozen=True)
class Contrast:
    """How many more errors some images get than the others.

    `tested` is False with a single seed, as in Comparison, and where fewer than LEAST_ERRORS are expected among the
    chosen images: nothing is called harder or easier then.
    """

    difference: float
    ci95: tuple[float, float]
    p_value: float
    tested: bool


@dataclass(frozen=True)
class Mean:
    """A mean of independent values with its 95 % interval, and the two-sided p-value of its being zero.

    Both are None where the values do not say how much such values differ: a single one, or several that are equal.
    """

    mean: float
    ci95: tuple[float, float] | None
    p_value: float | None


def of_mean(values: Sequence[float]) -> Mean:
    """The mean of a sample with the interval and the test of Student's t (Student 1908).

    Equal values have a variance of zero, which is no estimate of it where a few discrete ones were drawn.

    Raises:
        ShapeError: there are no values.
    """
    if len(values) == 0:
        raise ShapeError("A mean needs at least one value, not none.")
    sample = np.asarray(values, np.float64)
    mean, spread = float(sample.mean()), float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
    if spread <= SMALLEST:
        return Mean(mean, None, None)
    variance = Variance(spread**2 / len(sample), len(sample) - 1)
    half = variance.quantile() * variance.standard_error
    return Mean(mean, (mean - half, mean + half), _p_value(mean, variance, len(sample)))


def t_quantile(df: float) -> float:
    """Two-sided 95 % quantile of Student's t, or of the normal distribution where `df` is infinite."""
    from scipy import special  # a tenth of a second, where scipy.stats takes two

    upper = 0.5 + CONFIDENCE / 2
    return float(special.ndtri(upper) if math.isinf(df) else special.stdtrit(df, upper))


def estimate(correct: Correct) -> Estimate:
    """Mean accuracy over seeds and images with its 95 % interval.

    Args:
        correct: bool, shape (seeds, images).

    Raises:
        ShapeError: `correct` is empty or not two-dimensional.
    """
    seeds, images = _shape(correct)
    mean = float(correct.mean())
    if seeds == 1:
        from statsmodels.stats.proportion import proportion_confint

        low, high = proportion_confint(int(correct.sum()), images, 1 - CONFIDENCE, method="wilson")
        return Estimate(mean, math.sqrt(mean * (1 - mean) / images), math.inf, (float(low), float(high)), "Wilson")
    if correct.all() or not correct.any():
        # Without any disagreement there is no variance to estimate; one seed's Wilson interval is an honest bound.
        single = estimate(correct[:1])
        return Estimate(mean, 0.0, math.inf, single.ci95, "Wilson")
    variance = _variance([correct.astype(float)])
    half = variance.quantile() * variance.standard_error
    return Estimate(mean, variance.standard_error, variance.df, (max(0.0, mean - half), min(1.0, mean + half)), CROSSED)


def compare(a: Correct, b: Correct) -> Comparison:
    """Test whether a and b differ; both answered the same images, in the same order, each with its own seeds.

    Args:
        a, b: bool, shapes (seeds of a, images) and (seeds of b, images).

    Raises:
        ShapeError: the numbers of images differ.
    """
    (seeds_a, images), (seeds_b, images_b) = _shape(a), _shape(b)
    if images != images_b:
        raise ShapeError(f"Both families must answer the same images, but there are {images} and {images_b}.")
    tested = min(seeds_a, seeds_b) > 1
    method = CROSSED if tested else ONE_SEED
    values_a, values_b = a.astype(float), b.astype(float)
    difference = float(values_a.mean() - values_b.mean())
    variance = _variance([values_a, -values_b])
    half = variance.quantile() * variance.standard_error
    log_ratio, log_ci = _log_ratio(1 - values_a, 1 - values_b)
    return Comparison(
        difference,
        variance.standard_error,
        (max(-1.0, difference - half), min(1.0, difference + half)),
        _p_value(difference, variance, images),
        variance.df,
        log_ratio,
        log_ci,
        tested,
        method,
    )


def contrast(correct: Correct, chosen: npt.NDArray[np.bool_]) -> Contrast:
    """Error rate of the chosen images minus that of the others, all answered by the same models.

    Each image enters weighted by the share of its side, less its side's mean, so that the mean over all images is the
    difference, and their variance that of two independent samples. In simulation the test errs in 3 to 7 % of cases
    where 5 errors or more are expected among the chosen images, and in 13 % where one is.

    Args:
        correct: bool, shape (seeds, images).
        chosen: bool, shape (images,), with at least two images on either side.

    Raises:
        ShapeError: a side has fewer images, or the two lengths differ.
    """
    seeds, images = _shape(correct)
    if chosen.shape != (images,) or not 2 <= chosen.sum() <= images - 2:
        raise ShapeError(
            f"`chosen` must part {images} images into two sides of at least 2, not {chosen.sum()} of them."
        )
    errors = 1.0 - correct
    weighted = np.zeros_like(errors)
    means = {}
    for side, sign in ((chosen, 1.0), (~chosen, -1.0)):
        means[sign] = float(errors[:, side].mean())
        weighted[:, side] = sign * images / side.sum() * (errors[:, side] - means[sign])
    variance, difference = _variance([weighted]), means[1.0] - means[-1.0]
    half = variance.quantile() * variance.standard_error
    ci95 = (max(-1.0, difference - half), min(1.0, difference + half))
    tested = seeds > 1 and float(errors.mean() * chosen.sum()) >= LEAST_ERRORS
    smaller = min(int(chosen.sum()), int((~chosen).sum()))
    return Contrast(difference, ci95, _p_value(difference, variance, smaller), tested)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for their number after Holm 1979."""
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]] if p_values else []


def _log_ratio(
    errors_a: npt.NDArray[np.float64], errors_b: npt.NDArray[np.float64]
) -> tuple[float | None, tuple[float, float] | None]:
    """log(E_a / E_b) and its 95 % interval by the delta method: errors enter as e / E, to first order."""
    mean_a, mean_b = float(errors_a.mean()), float(errors_b.mean())
    if mean_a == 0 or mean_b == 0:
        return None, None
    variance = _variance([errors_a / mean_a, -errors_b / mean_b])
    if variance.value * errors_a.shape[1] < SMALLEST:
        return None, None
    ratio, half = math.log(mean_a / mean_b), variance.quantile() * variance.standard_error
    return ratio, (ratio - half, ratio + half)


def _variance(groups: Sequence[npt.NDArray[np.float64]]) -> Variance:
    """Variance of the sum of the groups' means, each of shape (own seeds, images), over the same images.

    Var = s^2_images(sum of the groups' image means) / N + sum over groups of (MS_seed - MS_residual) / (N S).
    The first term already holds the residual's share of every group, sigma^2_residual / (N S); the second adds what
    seeds move all images together, sigma^2_seed / S.
    """
    images = groups[0].shape[1]
    per_image = np.sum([group.mean(axis=0) for group in groups], axis=0)
    value = float(per_image.var(ddof=1)) / images
    spread = value**2 / (images - 1)
    for group in groups:
        seeds = group.shape[0]
        if seeds < 2:
            continue
        ms_seed, ms_residual = mean_squares(group)
        # A negative component of variance is estimated as none: the variance is never below that of the images. It
        # still costs degrees of freedom: with two seeds, none is what is often seen where there is some.
        value += max(0.0, ms_seed - ms_residual) / (images * seeds)
        spread += (ms_seed / (images * seeds)) ** 2 / (seeds - 1)
        spread += (ms_residual / (images * seeds)) ** 2 / ((seeds - 1) * (images - 1))
    # A sum has at least the degrees of freedom of its poorest part; a difference of mean squares can seem to have none.
    least = float(min((len(group) - 1 for group in groups if len(group) > 1), default=images - 1))
    return Variance(value, max(value**2 / spread, least) if spread > 0 else least)


def mean_squares(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Of the seeds and of the residual, in the two-way table of two seeds or more, shape (seeds, images)."""
    seeds, images = values.shape
    by_seed, by_image, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    residual = values - by_seed[:, None] - by_image[None, :] + mean
    ms_residual = float((residual**2).sum()) / ((seeds - 1) * (images - 1))
    return images * float(((by_seed - mean) ** 2).sum()) / (seeds - 1), ms_residual


def _p_value(difference: float, variance: Variance, values: int) -> float:
    """Where all of so many values agree there is no variance to test by, and the two-sided sign test stands in."""
    if difference == 0:
        return 1.0
    if variance.value == 0:
        return float(2.0 ** (1 - values))
    from scipy import stats

    return float(2 * stats.t.sf(abs(difference) / variance.standard_error, variance.df))


def _shape(correct: Correct) -> tuple[int, int]:
    if correct.ndim != 2 or 0 in correct.shape or correct.shape[1] < 2:
        raise ShapeError(f"`correct` needs shape (seeds, images) with at least 2 images, not {correct.shape}.")
    return correct.shape[0], correct.shape[1]
