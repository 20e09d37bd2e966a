"""Options that were not typed: from the environment, else from a file, else the default.

The file is `bench.toml`, or `[tool.bench]` in `pyproject.toml`: the first one found in the working directory and its
parents. Its keys are the long names of options; those of a table named like a command are for that command alone and
go before the others. In the environment an option is called BENCH_<NAME>; one that is empty counts as not set. The
nearest place that says anything about an option decides it whole: lists of two places are not joined. Where options
exclude each other, the one from the nearer place stands.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bench.commands.options import RELATIVE, pair
from bench.errors import UsageError, did_you_mean
from bench.urls import without_passwords

if TYPE_CHECKING:
    from bench.commands.parser import Parser

WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


class Origin(NamedTuple):
    """Where an option's value came from. `name` is what was typed, the variable, or the key in `file`."""

    kind: Literal["flag", "environment", "file", "default"]
    name: str | None = None
    file: Path | None = None

    @property
    def where(self) -> str:
        if self.kind == "file":
            return f"{self.file}, {self.name}"
        return f"${self.name}" if self.kind == "environment" else self.name or self.kind


class File(NamedTuple):
    """A file of options, its keys with hyphens: `table` for every command, `own` by command.

    `prefix` is what stands before every key in the file: nothing, or 'tool.bench.'.
    """

    path: Path
    prefix: str
    table: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]


def variable(option: str) -> str:
    """The environment variable of an option."""
    return f"BENCH_{option.replace('-', '_').upper()}"


def fill(parser: Parser, found: argparse.Namespace) -> None:
    """Complete a namespace that holds what was typed; `found.origins` then says where each option came from.

    Raises:
        UsageError: a wrong value, key or file; which place, the rule, and the value seen.
    """
    options = parser.options()
    origins = {
        option: Origin("flag", action.option_strings[-1])
        for option, action in options.items()
        if hasattr(found, action.dest)
    }
    origins |= _take(parser, found, _environment(parser), origins)
    file = find(Path.cwd(), parser.commands)
    if file is not None:
        for place in _filed(parser, file):
            origins |= _take(parser, found, place, origins)
    for option, action in options.items():
        if option not in origins:
            origins[option] = Origin("default")
            setattr(found, action.dest, action.default)
    found.origins = {option: origins[option] for option in options}


def _take(
    parser: Parser, found: argparse.Namespace, place: Mapping[str, tuple[Origin, Any]], nearer: Mapping[str, Origin]
) -> dict[str, Origin]:
    """Take over what a place says and none nearer to the user does."""
    options = parser.options()
    taken = {option: entry for option, entry in place.items() if option not in nearer}
    for group in parser.exclusive():
        on = [option for option, (_, value) in taken.items() if options[option].dest in group and value]
        if any(getattr(found, dest, None) for dest in group):
            taken = {option: entry for option, entry in taken.items() if option not in on}
        elif len(on) > 1:
            first, second = (taken[option][0].where for option in on[:2])
            raise UsageError(f"{first} and {second} exclude each other; keep one.")
    for option, (_, value) in taken.items():
        setattr(found, options[option].dest, value)
    return {option: origin for option, (origin, _) in taken.items()}


def _environment(parser: Parser) -> dict[str, tuple[Origin, Any]]:
    said = {}
    for option, action in parser.options().items():
        text = os.environ.get(variable(option), "")
        if text:
            origin = Origin("environment", variable(option))
            said[option] = (origin, _of_text(parser, action, text, origin))
    return said


def _of_text(parser: Parser, action: argparse.Action, text: str, origin: Origin) -> Any:
    if action.nargs == 0:
        if text.lower() not in WORDS:
            raise _wrong(origin, f"must be one of {', '.join(WORDS)}, not {text!r}")
        return WORDS[text.lower()]
    if not _repeats(action):
        return _converted(parser, action, text, origin)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _wrong(origin, f"is split at spaces like a command line; {error}") from None
    return [_converted(parser, action, word, origin) for word in words]


def _converted(parser: Parser, action: argparse.Action, text: str, origin: Origin) -> Any:
    try:
        return parser.converted(action, text)
    except argparse.ArgumentError as error:
        raise _wrong(origin, error.message) from None


def _wrong(origin: Origin, rule: str) -> UsageError:
    return UsageError(f"{origin.where}: {without_passwords(rule)}")


def _repeats(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)


# --- the file


