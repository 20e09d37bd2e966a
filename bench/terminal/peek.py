"""What `bench peek` prints: by choice, how good the best look seemed, how good it was, and the points between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.terminal.sparkline import one_line

WIDE = 72  # columns that both accuracies fit beside what is pretended
NAMES = {"epoch": "the epoch", "configuration": "the configuration", "both": "both at once"}


def peek_table(document: Mapping[str, Any], width: int) -> RenderableType:
    """The document of `bench peek --json`."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    headings = ("looks", "peeked %", "judged %", "pretended", "95 % interval")
    shown = [heading for heading in headings if width >= WIDE or not heading.endswith("ed %")]
    table.add_column("chosen by peeking", no_wrap=True)
    for heading in shown:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in document["habits"]:
        cells = {
            "looks": f"{row['looks']:,}",
            "peeked %": _points(row["peeked"]),
            "judged %": _points(row["judged"]),
            "pretended": _points(row["pretended"]),
            "95 % interval": " to ".join(map(_points, row["ci95"])) if row["ci95"] else "-",
        }
        table.add_row(NAMES[row["choice"]], *(cells[heading] for heading in shown))
    return Group(table, Text(), *(Text(one_line(note), style="dim") for note in _notes(document)))


def _notes(document: Mapping[str, Any]) -> list[str]:
    seeds, configs = document["seeds"], len(document["configurations"])
    half = document["halves"][1]
    notes = [
        f"{document['study']}: {_count(configs, 'configuration')}, {_count(seeds, 'seed')} each, judged after every "
        f"epoch on {document['validation_images']:,} validation images.",
        f"Pretended: percentage points that the best of the looks at one half ({half:,} images) loses on the other, "
        f"mean of {document['halvings']} random halvings, each both ways. More images pretend less.",
    ]
    if document["diverged"]:
        notes.append(f"{_count(document['diverged'], 'run')} diverged, and got no image right: it counts as it scores.")
    if seeds == 1:
        notes.append(
            "One seed does not show how seeds differ, so that there is no interval; ask for more with --seeds."
        )
    else:
        notes.append("The interval is for other seeds and other images, and rather too wide than too narrow.")
    return [*notes, "No test image was read; the ledger is as it was."]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
