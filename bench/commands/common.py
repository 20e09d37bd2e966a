"""What several commands need."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.terminal.waiting import Waiting

from bench.inert import inert


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data."""
    from bench.boards import dataset_name

    return dataset_name(options.home, options.dataset)


def console() -> Any:
    from rich.console import Console

    return Console()


def waiting(options: argparse.Namespace, title: str) -> Waiting:
    """To be entered around what may take over a second."""
    from bench.terminal.waiting import Waiting

    return Waiting(title, quiet=options.quiet)


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(inert(line), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
