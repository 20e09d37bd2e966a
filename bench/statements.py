"""Sentences about two families, held against their stored comparison: supported, not resolved, or contradicted.

A sentence is judged by the numbers and corrections that a leaderboard shows, so that the two cannot disagree. Pure,
and the standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from bench.certainty import ALPHA, MARGIN
from bench.errors import UsageError
from bench.records import Final
from bench.verdicts import Duels

Verdict = Literal["supported", "not resolved", "contradicted"]
Kind = Literal["better", "at least", "reduces", "equivalent"]
AROUND = 0.05  # 'by 50 %' is read as by 45 to 55 %
NAME = r"['\"]?(?P<{}>[^\s'\"]+)['\"]?"
A, B = NAME.format("a"), NAME.format("b")
PERCENT = r"(?P<percent>\d+(?:\.\d+)?) ?(?:%|percent)"
FORMS: dict[str, tuple[Kind, str]] = {
    "A is better than B": ("better", rf"{A} (?:is better than|beats) {B}"),
    "A halves the error of B": ("at least", rf"{A} halves the errors? of {B}"),
    "A reduces the error of B by at least 40 %": (
        "at least",
        rf"{A} (?:reduces|cuts) the errors? of {B} by at least {PERCENT}",
    ),
    "A reduces the error of B by 40 %": (
        "reduces",
        rf"{A} (?:reduces|cuts) the errors? of {B} by (?:about )?{PERCENT}",
    ),
    "A and B are equivalent": ("equivalent", rf"{A} (?:and {B} are equivalent|is equivalent to {NAME.format('c')})"),
}


@dataclass(frozen=True)
class Statement:
    """What a sentence says of family a against family b; `amount` is an error reduction, as a fraction."""

    kind: Kind
    a: str
    b: str
    amount: float = 0.0


@dataclass(frozen=True)
class Judged:
    """A verdict, why, and the strongest wording that the results bear out, be it of a or of b."""

    verdict: Verdict
    why: str
    strongest: str


def parse(text: str) -> Statement:
    """Read a sentence.

    Raises:
        UsageError: it has none of the known forms, which are listed, or names one family twice.
    """
    for kind, pattern in FORMS.values():
        found = re.fullmatch(rf"\s*{pattern}\.?\s*", text, re.IGNORECASE)
        if found:
            said = found.groupdict()
            percent = float(said.get("percent") or 50.0)
            other = (said["b"] or said["c"]).rstrip(".")
            if said["a"] == other:
                raise UsageError(f"{text!r} is about {other} alone; a sentence is about two families.")
            return Statement(kind, said["a"], other, percent / 100 if kind in ("at least", "reduces") else 0.0)
    raise UsageError(f"{text!r} is no sentence that can be checked. Forms: {'; '.join(FORMS)}.")


def judge(statement: Statement, a: Final, b: Final, duels: Duels) -> Judged:
    """Hold a statement against the stored comparison of its families' finals."""
    pair, sign = duels.pair(a, b)
    if pair is None or pair["p_holm"] is None:
        why = "no comparison is stored" if pair is None else "one seed says nothing of how seeds differ"
        return Judged(
            "not resolved", f"Not tested: {why}.", f"Nothing is known of {statement.a} against {statement.b}."
        )
    found = _Found.of(pair, sign, duels.better(a, b), duels.better(b, a))
    verdict, why = CHECKS[statement.kind](statement, found)
    return Judged(verdict, why, _strongest(statement, found))


