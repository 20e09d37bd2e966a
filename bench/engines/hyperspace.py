"""KerasTuner's parameters in bench's terms. Takes its objects, imports nothing of it.

What cannot be expressed is refused, all of it at once: reversed logarithms without steps, one name for two ranges, and
conditions that do not nest.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import SpaceError
from bench.space import Choice, Domain, Fixed, Float, Int, Value, When

MOST_VALUES = 256  # of a range with steps, which becomes a list


@dataclass(frozen=True)
class Translated:
    """A space.

    Attributes:
        domains: as `bench.SearchSpace` takes them, parents first.
        defaults: a value of every parameter, active by default or not.
        names: name here -> in KerasTuner's terms, where spaces, hyphens and slashes are allowed.
    """

    domains: Mapping[str, Domain | When | Fixed]
    defaults: Mapping[str, Value]
    names: Mapping[str, str]


def translate(parameters: Sequence[Any]) -> Translated:
    """Args:
        parameters: keras_tuner's HyperParameter objects, parents first; one name may stand under several conditions.

    Raises:
        SpaceError: naming everything that cannot be expressed.
    """
    problems: list[str] = []
    by_name: dict[str, list[Any]] = {}
    for parameter in parameters:
        by_name.setdefault(parameter.name, []).append(parameter)
    names: dict[str, str] = {}
    for theirs in by_name:
        ours = _identifier(theirs)
        if ours in names:
            problems.append(f"{names[ours]!r} and {theirs!r} are both called {ours!r} here; rename one")
        names[ours] = theirs
    domains: dict[str, Domain | When | Fixed] = {}
    defaults: dict[str, Value] = {}
    for ours, theirs in names.items():
        alike = by_name[theirs]
        try:
            domain = _one_domain(theirs, alike)
            domains[ours] = _conditional(theirs, domain, alike, by_name)
        except ValueError as error:
            problems.append(str(error))
            continue
        defaults[ours] = _nearest(domain, _tidy(alike[0].default))
    if problems:
        raise SpaceError("The hypermodel's search space cannot be expressed here:", problems)
    return Translated(domains, defaults, names)


def _identifier(name: str) -> str:
    found = re.sub(r"\W", "_", name)
    return found if found.isidentifier() and not keyword.iskeyword(found) else f"_{found}"


def _tidy(value: Value) -> Value:
    """Steps of 0.1 add up to 0.30000000000000004; what is meant is 0.3."""
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _one_domain(name: str, alike: Sequence[Any]) -> Domain | Fixed:
    """The domain that a name stands for, the same under all its conditions."""
    domains = [_domain(parameter) for parameter in alike]
    if any(domain != domains[0] for domain in domains):
        raise ValueError(f"{name!r} has one range here and another there; give each its own name")
    return domains[0]


def _domain(parameter: Any) -> Domain | Fixed:
    kind = type(parameter).__name__
    if kind == "Fixed":
        return Fixed(_tidy(parameter.value))
    if kind == "Boolean":
        return Choice(False, True)
    if kind == "Choice":
        return Choice(*dict.fromkeys(map(_tidy, parameter.values)))
    if kind not in ("Int", "Float"):
        raise ValueError(f"{parameter.name!r} is a {kind}, which is none of KerasTuner's own kinds; use one of those")
    return _range(parameter, whole=kind == "Int")


def _range(parameter: Any, whole: bool) -> Domain | Fixed:
    name, low, high, log = parameter.name, parameter.min_value, parameter.max_value, parameter.sampling == "log"
    if low == high:
        return Fixed(low)
    stepless = parameter.step is None or (whole and parameter.step == 1 and parameter.sampling == "linear")
    if stepless and parameter.sampling == "reverse_log":
        raise ValueError(
            f"{name!r} is sampled with reverse_log, for which there is nothing here; give it a step, or sample it "
            "linear or log"
        )
    if stepless:
        return Int(low, high, log) if whole else Float(low, high, log)
    count = _steps(parameter)
    if count > MOST_VALUES:
        raise ValueError(
            f"{name!r} takes {count:,} values in steps of {parameter.step}, at most {MOST_VALUES} become a list; widen "
            "its step, or leave it out"
        )
    reached = [parameter._get_value_by_index(index) for index in range(count)]
    values = sorted({int(value) if whole else _tidy(float(value)) for value in reached})
    return Choice(*values) if len(values) > 1 else Fixed(values[0])


def _steps(parameter: Any) -> int:
    """Values of a range with steps, its upper end included, as KerasTuner documents it.

    Its own count leaves the upper end out where rounding gets in the way, as in 0.5 // 0.1 = 4.
    """
    if parameter.sampling == "linear":
        return int((parameter.max_value - parameter.min_value) / parameter.step + 1e-8) + 1
    return int(math.log(parameter.max_value / parameter.min_value, parameter.step) + 1e-8) + 1


def _conditional(
    name: str, domain: Domain | Fixed, alike: Sequence[Any], by_name: Mapping[str, Sequence[Any]]
) -> Domain | When | Fixed:
    """The domain under the conditions of its parameter, of which a `When` holds one: the others hold with it."""
    if any(not parameter.conditions for parameter in alike):
        return domain
    lasts = [_last(parameter.conditions, by_name) for parameter in alike]
    if any(last is None or last.name != (lasts[0] and lasts[0].name) for last in lasts):
        parents = sorted({repr(condition.name) for parameter in alike for condition in parameter.conditions})
        raise ValueError(
            f"{name!r} depends on several parameters ({', '.join(parents)}) that do not depend on each other; nest "
            "their scopes, or give it another name in each"
        )
    values = dict.fromkeys(_tidy(value) for last in lasts if last is not None for value in last.values)
    inner = Choice(domain.value) if isinstance(domain, Fixed) else domain
    assert lasts[0] is not None
    return When(_identifier(lasts[0].name), tuple(values), inner)


def _last(conditions: Sequence[Any], by_name: Mapping[str, Sequence[Any]]) -> Any | None:
    """The condition that implies the others, since its parent is itself active only under them."""
    for last in reversed(conditions):
        others = [condition for condition in conditions if condition is not last and condition != last]
        parents = by_name.get(last.name, ())
        if all(all(other in parent.conditions for other in others) for parent in parents):
            return last
    return None


def _nearest(domain: Domain | Fixed, value: Value) -> Value:
    if isinstance(domain, Fixed):
        return domain.value
    if isinstance(domain, Choice) and not domain.contains(value):
        numbers = [option for option in domain.options if isinstance(option, (int, float))]
        return min(numbers, key=lambda option: abs(option - float(value))) if numbers else domain.options[0]
    return domain.nearest(value)