def find(folder: Path, commands: Mapping[str, Parser]) -> File | None:
    """The options' file of the nearest folder that has one, its keys checked.

    Raises:
        UsageError: it is no TOML, or has a key that is no option.
    """
    for place in (folder, *folder.parents):
        for path, prefix in ((place / "bench.toml", ""), (place / "pyproject.toml", "tool.bench.")):
            table = _read(path, prefix)
            if table is not None:
                return _checked(File(path, prefix, table, {}), commands)
    return None


def _read(path: Path, prefix: str) -> dict[str, Any] | None:
    try:
        if not path.is_file():
            return None
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if prefix and "bench" not in text:
        return None
    import tomllib

    try:
        document: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if prefix and not re.search(r"\btool\s*\.\s*\W?bench\b", text):
            return None  # somebody else's, and somebody else's error
        raise UsageError(f"{path} is not valid TOML: {error}.") from None
    for part in prefix.split(".")[:-1]:
        document = document.get(part) if isinstance(document, dict) else None
    if document is not None and not isinstance(document, dict):
        raise UsageError(f"{path}, {prefix[:-1]}: must be a table of options, not {document!r}.")
    return document


def _checked(file: File, commands: Mapping[str, Parser]) -> File:
    """Sort the keys into those for every command and those for one.

    A table that is named like a command is the command's: `[trials]` belongs to `bench trials`, `trials = 100` is an
    option of `bench search`.
    """
    everywhere = dict.fromkeys(option for command in commands.values() for option in command.options())
    own = {key: value for key, value in file.table.items() if key in commands and isinstance(value, dict)}
    common = {key: value for key, value in file.table.items() if key not in own}
    table = _named(file, "", common, [*everywhere], [*commands])
    tables = {name: _named(file, f"{name}.", own[name], [*commands[name].options()]) for name in own}
    return file._replace(table=table, own=tables)


def _named(
    file: File, below: str, table: Mapping[str, Any], known: list[str], commands: Sequence[str] = ()
) -> dict[str, Any]:
    """The table with hyphens in its keys."""
    named: dict[str, Any] = {}
    who = f"bench {below[:-1]} has" if below else "bench has"
    for key, value in table.items():
        option = key.replace("_", "-")
        at = f"{file.path}, {file.prefix}{below}{key}"
        if option not in known:
            what, names = ("command", commands) if commands and isinstance(value, dict) else ("option", known)
            raise UsageError(f"{at}: {who} no {what} {key!r}.{did_you_mean(option, names)} `bench config` lists them.")
        if option in named:
            raise UsageError(f"{at}: {option!r} is said twice, with hyphens and with underscores; keep one.")
        named[option] = value
    return named


def _filed(parser: Parser, file: File) -> list[dict[str, tuple[Origin, Any]]]:
    """What the file says: for this command alone, then for every command."""
    options, places = parser.options(), []
    for below, table in ((f"{parser.name}.", file.own.get(parser.name, {})), ("", file.table)):
        origins = {option: Origin("file", f"{file.prefix}{below}{option}", file.path) for option in table}
        places.append(
            {
                option: (origins[option], _of_toml(parser, options[option], value, origins[option]))
                for option, value in table.items()
                if option in options
            }
        )
    return places


def _of_toml(parser: Parser, action: argparse.Action, value: Any, origin: Origin) -> Any:
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise _wrong(origin, f"must be true or false, not {value!r}")
        return value
    if not _repeats(action):
        return _converted(parser, action, _text(action, value, origin), origin)
    if isinstance(value, dict) and action.type is pair:
        return [
            (name, tuple(_text(action, part, origin, inside=name) for part in one))  # a range, or options of a choice
            if isinstance(one, list)
            else _converted(parser, action, f"{name}={_text(action, one, origin, inside=name)}", origin)
            for name, one in value.items()
        ]
    if not isinstance(value, list):
        raise _wrong(origin, f"must be a list{' or a table' if action.type is pair else ''}, not {value!r}")
    return [_converted(parser, action, _text(action, one, origin), origin) for one in value]


def _text(action: argparse.Action, value: Any, origin: Origin, inside: str | None = None) -> str:
    """One value as it would be typed; a path is relative to the file, and ~ is the user's folder."""
    assert origin.file is not None
    if inside is not None and isinstance(value, bool):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _wrong(origin._replace(name=f"{origin.name}{f'.{inside}' if inside else ''}"), _single(value))
    relative = RELATIVE.get(action.type)
    return relative(value, origin.file.parent) if relative and isinstance(value, str) else str(value)


def _single(value: Any) -> str:
    return f"must be one text or number, not {str(value).lower() if isinstance(value, bool) else repr(value)}"
