"""What several commands need."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from typing import Any

from bench.files import slug
from bench.inert import inert


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data."""
    from bench.data import catalog
    from bench.data.sealed import sealed_in

    if options.dataset:
        return slug(catalog.dataset_name(options.dataset))
    names = [sealed.name for sealed in sealed_in(options.home)]
    return "mnist" if "mnist" in names or not names else names[0]


def console() -> Any:
    from rich.console import Console

    return Console()


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(inert(line), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
