"""What several commands need."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from bench.inert import inert


def dataset_name(options: argparse.Namespace) -> str:
    """The name that results of this data set are kept under, without reading the data."""
    from bench.data.sealed import Sealed
    from bench.files import slug

    if options.dataset:
        return slug(Path(options.dataset).stem if options.dataset.endswith(".npz") else options.dataset)
    folders = sorted((options.home / "cache").glob("*/seal.json"), key=lambda path: path.stat().st_mtime)
    names = [Sealed.load(path.parent).name for path in folders]
    return "mnist" if "mnist" in names or not names else names[-1]


def console() -> Any:
    from rich.console import Console

    return Console()


def say(line: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed
        print(inert(line), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, default=str, allow_nan=False))
