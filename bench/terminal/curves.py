"""`bench leaderboard --curves`: who leads when, in words first; then the values at round budgets, and the curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.budgets import UNITS, Unit, words
from bench.curves import best_at, checkpoints
from bench.terminal.sparkline import height, one_line, sparkline

AFTER = {"trials": "trials", "device_seconds": "device time"}
LEAST_ROOM, MOST_ROOM = 8, 60  # columns of a curve
Document = Mapping[str, Any]


def curves_table(document: Document, width: int, *, ascii_only: bool = False) -> RenderableType:
    """The document of `bench leaderboard --curves --json`, within `width` columns."""
    if not document["curves"]:
        dataset = one_line(document["dataset"])
        return Text(f"No complete trial on {dataset} yet. Next: bench search cnn --trials 50 --dataset {dataset}")
    parts: list[RenderableType] = [Text(one_line(sentence), style="bold") for sentence in document["says"]]
    for unit in UNITS:
        head = f"{one_line(document['dataset'])}: best validation accuracy, %, against {AFTER[unit]}"
        parts += [*([Text()] if parts else []), Text(head), _values(document, unit, width, ascii_only)]
    parts += [Text(), *(Text(one_line(note), style="dim") for note in document["notes"])]
    return Group(*parts)


def _values(document: Document, unit: Unit, width: int, ascii_only: bool) -> Table:
    marks, values = checkpoints(document, unit)
    names = {name: one_line(name) for name in values}
    label = max(map(cell_len, ["family", *names.values()]))
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("family", overflow="fold")
    heads = [*(words(mark, unit).removesuffix(" trials") for mark in marks), "end"]
    each = [max(len(head), len("100.00")) for head in heads]
    while len(heads) > 1 and label + sum(each) + 2 * len(heads) > width:
        del heads[0], each[0]  # the earliest say least
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    room = min(width - label - sum(each) - 2 * (len(heads) + 1), MOST_ROOM)
    drawn = room >= LEAST_ROOM
    if drawn:
        table.add_column("", no_wrap=True)
    for curve in document["curves"]:
        shown = values[curve["name"]][-len(heads) :]
        cells = ["" if value is None else f"{100 * value:.2f}" for value in shown]
        line = [Text(_line(document, curve, unit, room, ascii_only), "cyan")] if drawn else []
        table.add_row(Text(names[curve["name"]]), *cells, *line)
    return table


def _line(document: Document, curve: Mapping[str, Any], unit: Unit, room: int, ascii_only: bool) -> str:
    """A curve on the scale that all share; empty before its first complete trial and after its end."""
    every = document["curves"]
    end = max(one["points"][-1][unit] for one in every)
    heights = [height(point["val_accuracy"]) for one in every for point in one["points"]]
    marks = [end * (place + 1) / room for place in range(room)]
    found = [best_at(curve, mark, unit) for mark in marks]
    lead = next((place for place, value in enumerate(found) if value is not None), room)
    values = [height(value) for value in found if value is not None]
    return " " * lead + sparkline(values, room, min(heights), max(heights), ascii_only=ascii_only)
