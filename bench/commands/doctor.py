"""Would the main job run here, and with what? Each problem comes with the line that mends it."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands.common import console, print_json, say, waiting
from bench.commands.options import add_storage
from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.doctor import Check
    from bench.workers.pool import Pool

MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}
STYLES = {"ok": "green", "note": "bold", "problem": "bold red"}


EXAMPLES = """
  bench doctor                            before the first search on a machine
  bench doctor --json > doctor.json       to send with a question
"""


def arguments(doctor: argparse.ArgumentParser) -> None:
    add_storage(doctor)


def run(options: argparse.Namespace) -> None:
    from bench import doctor
    from bench.store import problem_of

    parts: list[tuple[str, Iterable[Check]]] = [
        ("reading versions", doctor.versions()),
        ("importing the packages, a few seconds", doctor.imports()),
        ("looking at processors and memory", doctor.devices()),
        ("starting a worker and measuring, about ten seconds", _precision()),
        ("looking for data sets", doctor.data(options.home, options.data_dir)),
        ("reaching the storage", doctor.storage(options.home, options.storage, problem_of)),
        ("looking at engines", doctor.engines()),
    ]
    found: list[Check] = []
    with waiting(options, parts[0][0]) as wait:
        for title, checks in parts:
            wait.step(title)
            found += checks
    problems = sum(check.state == "problem" for check in found)
    if options.json:
        rows = [{"part": c.part, "name": c.name, "state": c.state, "said": c.said, "remedy": c.remedy} for c in found]
        print_json({"schema": 1, "problems": problems, "rows": rows})
    else:
        _print(found)
    if problems:
        raise BenchError(f"{problems} problem{'s' if problems > 1 else ''}: `bench search cnn` would not run here.")


def _precision() -> Iterator[Check]:
    """On the built-in digits, sealed in a place of their own, so that the home stays untouched."""
    from bench import doctor
    from bench.holdout.seal import ensure

    with tempfile.TemporaryDirectory() as folder:
        sealed = ensure(Path(folder), "digits", None, say, lambda line: None)
        yield from doctor.precision(sealed, Path(folder) / "logs", _probe)


def _probe(pool: Pool) -> tuple[float, float, str]:
    from bench.inquiry import probe

    probed = probe(pool)
    return probed.float32_ms, probed.bfloat16_ms, probed.precision


def _print(found: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from bench.terminal.sparkline import one_line

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    part = None
    for check in found:
        said = Text(one_line(check.said))
        if check.remedy:
            said.append(f"\n{one_line(check.remedy)}", style="bold" if check.state == "problem" else "dim")
        heading = Text("" if check.part == part else check.part, style="bold")
        table.add_row(heading, Text(check.name), Text(MARKS[check.state], style=STYLES[check.state]), said)
        part = check.part
    console().print(table)
