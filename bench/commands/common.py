"""What several commands need."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data."""
    from bench.boards import dataset_name

    return dataset_name(options.home, options.dataset)


def console() -> Any:
    from rich.console import Console

    return Console()


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
