"""What could be typed next, for a shell that asks. Nothing here loads a framework, runs a family's file or writes."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.boards import dataset_names
from bench.commands import settings
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.commands.parser import Parser

Completer = Callable[..., Iterable[str]]


def complete(parser: Parser) -> None:
    """Answer the shell and end the process. An argument is completed by its metavar: FAMILY, NAME, NAME|PATH, DIR."""
    import argcomplete
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    by_metavar: dict[Any, Completer] = {
        "FAMILY": _with_files(families, FilesCompleter(("py",))),
        "NAME|PATH": _with_files(datasets, FilesCompleter(("npz",))),
        "NAME": studies,
        "DIR": DirectoriesCompleter(),
        "FILE": FilesCompleter(),
    }
    for command in parser.commands.values():
        for action in command._actions:
            if action.choices is None and action.nargs != 0:
                setattr(action, "completer", by_metavar.get(action.metavar, lambda **_: ()))  # noqa: B010
    # Options are offered once a hyphen is typed, so that names stand alone.
    argcomplete.autocomplete(parser, always_complete_options=False)


def _with_files(names: Completer, files: Completer) -> Completer:
    """Names, and files as soon as what is typed looks like a path."""

    def completer(prefix: str, **rest: Any) -> Iterable[str]:
        looks_like_path = prefix.startswith((".", "~")) or "/" in prefix
        return files(prefix, **rest) if looks_like_path else names(prefix=prefix, **rest)

    return completer


def families(parsed_args: argparse.Namespace, action: argparse.Action, **_: Any) -> Iterable[str]:
    from bench.family import discover

    return [*discover(), *(["all"] if action.nargs == "+" else [])]


def datasets(parsed_args: argparse.Namespace, parser: Parser, **_: Any) -> Iterable[str]:
    return dataset_names(_filled(parser, parsed_args).home)


def studies(parsed_args: argparse.Namespace, parser: Parser, **_: Any) -> Iterable[str]:
    """Names out of <home>/bench.db, without Optuna, which takes half a second to load; of another storage none."""
    options = _filled(parser, parsed_args)
    path: Path = options.home / "bench.db"
    if getattr(options, "storage", None) is not None or not path.is_file():
        return []
    # A reader makes the two files of a write-ahead log where they are missing, unless it takes the database as fixed.
    mode = "mode=ro" if path.with_name("bench.db-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection:
            return [name for (name,) in connection.execute("SELECT study_name FROM studies ORDER BY study_id")]
    except sqlite3.Error:
        return []


def _filled(parser: Parser, typed: argparse.Namespace) -> argparse.Namespace:
    """The options so far, completed from environment and file; a broken file is not the time to complain."""
    options = parser.options().values()
    found = argparse.Namespace(**{a.dest: getattr(typed, a.dest) for a in options if hasattr(typed, a.dest)})
    try:
        settings.fill(parser, found)
    except BenchError:
        return argparse.Namespace(**{action.dest: getattr(typed, action.dest, action.default) for action in options})
    return found
