"""Sentences about two families, held against their stored comparison: supported, not resolved, or contradicted.

A sentence is judged by the numbers and corrections that a leaderboard shows, so that the two cannot disagree. Pure,
and the standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import UsageError

Verdict = Literal["supported", "not resolved", "contradicted"]
Kind = Literal["better", "at least", "reduces", "equivalent"]
ALPHA = 0.05
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
        UsageError: it has none of the known forms, which are listed.
    """
    for kind, pattern in FORMS.values():
        found = re.fullmatch(rf"\s*{pattern}\.?\s*", text, re.IGNORECASE)
        if found:
            said = found.groupdict()
            percent = float(said.get("percent") or 50.0)
            other = (said["b"] or said["c"]).rstrip(".")
            return Statement(kind, said["a"], other, percent / 100 if kind in ("at least", "reduces") else 0.0)
    raise UsageError(f"{text!r} is no sentence that can be checked. Forms: {'; '.join(FORMS)}.")


def judge(statement: Statement, pair: Mapping[str, Any] | None, margin: float) -> Judged:
    """Hold a statement against the stored comparison of its a with its b, in that order.

    Args:
        pair: as `bench.results.compared` makes them; None where there is none.
        margin: below which a difference is called equivalent, as a fraction.
    """
    if pair is None or pair["p_holm"] is None:
        why = "no comparison is stored" if pair is None else "one seed says nothing of how seeds differ"
        return Judged(
            "not resolved", f"Not tested: {why}.", f"Nothing is known of {statement.a} against {statement.b}."
        )
    verdict, why = CHECKS[statement.kind](statement, pair, margin)
    return Judged(verdict, why, _strongest(statement, pair, margin))


def flipped(pair: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison of b with a."""

    def turned(bounds: Any) -> Any:
        return None if bounds is None else [-bounds[1], -bounds[0]]

    ratio = pair["log_ratio"]
    return {
        **pair,
        "difference": -pair["difference"],
        "ci95": turned(pair["ci95"]),
        "log_ratio": None if ratio is None else -ratio,
        "log_ratio_ci95": turned(pair["log_ratio_ci95"]),
    }


def _better(pair: Mapping[str, Any]) -> bool:
    """As `bench.ranking` calls a row better: test and interval of the reduction both say so."""
    low, high = pair["log_ratio_ci95"] or (1.0, 1.0)
    return bool(pair["p_holm"] < ALPHA and not low <= 0 <= high and pair["difference"] > 0)


def _check_better(statement: Statement, pair: Mapping[str, Any], margin: float) -> tuple[Verdict, str]:
    verdict: Verdict = "supported" if _better(pair) else "contradicted" if _better(flipped(pair)) else "not resolved"
    low, high = pair["ci95"]
    return verdict, (
        f"{statement.a} is {_points(pair['difference'])} points more accurate than {statement.b} "
        f"({_points(low)} to {_points(high)}), {_p(pair['p_holm'])} after Holm."
    )


def _check_reduction(statement: Statement, pair: Mapping[str, Any], margin: float) -> tuple[Verdict, str]:
    found = _reduction(pair)
    if found is None:
        return "not resolved", "There are too few errors for a reduction."
    value, low, high = found
    least = statement.amount
    most = math.inf
    if statement.kind == "reduces":
        least, most = statement.amount - AROUND, statement.amount + AROUND
    verdict: Verdict = "not resolved"
    if least <= low and high <= most:
        verdict = "supported"
    elif high < least or low > most:
        verdict = "contradicted"
    asked = f"{_percent(least)} or more" if most == math.inf else f"{_percent(least)} to {_percent(most)}"
    return verdict, (
        f"{statement.a} makes {_percent(value)} fewer errors than {statement.b} ({_percent(low)} to {_percent(high)}); "
        f"asked: {asked}."
    )


def _check_equivalent(statement: Statement, pair: Mapping[str, Any], margin: float) -> tuple[Verdict, str]:
    low, high = pair["ci95"]
    verdict: Verdict = "not resolved"
    if _equivalent(pair):
        verdict = "supported"
    elif low > margin or high < -margin:
        verdict = "contradicted"
    return verdict, (
        f"{statement.a} and {statement.b} differ by {_points(pair['difference'])} points ({_points(low)} to "
        f"{_points(high)}); equivalent means by less than {_points(margin)} (TOST, {_p(pair['p_equivalence_holm'])} "
        "after Holm)."
    )


CHECKS: dict[Kind, Callable[[Statement, Mapping[str, Any], float], tuple[Verdict, str]]] = {
    "better": _check_better,
    "at least": _check_reduction,
    "reduces": _check_reduction,
    "equivalent": _check_equivalent,
}


def _strongest(statement: Statement, pair: Mapping[str, Any], margin: float) -> str:
    a, b = statement.a, statement.b
    if _better(flipped(pair)):
        a, b, pair = b, a, flipped(pair)
    if _better(pair):
        found = _reduction(pair)
        least = math.floor(100 * found[1]) if found else 0
        return f"{a} reduces the error of {b} by at least {least} %." if least > 0 else f"{a} is better than {b}."
    if _equivalent(pair):
        return f"{a} and {b} are equivalent: they differ by less than {_points(margin)} points."
    return f"No difference between {a} and {b} is resolved."


def _equivalent(pair: Mapping[str, Any]) -> bool:
    p_value = pair["p_equivalence_holm"]
    return p_value is not None and bool(p_value < ALPHA)


def _reduction(pair: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """1 - E_a / E_b and its bounds."""
    if pair["log_ratio"] is None:
        return None
    low, high = pair["log_ratio_ci95"]
    return 1 - math.exp(pair["log_ratio"]), 1 - math.exp(high), 1 - math.exp(low)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _p(value: float | None) -> str:
    if value is None:
        return "not tested"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
