"""Where a configuration lies in the space that was searched, and how to widen a range that may be too narrow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from bench.frozen import words
from bench.space import Value

NEAR = 0.02  # of the range: a sampler of real numbers seldom gives the bound itself
WIDER = 2.0  # a logarithmic range becomes so many times as long at that end, any other half as long again


@dataclass(frozen=True)
class Placed:
    """One parameter of a configuration.

    Attributes:
        searched: the range, in words.
        edge: at which end of it the value lies, or None.
        wider: 'name=low:high' or 'name=a,b,c' to give to --range; None where there is no edge.
    """

    name: str
    value: Value
    searched: str
    edge: Literal["lowest", "highest"] | None
    wider: str | None


def place(space: Mapping[str, Any], params: Mapping[str, Value]) -> tuple[Placed, ...]:
    """Every parameter of a configuration against its range, in the configuration's order.

    A range of two values has no inside, and a natural limit no outside: 0 where nothing is negative, 1 of whole numbers
    (a count), 1 of shares. None of those is called an edge.

    Args:
        space: as `SearchSpace.describe` gives it.
    """
    return tuple(_place(name, value, space.get(name)) for name, value in params.items())


def _place(name: str, value: Value, described: Any) -> Placed:
    if described is None:
        return Placed(name, value, "not searched", None, None)
    edge, wider = None, None
    domain = described.get("domain", described)
    if not isinstance(value, (str, bool)):
        if "choice" in domain:
            edge, wider = _of_options(float(value), domain["choice"])
        elif "fixed" not in domain:
            kind = "int" if "int" in domain else "float"
            edge, wider = _of_range(float(value), *domain[kind], whole=kind == "int", log=domain["log"])
    return Placed(name, value, words(described), edge, f"{name}={wider}" if wider else None)


Found = tuple[Literal["lowest", "highest"] | None, str | None]


def _of_range(value: float, low: float, high: float, *, whole: bool, log: bool) -> Found:
    if high - low < (2 if whole else 1e-12):
        return None, None
    at, start, end = (math.log(number) if log else number for number in (value, low, high))
    share = (at - start) / (end - start)
    reach = 0.0 if whole else NEAR
    least = _least(low, whole)
    if share <= reach and low > least:
        lower = low / WIDER if log else low - (high - low) / 2
        lower = max(math.floor(lower) if whole else lower, least)
        return "lowest", f"{_text(lower, whole)}:{_text(high, whole)}"
    if share >= 1 - reach:
        higher = high * WIDER if log else high + (high - low) / 2
        if whole:
            return "highest", f"{_text(low, whole)}:{math.ceil(higher)}"
        higher = _within(higher, low, high)
        return ("highest", f"{_text(low)}:{_text(higher)}") if higher > high else (None, None)
    return None, None


def _of_options(value: float, options: Sequence[Value]) -> Found:
    """Numbers alone have an edge. The option to add goes on by their ratio where that is one, else by a difference."""
    numbers = sorted(float(o) for o in options if isinstance(o, (int, float)) and not isinstance(o, bool))
    if len(numbers) < max(3, len(options)):
        return None, None
    ratios = [b / a for a, b in pairwise(numbers)] if numbers[0] > 0 else []
    by_ratio = bool(ratios) and max(ratios) - min(ratios) < 1e-9
    whole = all(isinstance(option, int) for option in options)
    first, second, before, last = numbers[0], numbers[1], numbers[-2], numbers[-1]
    if value == last:
        higher = last * last / before if by_ratio else last + last - before
        higher = _within(higher, first, last) if higher >= 1 and not whole else higher
        return ("highest", _list([*numbers, higher], whole)) if higher > last else (None, None)
    if value == first:
        lower = first * first / second if by_ratio else first - (second - first)
        lower = math.floor(lower) if whole else lower
        if lower >= 1 or (not whole and lower > 0) or first < 0:
            return "lowest", _list([lower, *numbers], whole)
    return None, None


def _least(low: float, whole: bool) -> float:
    """What no lower bound goes below, where nothing is negative."""
    return -math.inf if low < 0 else 1 if whole else 0.0


def _within(higher: float, low: float, high: float) -> float:
    """An upper bound; where all are shares never beyond 1, and half of the way to it at most."""
    return min(higher, (1 + high) / 2) if low >= 0 and high <= 1 else higher


def _list(numbers: Sequence[float], whole: bool) -> str:
    return ",".join(_text(number, whole) for number in numbers)


def _text(number: float, whole: bool = False) -> str:
    return str(round(number)) if whole else f"{number:.6g}"
