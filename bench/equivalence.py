"""What two families' answers say beyond which is better: are they as good as equal, and how often does one win?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.certainty import MARGIN
from bench.errors import ShapeError
from bench.statistics import Comparison, Correct, t_quantile

STEPS = 60  # of a bisection: to the last digit of a float


@dataclass(frozen=True)
class Superiority:
    """How often one more run of a has more of these test images right than one more run of b.

    `probability` is the share of pairs, a seed of a and a seed of b, in which a does; equal ones count half. `ci95` is
    about the seeds alone: the test images are those that there are.
    """

    probability: float
    ci95: tuple[float, float]


def equivalence(found: Comparison, images: int, margin: float = MARGIN) -> float:
    """P-value of two one-sided tests (TOST, Schuirmann 1987): below 5 %, a and b differ by less than the margin.

    Where their answers hardly ever differ, the t-test sees hardly any variance. A true difference of the margin shows
    on at least that share of images, and on none of n with probability (1 - margin)^n: p is never below it.

    Args:
        found: the comparison of a and b.
        images: how many it rests on.
        margin: difference of accuracies that is as good as none, in (0, 1).

    Raises:
        ShapeError: the margin is no share between 0 and 1.
    """
    from scipy import special

    if not 0 < margin < 1:
        raise ShapeError(f"A margin is a difference of accuracies between 0 and 1, not {margin!r}.")
    beyond = abs(found.difference) - margin  # the nearer of the two bounds is the one that decides
    if found.standard_error == 0:
        p_value = 0.0 if beyond < 0 else 1.0
    else:
        p_value = float(special.stdtr(found.df, beyond / found.standard_error))
    return max(p_value, float((1 - margin) ** images))


def superiority(a: Correct, b: Correct) -> Superiority:
    """P(A > B) of Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks", over all pairs of
    seeds (theirs pairs them one to one, which needs common seeds): the statistic of Mann and Whitney over its maximum.

    The interval inverts the score test of Newcombe 2006, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic", part 2, method 5. Two seeds say little: (0.39 to 1) where both win.

    Args:
        a, b: bool, shapes (seeds of a, images) and (seeds of b, images).

    Raises:
        ShapeError: one of them has a single seed, which does not show how seeds differ, or images are not the same.
    """
    (m, images), (n, others) = a.shape, b.shape
    if min(m, n) < 2 or images != others:
        raise ShapeError(f"Both need two seeds or more on the same images, not shapes {a.shape} and {b.shape}.")
    right_a, right_b = a.sum(axis=1), b.sum(axis=1)
    won = float((right_a[:, None] > right_b[None, :]).sum()) + float((right_a[:, None] == right_b[None, :]).sum()) / 2
    share = won / (m * n)
    z2, mean = t_quantile(math.inf) ** 2, (m + n) / 2

    def outside(truth: float) -> bool:
        spread = 1 + (mean - 1) * ((1 - truth) / (2 - truth) + truth / (1 + truth))
        return bool((share - truth) ** 2 > z2 * truth * (1 - truth) * spread / (m * n))

    return Superiority(share, (_boundary(outside, 0.0, share), _boundary(outside, 1.0, share)))


def _boundary(outside: Callable[[float], bool], out: float, inside: float) -> float:
    """Where `outside` changes between two points; `inside` where it does not change."""
    for _ in range(STEPS):
        middle = (out + inside) / 2
        out, inside = (middle, inside) if outside(middle) else (out, middle)
    return inside
