"""Search spaces: declared once, walked in order by every engine.

Bounds are inclusive. A wrong space is reported with all its problems at once, not one by one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.domains import Choice, Domain, Fixed, Float, Int, Value, When, describe, number_of, restored
from bench.errors import SpaceError, did_you_mean

__all__ = [
    "Choice",
    "Config",
    "Domain",
    "Fixed",
    "Float",
    "Int",
    "SearchSpace",
    "Value",
    "When",
    "fingerprint",
    "restore",
]

Config = dict[str, Value]


class SearchSpace:
    """An ordered mapping of parameter names to domains.

    Args:
        domains: name -> Int, Float, Choice or When. A `When` names a parameter declared above it.
        narrowed: made of a space that was declared, so that a condition may never hold; else that is a slip.

    Raises:
        SpaceError: naming every problem of the space.
    """

    def __init__(self, domains: Mapping[str, Domain | When | Fixed], narrowed: bool = False) -> None:
        self.domains: dict[str, Domain | When | Fixed] = dict(domains)
        problems = _space_problems(self.domains, narrowed)
        if problems:
            raise SpaceError("The search space is not usable:", problems)

    def __contains__(self, name: str) -> bool:
        return name in self.domains

    def walk(self, ask: Callable[[str, Domain], Value]) -> Config:
        """Ask for every active parameter in order; inactive ones are left out of the result."""
        config: Config = {}
        for name, declared in self.domains.items():
            if isinstance(declared, Fixed):
                config[name] = declared.value
            elif isinstance(declared, When):
                if config.get(declared.parent) in declared.values:
                    config[name] = ask(name, declared.domain)
            else:
                config[name] = ask(name, declared)
        return config

    def nearest(self, config: Mapping[str, Value]) -> Config:
        """The point of this space nearest to `config`: values outside a range move to its edge.

        An active parameter that has no value there takes the middle of its range, or the first of its options.
        """

        def ask(name: str, domain: Domain) -> Value:
            if name in config:
                return domain.nearest(config[name])
            return domain.options[0] if isinstance(domain, Choice) else domain.at(0.5)

        return self.walk(ask)

    def problems_of(self, config: Mapping[str, Value]) -> list[str]:
        """What is wrong with a configuration: missing, inactive, unknown or out-of-range parameters."""
        problems: list[str] = []
        seen: Config = {}

        def ask(name: str, domain: Domain) -> Value:
            if name not in config:
                problems.append(f"{name!r} is active but has no value; give one in {domain}")
                return domain.options[0] if isinstance(domain, Choice) else domain.low
            if not domain.contains(config[name]):
                problems.append(f"{name!r} must lie in {domain}, not {config[name]!r}")
            return config[name]

        seen = self.walk(ask)
        for name in config:
            if name not in self.domains:
                problems.append(f"{name!r} is no parameter of this space.{did_you_mean(name, self.domains)}")
            elif name not in seen:
                problems.append(f"{name!r} is not active in this configuration; leave it out")
        return problems

    def override(
        self, fixed: Mapping[str, object] | None = None, ranges: Mapping[str, object] | None = None
    ) -> SearchSpace:
        """A copy with parameters fixed (`--set width=128`) or re-ranged (`--range learning_rate=1e-4:1e-2`).

        Args:
            fixed: name -> value, or the text of one.
            ranges: name -> (low, high) for numbers or the options of a choice; or, as typed, 'low:high' and 'a,b,c'.

        Raises:
            SpaceError: naming every wrong name and value at once.
        """
        domains = dict(self.domains)
        problems: list[str] = []
        for name, value in (fixed or {}).items():
            self._override_one(domains, name, value, _fix, "--set", problems)
        for name, value in (ranges or {}).items():
            if name in (fixed or {}):
                problems.append(f"{name!r} has both --set and --range; keep one")
                continue
            self._override_one(domains, name, value, _rerange, "--range", problems)
        if problems:
            raise SpaceError("The search space cannot be changed as asked:", problems)
        return SearchSpace(domains, narrowed=True)

    def _override_one(
        self,
        domains: dict[str, Domain | When | Fixed],
        name: str,
        value: object,
        change: Callable[[Domain, str], Domain | Fixed],
        option: str,
        problems: list[str],
    ) -> None:
        declared = self.domains.get(name)
        text = _typed(declared.domain if isinstance(declared, When) else declared, value)
        if declared is None or isinstance(declared, Fixed):
            problems.append(
                f"{option} {name}={text}: {name!r} is no parameter of this space.{did_you_mean(name, self.domains)}"
                f" Known: {', '.join(self.domains)}"
            )
            return
        try:
            changed = change(declared.domain if isinstance(declared, When) else declared, text)
        except ValueError as error:
            problems.append(f"{option} {name}={text}: {error}")
            return
        if isinstance(declared, When):
            # A fixed value under a condition stays conditional: a choice of one.
            domain = Choice(changed.value) if isinstance(changed, Fixed) else changed
            domains[name] = replace(declared, domain=domain)
        else:
            domains[name] = changed

    def describe(self) -> dict[str, Any]:
        """A JSON-ready description, the same for equal spaces; what a study freezes."""
        return {name: describe(declared) for name, declared in self.domains.items()}


def restore(description: Mapping[str, Any]) -> SearchSpace:
    """The space that `SearchSpace.describe` described, as a study keeps it; parents come first."""
    left, domains = dict(description), dict[str, Any]()
    while left:
        ready = [name for name, described in left.items() if described.get("when") not in left]
        if not ready:
            raise SpaceError("The search space is not usable:", [f"{name!r} depends on itself" for name in left])
        domains |= {name: restored(left.pop(name)) for name in ready}
    return SearchSpace(domains, narrowed=True)


def fingerprint(description: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what `SearchSpace.describe` gave, read back from JSON or not."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _space_problems(domains: Mapping[str, object], narrowed: bool) -> list[str]:
    if not domains:
        return ["a space needs at least one parameter"]
    problems: list[str] = []
    above: dict[str, object] = {}
    for name, declared in domains.items():
        if not isinstance(name, str) or not name.isidentifier():
            problems.append(f"{name!r}: a parameter name must be a Python identifier")
        domain = declared.domain if isinstance(declared, When) else declared
        if isinstance(domain, (Int, Float, Choice)):
            problems += [f"{name!r}: {problem}" for problem in domain.problems()]
        elif not isinstance(domain, Fixed):
            problems.append(f"{name!r}: must be Int, Float, Choice or When, not {domain!r}")
        if isinstance(declared, When):
            problems += _condition_problems(name, declared, above, domains, narrowed)
        above[str(name)] = declared
    return problems


def _condition_problems(
    name: str, when: When, above: Mapping[str, object], domains: Mapping[str, object], narrowed: bool
) -> list[str]:
    if when.parent not in domains:
        return [f"{name!r}: depends on {when.parent!r}, which is no parameter.{did_you_mean(when.parent, domains)}"]
    if when.parent not in above:
        return [f"{name!r}: depends on {when.parent!r}, which must be declared above it"]
    if not isinstance(when.values, tuple) or not when.values:
        return [f"{name!r}: When needs a tuple of values, not {when.values!r}"]
    parent = above[when.parent]
    parent = parent.domain if isinstance(parent, When) else parent
    if isinstance(parent, (Int, Float, Choice)) and not parent.problems():
        never = [value for value in when.values if not parent.contains(value)]
        # In a file that was narrowed to one option by hand, as well.
        if isinstance(parent, Choice) and len(never) == len(when.values) and len(parent.options) > 1 and not narrowed:
            options = [str(option) for option in parent.options]
            hint = did_you_mean(str(never[0]), options)
            return [f"{name!r}: {when.parent!r} is never {never[0]!r}; its options are {', '.join(options)}.{hint}"]
    return []


def _typed(domain: object, value: object) -> str:
    """A value from Python as it would be typed on the command line."""
    if isinstance(value, (list, tuple)):
        return ("," if isinstance(domain, Choice) else ":").join(map(str, value))
    return str(value)


def _parse_like(domain: Domain, text: str) -> Value:
    """Read a typed value as the domain's type; ValueError says what was expected."""
    if isinstance(domain, Int):
        try:
            return int(text)
        except ValueError:
            raise ValueError(f"a whole number is needed, not {text!r}") from None
    if isinstance(domain, Float):
        try:
            number = float(text)
        except ValueError:
            raise ValueError(f"a number is needed, not {text!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"a finite number is needed, not {text!r}")
        return number
    for option in domain.options:
        if str(option).lower() == text.lower():
            return option
    known = [str(option) for option in domain.options]
    raise ValueError(f"must be one of {', '.join(known)}, not {text!r}.{did_you_mean(text, known)}")


def _fix(domain: Domain, text: str) -> Fixed:
    return Fixed(_option(domain, text) if isinstance(domain, Choice) else _number(domain, text))


def _number(domain: Int | Float, text: str) -> Value:
    """A number as typed. It may lie outside the searched range, but not where that kind of range makes no sense."""
    value = _parse_like(domain, text)
    if domain.low >= 0 and number_of(value) < 0:
        raise ValueError(f"must not be negative, as in {domain}")
    return value


def _rerange(domain: Domain, text: str) -> Domain:
    if isinstance(domain, Choice):
        return Choice(*(_option(domain, part.strip()) for part in text.split(",")))
    parts = text.split(":")
    if len(parts) != 2:
        raise ValueError("a range is written low:high, for example 1e-4:1e-2")
    low, high = (number_of(_number(domain, part.strip())) for part in parts)
    changed: Int | Float
    changed = Int(int(low), int(high), domain.log) if isinstance(domain, Int) else Float(low, high, domain.log)
    problems = changed.problems()
    if problems:
        raise ValueError("; ".join(problems))
    return changed


def _option(domain: Choice, text: str) -> Value:
    """An option as typed. Where all are numbers another number will do: a list of them stands for a range."""
    kinds = {type(option) for option in domain.options}
    if not kinds or not kinds <= {int, float}:
        return _parse_like(domain, text)
    least, most = min(map(number_of, domain.options)), max(map(number_of, domain.options))
    number = _parse_like(Int(0, 1) if kinds == {int} else Float(least, most), text)
    if least > 0 >= number_of(number):
        raise ValueError(f"must be positive, as in {domain}, not {text!r}")
    # Of equal numbers the option as declared: 1 and 1.0 would be two options.
    return next((option for option in domain.options if option == number), number)
