"""What several commands need."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bench.store import Store
    from bench.study import Outcome
    from bench.terminal.waiting import Waiting

from bench.errors import UsageError
from bench.inert import inert


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data."""
    from bench.boards import dataset_name

    return dataset_name(options.home, options.dataset)


def study_of(options: argparse.Namespace, store: Store) -> tuple[str, str]:
    """(study, family) that the command line means. The family is loaded only where the storage does not know it: one
    that was searched from Python has no file.

    Raises:
        UnknownFamily, FamilyError: as `bench.family.load`.
    """
    from bench.family import load

    family = options.family
    study = options.study or f"{dataset_name(options)}-{family}"
    settings = store.settings(study)
    if settings is not None and settings.get("family") == family:
        return study, family
    family = load(family).name
    return options.study or f"{dataset_name(options)}-{family}", family


def check_family(found: Outcome, family: str) -> None:
    """Raise UsageError where a study that was named is another family's."""
    if found.settings["family"] != family:
        raise UsageError(f"Study {found.study!r} searched {found.settings['family']!r}, not {family!r}.")


def console() -> Any:
    from rich.console import Console

    return Console()


def waiting(options: argparse.Namespace, title: str) -> Waiting:
    """To be entered around what may take over a second."""
    from bench.terminal.waiting import Waiting

    return Waiting(title, quiet=options.quiet)


def check_output(path: Path | None) -> None:
    """Work that takes long shall not end in a path that cannot be written.

    Raises:
        UsageError: it is a folder, or in none.
    """
    if path is not None and path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it.")
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"-o {path}: there is no folder {path.parent} to write a file in; make it first.")


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(inert(line), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
