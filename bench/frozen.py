"""What a study freezes when it is made, and what the same command may not change afterwards."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType
from typing import Any

import bench
from bench.errors import FrozenStudy
from bench.family import Family
from bench.options import HARMLESS
from bench.training import backend

EARLIER = {"backend": "tensorflow", "rungs": "last weights"}  # of studies that were made before there was a choice
RUNGS = "mean of trained weights"  # what they judge in a study that is made now, unless it looks after every epoch
WAYS_OUT = "Leave the options out to continue it as it was, or start another with --study NAME."
PACKAGES = ("keras", "numpy", "optuna")  # and the framework that trains
OF_ENGINE = {"ray": ("ray",), "keras-tuner": ("keras-tuner",)}  # what proposes or stops its trials, besides those


def versions(engine: str) -> dict[str, str]:
    """What trials and finals of an engine's studies depend on, by name; read without importing any of it."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"bench": bench.__version__, "python": platform.python_version()}
    found |= {name: version(name) for name in (*PACKAGES, backend.chosen())}
    for name in OF_ENGINE.get(engine, ()):
        with suppress(PackageNotFoundError):  # a final can do without
            found[name] = version(name)
    return found


def code_of(family: Family) -> str | None:
    """What tells two states of a family's file apart; None where `build` is not what a file defines."""
    return family.code if family.source is not None and family.loaded is family.build else None


def build_of(family: Family) -> str:
    """What tells two families of one name and one space apart: 'from a file', or a digest of what `build` does.

    The digest covers the code, its constants, defaults and enclosed values, the attributes of an object that is called,
    and the functions of its own module that it calls, not their comments or line numbers. Of a file `code_of` tells.
    """
    if family.source is not None and family.loaded is family.build:
        return "from a file"
    digest = hashlib.sha256("\n".join(_parts(family.build, set())).encode()).hexdigest()
    return f"object {digest[:12]}"


def _parts(thing: Any, seen: set[int]) -> Iterator[str]:
    """What a callable does, in pieces that are the same in every process of one Python version."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, partial):
        yield from _parts(thing.func, seen)
        yield from _plain((thing.args, sorted(thing.keywords.items())))
    elif isinstance(thing, FunctionType):
        yield from _code(thing.__code__)
        yield from _plain((thing.__defaults__, thing.__kwdefaults__))
        # Cells are in the order of co_freevars; globals in that of co_names.
        inner = [cell.cell_contents for cell in thing.__closure__ or ()]
        inner += [thing.__globals__.get(name) for name in _names(thing.__code__)]
        for value in inner:
            if isinstance(value, FunctionType) and value.__module__ == thing.__module__:
                yield from _parts(value, seen)
            else:
                yield from _plain(value)
    elif hasattr(thing, "__func__"):
        yield from _parts(thing.__func__, seen)
        yield from _object(thing.__self__, seen)
    elif not isinstance(thing, type):
        yield from _parts(type(thing).__call__, seen)
        yield from _object(thing, seen)
        if hasattr(thing, "__wrapped__"):
            yield from _parts(thing.__wrapped__, seen)


def _object(thing: Any, seen: set[int]) -> Iterator[str]:
    """What an object holds, and what the methods of its own module do with it."""
    yield from _plain(vars(thing) if hasattr(thing, "__dict__") else None)
    kind = thing if isinstance(thing, type) else type(thing)
    for own in (base for base in kind.__mro__ if base.__module__ == kind.__module__):
        for method in vars(own).values():
            if isinstance(method, FunctionType):
                yield from _parts(method, seen)


def _names(code: CodeType) -> Iterator[str]:
    """What a function refers to by name, and what the functions and comprehensions inside it do."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield from _plain(constant)


def _plain(value: Any) -> Iterator[str]:
    """Numbers, strings and collections of them; of anything else nothing, since its repr may hold an address."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield repr(value)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _plain(item)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(map(repr, value))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _plain((key, item))


def check(study: str, settings: Mapping[str, Any], asked: Mapping[str, Any], accepted: Collection[str] = ()) -> None:
    """Compare what a study was made with and what is asked for now; None stands for 'not asked'.

    Args:
        accepted: those of HARMLESS that may differ.

    Raises:
        FrozenStudy: with every difference, both values, and the ways out.
    """
    rows: list[tuple[str, str, str]] = []
    for name, now in asked.items():
        before = settings.get(name, EARLIER.get(name))
        if name in accepted or now is None or before is None or now == before:
            continue
        if isinstance(now, Mapping):
            what = "space of " if name == "space" else ""
            changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
            rows += [(f"{what}{key}", words(before.get(key)), words(now.get(key))) for key in changed]
        else:
            rows.append((name, words(before), words(now)))
    if not rows:
        return
    harmless = [name for name in HARMLESS if name in asked and asked[name] != settings.get(name)]
    which = f" The environment names the backend: {backend.VARIABLE}." if "backend" in (row[0] for row in rows) else ""
    ways, accept = WAYS_OUT, ""
    if "rungs" in (row[0] for row in rows):  # nothing that was typed, so that there is nothing to leave out
        ways = "What its rungs judged is no measure for further trials: search anew with --study NAME."
    elif {*harmless} - {*accepted}:
        accept = f" Where the change does no harm, go on with {' '.join(f'--accept {name}' for name in harmless)}."
    raise FrozenStudy(
        "\n".join(
            [
                f"Study {study!r} was made with other settings, and they are frozen:",
                *_aligned([("", "the study has", "asked for"), *rows]),
                ways + which + accept,
            ]
        )
    )


def words(described: Any) -> str:
    """A setting in the words of the command line or of a family file; of a hash the beginning."""
    if described is None:
        return "absent"
    if not isinstance(described, Mapping):
        text = str(described)
        return text[:12] if len(text) == 64 else text
    if "when" in described:
        values = ", ".join(map(str, described["in"]))
        return f"{words(described['domain'])} when {described['when']} is {values}"
    if "fixed" in described:
        return f"{described['fixed']} (fixed)"
    if "choice" in described:
        return "one of " + ", ".join(map(str, described["choice"]))
    low, high = described.get("int") or described["float"]
    return f"{low} to {high}{' (log)' if described['log'] else ''}"


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"  {name:<{widths[0]}}  {before:<{widths[1]}}  {now}".rstrip() for name, before, now in rows]