@dataclass(frozen=True)
class _Found:
    """What is stored of a against b. `reduction` is 1 - E_a / E_b with its bounds, None where undefined."""

    difference: float
    low: float
    high: float
    p_holm: float
    better: bool
    worse: bool
    p_equivalence: float | None
    reduction: tuple[float, float, float] | None

    @classmethod
    def of(cls, pair: Mapping[str, Any], sign: int, better: bool, worse: bool) -> _Found:
        low, high = sorted(sign * bound for bound in pair["ci95"])
        reduction = None
        if pair["log_ratio"] is not None:
            least, most = sorted(sign * bound for bound in pair["log_ratio_ci95"])
            reduction = 1 - math.exp(sign * pair["log_ratio"]), 1 - math.exp(most), 1 - math.exp(least)
        equivalence = pair["p_equivalence_holm"]
        return cls(sign * pair["difference"], low, high, pair["p_holm"], better, worse, equivalence, reduction)

    @property
    def equivalent(self) -> bool:
        return self.p_equivalence is not None and self.p_equivalence < ALPHA

    def turned(self) -> _Found:
        """b against a."""
        reduction = None
        if self.reduction is not None:
            value, low, high = (1 - 1 / (1 - bound) for bound in self.reduction)
            reduction = value, high, low
        return replace(
            self, difference=-self.difference, low=-self.high, high=-self.low, better=self.worse, worse=self.better,
            reduction=reduction,
        )  # fmt: skip


def _check_better(statement: Statement, found: _Found) -> tuple[Verdict, str]:
    verdict: Verdict = "supported" if found.better else "contradicted" if found.worse else "not resolved"
    return verdict, (
        f"{statement.a} is {_points(found.difference)} points more accurate than {statement.b} "
        f"({_points(found.low)} to {_points(found.high)}), {_p(found.p_holm)} after Holm."
    )


def _check_reduction(statement: Statement, found: _Found) -> tuple[Verdict, str]:
    if found.reduction is None:
        return "not resolved", "There are too few errors for a reduction, or both make the same."
    value, low, high = found.reduction
    least, most = statement.amount, math.inf
    if statement.kind == "reduces":
        least, most = statement.amount - AROUND, statement.amount + AROUND
    verdict: Verdict = "not resolved"
    # The interval is of one comparison, and may hold no reduction at all: better says that there is one, after Holm.
    if found.better and least <= low and high <= most:
        verdict = "supported"
    # Where no difference is resolved, none at all may be the truth: too large an estimate contradicts nothing.
    elif found.worse or high < least or (found.better and low > most):
        verdict = "contradicted"
    asked = f"{_percent(least)} or more" if most == math.inf else f"{_percent(least)} to {_percent(most)}"
    # Bounds are rounded outwards: none shall seem to reach what was asked that does not.
    bounds = f"{_percent(low, math.floor)} to {_percent(high, math.ceil)}"
    return verdict, (
        f"{statement.a} makes {_percent(value)} fewer errors than {statement.b} ({bounds}); "
        f"asked: {asked}; {_p(found.p_holm)} after Holm."
    )


def _check_equivalent(statement: Statement, found: _Found) -> tuple[Verdict, str]:
    verdict: Verdict = "not resolved"
    if found.equivalent:
        verdict = "supported"
    elif (found.better and found.low > MARGIN) or (found.worse and found.high < -MARGIN):
        verdict = "contradicted"
    return verdict, (
        f"{statement.a} and {statement.b} differ by {_points(found.difference)} points ({_points(found.low)} to "
        f"{_points(found.high)}); equivalent means by less than {_points(MARGIN)} (TOST, {_p(found.p_equivalence)} "
        "after Holm)."
    )


CHECKS: dict[Kind, Callable[[Statement, _Found], tuple[Verdict, str]]] = {
    "better": _check_better,
    "at least": _check_reduction,
    "reduces": _check_reduction,
    "equivalent": _check_equivalent,
}


def _strongest(statement: Statement, found: _Found) -> str:
    a, b = statement.a, statement.b
    if found.worse:
        a, b, found = b, a, found.turned()
    if found.better:
        least = math.floor(100 * found.reduction[1]) if found.reduction else 0
        return f"{a} reduces the error of {b} by at least {least} %." if least > 0 else f"{a} is better than {b}."
    if found.equivalent:
        return f"{a} and {b} are equivalent: they differ by less than {_points(MARGIN)} points."
    return f"No difference between {a} and {b} is resolved."


def _percent(fraction: float, whole: Callable[[float], int] = round) -> str:
    return f"{whole(round(1000 * fraction, 6)) / 10:g} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return "not tested"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
