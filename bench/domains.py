"""What one parameter may be: a range, a choice, a condition on another parameter, or a fixed value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import SpaceError

Value = int | float | str | bool


@dataclass(frozen=True)
class Int:
    """Whole numbers from low to high, both included; `log` spreads them evenly in log(value)."""

    low: int
    high: int
    log: bool = False

    def problems(self) -> list[str]:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int):
                return [f"bounds must be whole numbers, not {bound!r}"]
        return _range_problems(self.low, self.high, self.log)

    def contains(self, value: Value) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def at(self, share: float) -> int:
        """The value below which this share of the range lies; `share` in [0, 1]."""
        # Half a unit more at both ends, so that the bounds are as likely as what lies between.
        low, high = self.low - 0.5, self.high + 0.5
        value = low * (high / low) ** share if self.log else low + (high - low) * share
        return self.nearest(round(value))

    def nearest(self, value: Value) -> int:
        return min(max(int(number_of(value)), self.low), self.high)


@dataclass(frozen=True)
class Float:
    """Real numbers from low to high, both included; `log` spreads them evenly in log(value)."""

    low: float
    high: float
    log: bool = False

    def problems(self) -> list[str]:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not math.isfinite(bound):
                return [f"bounds must be finite numbers, not {bound!r}"]
        return _range_problems(self.low, self.high, self.log)

    def contains(self, value: Value) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high

    def at(self, share: float) -> float:
        """The value below which this share of the range lies; `share` in [0, 1]."""
        value = self.low * (self.high / self.low) ** share if self.log else self.low + (self.high - self.low) * share
        return self.nearest(value)

    def nearest(self, value: Value) -> float:
        return min(max(number_of(value), float(self.low)), float(self.high))


class Choice:
    """One of the options given: strings, numbers or booleans."""

    def __init__(self, *options: Value) -> None:
        self.options = options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and self.options == other.options

    def __hash__(self) -> int:
        return hash(self.options)

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.options))})"

    def problems(self) -> list[str]:
        if not self.options:
            return ["a choice needs at least one option"]
        bad = [option for option in self.options if not isinstance(option, (str, int, float, bool))]
        if bad:
            return [f"options must be strings, numbers or booleans, not {bad[0]!r}"]
        if len({(type(option), option) for option in self.options}) < len(self.options):
            return [f"options repeat: {', '.join(map(repr, self.options))}"]
        return []

    def contains(self, value: Value) -> bool:
        return any(type(value) is type(option) and value == option for option in self.options)

    def at(self, share: float) -> Value:
        """The options side by side over [0, 1], each as wide as the others."""
        return self.options[min(int(share * len(self.options)), len(self.options) - 1)]

    def nearest(self, value: Value) -> Value:
        return value if self.contains(value) else self.options[0]


Domain = Int | Float | Choice


@dataclass(frozen=True)
class When:
    """A domain that is active only while `parent` (declared before it) has one of `values`."""

    parent: str
    values: tuple[Value, ...]
    domain: Domain


@dataclass(frozen=True)
class Fixed:
    """A parameter that is no longer searched: `--set name=value`."""

    value: Value


def describe(declared: Domain | When | Fixed) -> dict[str, Any]:
    """A JSON-ready description, the same for equal declarations."""
    if isinstance(declared, When):
        return {"when": declared.parent, "in": list(declared.values), "domain": describe(declared.domain)}
    if isinstance(declared, Fixed):
        return {"fixed": declared.value}
    if isinstance(declared, Choice):
        return {"choice": list(declared.options)}
    kind = "int" if isinstance(declared, Int) else "float"
    return {kind: [declared.low, declared.high], "log": declared.log}


def restored(described: Mapping[str, Any]) -> Domain | When | Fixed:
    """What `describe` described."""
    if "when" in described:
        domain: Any = restored(described["domain"])
        return When(described["when"], tuple(described["in"]), domain)
    if "fixed" in described:
        return Fixed(described["fixed"])
    if "choice" in described:
        return Choice(*described["choice"])
    low, high = described.get("int") or described["float"]
    return Int(low, high, described["log"]) if "int" in described else Float(low, high, described["log"])


def number_of(value: Value) -> float:
    """Raises SpaceError: the value is text."""
    if isinstance(value, str):
        raise SpaceError("The configuration is not usable:", [f"a number is needed, not {value!r}"])
    return float(value)


def _range_problems(low: float, high: float, log: bool) -> list[str]:
    problems = []
    if low > high:
        problems.append(f"low must not exceed high, but {low!r} > {high!r}; swap them")
    if log and low <= 0:
        problems.append(f"a log range needs low > 0, not {low!r}")
    return problems
