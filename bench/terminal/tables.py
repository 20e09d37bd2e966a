"""Tables for the terminal. A narrow one drops its least important columns and says which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.budgets import words
from bench.formats import caption, columns_of, duration, trials_cell
from bench.ranking import Board
from bench.records import Trial
from bench.terminal.sparkline import one_line, parameters

WIDE = 110  # columns from which the trials table shows every parameter
LEFT = ("family", "error reduction, %", "tuning, %")  # what is not aligned to the right
PARAMETERS = 24  # columns that it keeps for them where it is narrow


def leaderboard_table(board: Board, width: int) -> RenderableType:
    """The board within `width` columns, its notes below; an empty one says how to fill it."""
    if not board.rows:
        dataset = one_line(board.dataset)
        empty = f"No results for {dataset} yet. Next: bench search cnn --trials 50 --dataset {dataset}"
        if board.at is not None and board.notes:
            empty = f"No complete trial on {dataset} after {words(**board.at)}."
        return Group(Text(empty), *(Text(one_line(note), style="dim") for note in board.notes))
    columns = columns_of(board)
    cells = {heading: [one_line(cell(row)) for row in board.rows] for heading, cell in columns.items()}
    shown = _fitting(cells, width)
    widths = [max(map(cell_len, [heading, *cells[heading]])) for heading in shown]
    lines = [_line(shown, shown, widths, "bold")]
    for index, row in enumerate(board.rows):
        texts = [cells[heading][index] for heading in shown]
        lines.append(_line(shown, texts, widths, "bold" if row["rank"] == 1 else ""))
    notes = [one_line(note) for note in board.notes]
    dropped = [heading for heading in cells if heading not in shown]
    if dropped:
        notes.append(f"Not shown at this width: {', '.join(dropped)}.")
    below = [one_line(caption(board)), *notes]
    return Group(*lines, *(Text(line, style="dim") for line in below))


def _line(headings: Sequence[str], texts: Sequence[str], widths: Sequence[int], style: str) -> Text:
    """One row, its cells padded; a table of rich's would take half a second for two hundred."""
    padded = [
        set_cell_size(text, width) if heading in LEFT else " " * (width - cell_len(text)) + text
        for heading, text, width in zip(headings, texts, widths, strict=True)
    ]
    return Text("  ".join(padded).rstrip(), style, no_wrap=True, overflow="ellipsis")


def _fitting(cells: Mapping[str, Sequence[str]], width: int) -> list[str]:
    """The first columns that fit; a later one that is narrow enough may follow one that is not."""
    left = width
    shown: list[str] = []
    for heading, texts in cells.items():
        needed = max(map(cell_len, [heading, *texts])) + 2
        if needed <= left or len(shown) < 3:
            shown.append(heading)
            left -= needed
    return shown


def trials_table(trials: Sequence[Trial], width: int) -> RenderableType:
    """One line a trial; parameters take what is left of it, whole pairs only. A narrow table drops columns."""
    columns: dict[str, list[str]] = {
        "trial": [str(trial.number) for trial in trials],
        "validation %": ["" if t.val_accuracy is None else f"{100 * t.val_accuracy:.2f}" for t in trials],
        "state": [one_line(f"{t.state}: {t.reason}" if t.reason else t.state) for t in trials],
        "time": [f"{trial.seconds.total:.1f} s" for trial in trials],
        "samples": [f"{trial.samples:,}" for trial in trials],
        "worker": ["" if trial.worker is None else str(trial.worker) for trial in trials],
    }
    shown = [*_fitting(columns, width - PARAMETERS)]
    room = width - sum(max(map(cell_len, [name, *columns[name]])) + 2 for name in shown)
    table = _table()
    for heading in shown:
        table.add_column(heading, justify="left" if heading == "state" else "right", no_wrap=True)
    table.add_column("parameters", overflow="fold")
    for index, trial in enumerate(trials):
        cells = [Text(columns[heading][index]) for heading in shown]
        params = parameters(trial.params, None if width >= WIDE else max(room, 1))
        table.add_row(*cells, Text(one_line(params)))
    dropped = [heading for heading in columns if heading not in shown]
    return Group(table, Text(f"Not shown at this width: {', '.join(dropped)}.", style="dim")) if dropped else table


def studies_table(rows: Sequence[Mapping[str, Any]], width: int) -> RenderableType:
    """One line a study; a narrow table leaves out what the study's default name says anyway."""
    if not rows:
        return Text("No studies yet. Next: bench search cnn --trials 50")
    names = ("study", "dataset", "family") if width >= WIDE else ("study",)
    table = _table()
    for name in names:
        table.add_column("data set" if name == "dataset" else name, overflow="fold")
    for heading in ("trials", "best validation %", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for row in rows:
        best = "" if row["best_val_accuracy"] is None else f"{100 * row['best_val_accuracy']:.2f}"
        cells = (trials_cell(row), best, duration(row["seconds"]))
        table.add_row(*(Text(one_line(str(row[name]))) for name in names), *cells, Text(one_line(row["state"])))
    return table


def families_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table()
    table.add_column("family", no_wrap=True)
    table.add_column("what it is")
    table.add_column("searched parameters")
    for row in rows:
        names = ", ".join(row["parameters"])
        table.add_row(*(Text(one_line(str(text))) for text in (row["family"], row["about"], names)))
    return table


def _table() -> Table:
    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
