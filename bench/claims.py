"""The notebook's claims, checked one by one: a verdict, the sentences behind it, and the numbers behind those.

A claim is supported or contradicted only where the data resolve it (5 %, Holm-corrected where several questions are
asked at once); else it is not resolved. Pure: from answers that are stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench import statistics
from bench.mistakes import class_errors
from bench.statistics import Comparison, Correct

Verdict = Literal["supported", "not resolved", "contradicted"]
ALPHA = 0.05
CLASSES = 10
WEAK = (4, 5, 8)  # the digits that the notebook names
ALMOST_HALF = (0.40, 0.50)  # what "almost 50 %" can mean, read generously
Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Claim:
    """`numbers` is ready for JSON: accuracies, error rates and reductions as fractions."""

    claim: str
    verdict: Verdict
    says: tuple[str, ...]
    numbers: Mapping[str, Any]


def reduction(comparison: Comparison) -> tuple[float, tuple[float, float]] | None:
    """1 - E_a / E_b of a comparison of a with b, with its 95 % interval; None where it is undefined."""
    if comparison.log_ratio is None or comparison.log_ratio_ci95 is None:
        return None
    low, high = comparison.log_ratio_ci95
    return 1 - math.exp(comparison.log_ratio), (1 - math.exp(high), 1 - math.exp(low))


def weak_classes(predicted: Labels, labels: Labels) -> Claim:
    """'The dense model is weak on 4, 5 and 8': does each of them get more errors than the rest of the images?

    Ten classes are ten questions, so the p-values are Holm's. Supported: all three named are resolved to be harder;
    contradicted: one of them is resolved to be easier.

    Args:
        predicted: the dense model's answers, shape (seeds, images).
        labels: in [0, 10), each there at least twice, shape (images,).
    """
    mlp, classes = predicted == labels, range(CLASSES)
    rates = class_errors(labels, predicted, CLASSES)
    found = [statistics.contrast(mlp, labels == c) for c in classes]
    tested = [c for c, one in zip(classes, found, strict=True) if one.tested]
    adjusted = dict(zip(tested, statistics.holm([one.p_value for one in found if one.tested]), strict=True))
    rows: list[dict[str, Any]] = []
    for c, one in zip(classes, found, strict=True):
        rows.append(
            {
                "class": c,
                "error": rates[c].rate,
                "error_ci95": list(rates[c].ci95 or ()),
                "against_rest": one.difference,
                "against_rest_ci95": list(one.ci95),
                "p_holm": adjusted.get(c),
            }
        )
    rows.sort(key=lambda row: (-row["error"], row["class"]))
    harder = sorted(row["class"] for row in rows if _sign(row["against_rest"], row["p_holm"]) > 0)
    easier = sorted(row["class"] for row in rows if _sign(row["against_rest"], row["p_holm"]) < 0)
    verdict = _verdict([1 if c in harder else -1 if c in easier else 0 for c in WEAK])
    together = statistics.contrast(mlp, np.isin(labels, WEAK))
    order = [row["class"] for row in rows]
    says = [
        f"The classes that mlp errs on most are {_and(order[:3])}; {_and(WEAK)} come "
        f"{_and([_ordinal(order.index(c) + 1) for c in WEAK])} of {len(order)}.",
        f"Resolved to be harder than the rest: {_and(harder) or 'none'}; easier: {_and(easier) or 'none'} "
        f"({len(tested)} classes tested, Holm-corrected).",
        f"Taken together {_and(WEAK)} get {_points(together.difference)} points more errors than the others "
        f"({_points(together.ci95[0])} to {_points(together.ci95[1])}).",
    ]
    if len(tested) < len(classes):
        says.append("Classes with too few errors, or a single seed, are not tested.")
    numbers = {
        "classes": rows,
        "harder": harder,
        "easier": easier,
        "together": {"against_rest": together.difference, "against_rest_ci95": list(together.ci95)},
    }
    return Claim(f"The dense model is weak on {_and(WEAK)}.", verdict, tuple(says), numbers)


def dropout_helps(mlp: Correct, dropout: Correct, labels: Labels) -> Claim:
    """'Dropout fixes some of it': fewer errors, on the whole and on the images of 4, 5 and 8 together.

    Two questions, Holm-corrected, both from the comparison on the same images. Supported: both resolved to be fewer;
    contradicted: one resolved to be more. The three classes one by one are numbers only, corrected among themselves.
    """
    weak = np.isin(labels, WEAK)
    parts = {"all images": np.ones(len(labels), bool), f"images of {_and(WEAK)}": weak}
    compared = {name: statistics.compare(dropout[:, part], mlp[:, part]) for name, part in parts.items()}
    rows = _compared(compared)
    says = []
    for name, row in rows.items():
        change = _change(row["error_reduction"], row["error_reduction_ci95"])
        low, high = row["difference_ci95"]
        points = f"accuracy changes by {100 * row['difference']:+.2f} points ({_points(low)} to {_points(high)})"
        says.append(f"On {name}: {points}, {_p(row['p_holm'])}; {change}.")
    by_class = {
        str(c): statistics.compare(dropout[:, labels == c], mlp[:, labels == c])
        for c in WEAK
        if (labels == c).sum() > 1
    }
    singly = _compared(by_class)
    rates = {
        name: {"mlp": 1 - float(mlp[:, labels == int(name)].mean()), **row}
        | {"mlp_dropout": 1 - float(dropout[:, labels == int(name)].mean())}
        for name, row in singly.items()
    }
    for name, row in rates.items():
        says.append(
            f"Errors on {name}: {_points(row['mlp'])} % without dropout, {_points(row['mlp_dropout'])} % with it, "
            f"{_p(row['p_holm'])}."
        )
    verdict = _verdict([_fewer(row) for row in rows.values()])
    return Claim("Dropout fixes some of it.", verdict, tuple(says), {"parts": rows, "classes": rates})


def halves_error(comparison: Comparison) -> Claim:
    """'The CNN cuts the error by almost 50 %': where does the interval of cnn's reduction against mlp lie?

    Read as 40 to 50 %. Supported: the whole interval lies in it; contradicted: no part of it does.
    """
    found = reduction(comparison)
    claim = "The CNN cuts the error by almost 50 %."
    numbers: dict[str, Any] = {"read_as": list(ALMOST_HALF), "p_value": comparison.p_value}
    if found is None or not comparison.tested:
        equal = "There are too few errors to say, or both make the same."
        why = equal if found is None else "One seed says nothing of how seeds differ."
        return Claim(claim, "not resolved", (why,), {**numbers, "error_reduction": found and found[0]})
    value, (low, high) = found
    verdict: Verdict = "not resolved"
    if ALMOST_HALF[0] <= low and high <= ALMOST_HALF[1]:
        verdict = "supported"
    elif high < ALMOST_HALF[0] or low > ALMOST_HALF[1]:
        verdict = "contradicted"
    where = {
        "supported": "all of the interval lies within",
        "contradicted": f"all of the interval lies {'above' if low > ALMOST_HALF[1] else 'below'}",
        "not resolved": "part of the interval lies outside",
    }[verdict]
    read = " to ".join(f"{100 * bound:.0f}" for bound in ALMOST_HALF)
    says = (f"Against mlp {_change(value, (low, high))}; {where} {read} %, which 'almost 50 %' is read as.",)
    return Claim(claim, verdict, says, {**numbers, "error_reduction": value, "error_reduction_ci95": [low, high]})


def _compared(compared: Mapping[str, Comparison]) -> dict[str, dict[str, Any]]:
    """Name -> numbers of a comparison, p-values adjusted among those that are tested."""
    tested = [name for name, one in compared.items() if one.tested]
    adjusted = dict(zip(tested, statistics.holm([compared[name].p_value for name in tested]), strict=True))
    rows = {}
    for name, one in compared.items():
        found = reduction(one)
        rows[name] = {
            "difference": one.difference,
            "difference_ci95": list(one.ci95),
            "error_reduction": found[0] if found else None,
            "error_reduction_ci95": list(found[1]) if found else None,
            "p_holm": adjusted.get(name),
        }
    return rows


def _sign(difference: float, p_value: float | None) -> int:
    """1 or -1 for a resolved difference, else 0."""
    if p_value is None or p_value >= ALPHA:
        return 0
    return 1 if difference > 0 else -1


def _fewer(row: Mapping[str, Any]) -> int:
    """As `_sign`, where the interval of the reduction says it too; with few errors the two may disagree."""
    low, high = row["error_reduction_ci95"] or (1.0, 1.0)
    return 0 if low <= 0 <= high else _sign(row["difference"], row["p_holm"])


def _verdict(signs: Sequence[int]) -> Verdict:
    """Of a claim with several parts: each holds (1), is open (0), or the opposite holds (-1)."""
    return "contradicted" if -1 in signs else "supported" if all(signs) else "not resolved"


def _change(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None or bounds is None:
        return "too few errors, or the same, for a reduction"
    word = "fewer" if value >= 0 else "more"
    low, high = (bounds[0], bounds[1]) if value >= 0 else (-bounds[1], -bounds[0])
    return f"{100 * abs(value):.1f} % {word} errors ({100 * low:.1f} to {100 * high:.1f})"


def _p(value: float | None) -> str:
    if value is None:
        return "not tested"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _and(items: Sequence[object]) -> str:
    *some, last = map(str, items or [""])
    return f"{', '.join(some)} and {last}" if some else last


def _ordinal(number: int) -> str:
    return f"{number}{'th' if 10 <= number % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
