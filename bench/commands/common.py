"""What several commands need."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UnknownDataset, did_you_mean

if TYPE_CHECKING:
    from bench.terminal.waiting import Waiting


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data.

    Raises:
        UnknownDataset: nobody knows a data set of that name, and this home has none.
    """
    from bench.data.catalog import dataset_name as kept_under
    from bench.data.catalog import is_path
    from bench.data.sealed import Sealed

    if options.dataset:
        if not is_path(options.dataset):
            _check_known(options.dataset, dataset_names(options.home))
        return kept_under(options.dataset)
    folders = sorted((options.home / "cache").glob("*/seal.json"), key=lambda path: path.stat().st_mtime)
    names = [Sealed.load(path.parent).name for path in folders]
    return "mnist" if "mnist" in names or not names else names[-1]


def dataset_names(home: Path) -> list[str]:
    """Data sets that can be named: the known ones, and the user's that this home has sealed or has results of."""
    from bench.data.catalog import KNOWN
    from bench.data.sealed import sealed_in

    results = sorted(path.name for path in (home / "results").glob("*") if path.is_dir())
    return list(dict.fromkeys([*KNOWN, *(sealed.name for sealed in sealed_in(home)), *results]))


def _check_known(name: str, known: list[str]) -> None:
    if name not in known:
        raise UnknownDataset(f"No data set named {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}.")


def console() -> Any:
    from rich.console import Console

    return Console()


def waiting(options: argparse.Namespace, title: str) -> Waiting:
    """To be entered around what may take over a second."""
    from bench.terminal.waiting import Waiting

    return Waiting(title, quiet=options.quiet)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
