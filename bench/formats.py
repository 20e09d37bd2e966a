"""A leaderboard as JSON, CSV, Markdown, or as text cells for a terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from bench.certainty import ALPHA
from bench.ranking import Board

SCHEMA = 1
INTERVALS = ("ci95", "_bounds")  # how the names of columns end that hold one
OF_REFERENCE = (  # what a flat row has of it; the reduction is the winner's
    "reference_test_accuracy", "reference_error_reduction", "reference_error_reduction_ci95_low",
    "reference_error_reduction_ci95_high",
)  # fmt: skip
Row = Mapping[str, Any]


def to_json(board: Board) -> dict[str, Any]:
    """The document of `bench leaderboard --json`; accuracies are fractions, times are seconds."""
    return {
        "schema": SCHEMA,
        "dataset": board.dataset,
        "baseline": board.baseline,
        **({} if board.at is None else {"at": dict(board.at)}),
        "rows": [{name: row[name] for name in board.columns} for row in board.rows],
        "notes": list(board.notes),
    }


def to_csv(board: Board) -> str:
    """One line a row; an interval becomes two columns. Text that a spreadsheet would run starts with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(flat_columns(board))
    for row in board.rows:
        writer.writerow(csv_cell(value) for value in flat_row(board, row))
    return out.getvalue()


def flat_columns(board: Board) -> list[str]:
    """The board's columns with two for each interval, its lower and its upper bound."""
    names: list[str] = []
    for name in board.columns:
        if name == "reference":
            names += OF_REFERENCE
        else:
            names += [f"{name}_low", f"{name}_high"] if name.endswith(INTERVALS) else [name]
    return names


def flat_row(board: Board, row: Row) -> list[Any]:
    """A row's values in the order of `flat_columns`."""
    values: list[Any] = []
    for name in board.columns:
        if name == "reference":
            of = row[name] or {}
            low, high = of.get("error_reduction_ci95") or (None, None)
            values += [of.get("test_accuracy"), of.get("error_reduction"), low, high]
        else:
            values += list(row[name] or (None, None)) if name.endswith(INTERVALS) else [row[name]]
    return values


def caption(board: Board) -> str:
    """What the numbers of a board are, in one line."""
    against = f"; error reduction against {board.baseline}" if board.baseline else ""
    tested = "test_accuracy" in board.columns and board.at is None
    what = "mean over seeds, 95 % intervals" if tested else "95 % intervals"
    tuned = any(row.get("reference") for row in board.rows)
    gain = "; tuning: error reduction against the family's reference, same seeds, same look" if tuned else ""
    return f"{board.dataset}: {what}{against}{gain}"


def to_markdown(board: Board) -> str:
    """The cells as a Markdown table, the notes below it."""
    columns = columns_of(board)
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(inert_markdown(cell(row)) for cell in columns.values()) for row in board.rows]
    table = "\n".join(f"| {line} |" for line in lines)
    return "\n".join([table, "", *(f"- {inert_markdown(note)}" for note in board.notes)]).rstrip()


def columns_of(board: Board) -> dict[str, Callable[[Row], str]]:
    """Heading -> the text of a row's cell, most important first; what a table too narrow drops is at the end."""
    if board.at is not None:
        return {
            "rank": _rank,
            "family": _family,
            "best validation accuracy, %": _validated,
            "trials": lambda row: trials_cell(row) + ("" if row["reached"] else " *"),
            "device time": lambda row: duration(row["device_seconds"]),
            "test accuracy, %": lambda row: _interval(row["test_accuracy"], row["test_ci95"]),
            "best trial": lambda row: str(row["trial"]),
            "samples": lambda row: f"{row['samples']:,}",
            "parameters": lambda row: f"{row['params']:,}" if row["params"] else "",
        }
    if "test_accuracy" not in board.columns:
        return {
            "rank": _rank,
            "family": _family,
            "best validation accuracy, %": _validated,
            "trials": trials_cell,
            "search": lambda row: duration(row["search_seconds"]),
            "parameters": lambda row: f"{row['params']:,}" if row["params"] else "",
        }
    tuned = any(row["reference"] for row in board.rows)

    def errors(row: Row) -> str:
        return f"{row['errors']:.1f}"

    return {
        "rank": _rank,
        "family": _family,
        "test accuracy, %": lambda row: _interval(row["test_accuracy"], row["ci95"]),
        **({} if tuned else {"errors": errors}),
        "error reduction, %": _reduction,
        **({"tuning, %": _gain, "errors": errors} if tuned else {}),
        "looks": lambda row: str(row["test_looks"]),
        "trials": lambda row: trials_cell(row) + ("" if row["equal_budget"] else " *"),
        "search": lambda row: duration(row["search_seconds"]),
        "parameters": lambda row: f"{row['params']:,}",
        "seeds": lambda row: str(row["seeds"]),
        "val - test": lambda row: f"{100 * row['val_minus_test']:+.2f}{' !' if row['implausible'] else ''}",
        "beats baseline": _better,
    }


def duration(seconds: float) -> str:
    """'48 s', '2 min 41 s', '1 h 05 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def printable(text: str) -> str:
    """Text whose control characters, line ends among them, are replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _rank(row: Row) -> str:
    return f"{'=' if row['tied'] else ''}{row['rank']}"


def _family(row: Row) -> str:
    return str(row["family"]) if row["engine"] == "optuna" else f"{row['family']} ({row['engine']})"


def _validated(row: Row) -> str:
    return _interval(row["val_accuracy"], row["ci95"])


def _interval(value: float | None, bounds: tuple[float, float]) -> str:
    return "" if value is None else f"{100 * value:.2f} ({100 * bounds[0]:.2f} to {100 * bounds[1]:.2f})"


def _reduction(row: Row) -> str:
    if row["error_reduction"] is None:
        return ""
    low, high = row["error_reduction_ci95"]
    return f"{whole(row['error_reduction'])} ({whole(low)} to {whole(high)}){doubt(row)}"


def whole(fraction: float) -> str:
    """In whole per cent; a little less than nothing is 0, and not -0."""
    return str(round(100 * fraction))


def doubt(row: Row) -> str:
    """What follows an error reduction that is not resolved, by its test or by its interval; else nothing."""
    if row["p_value"] is None:
        return ", one seed"  # an interval that knows nothing of seeds resolves nothing
    low, high = row["error_reduction_ci95"]
    return ", not resolved" if row["p_value"] >= ALPHA or low <= 0 <= high else ""


def _gain(row: Row) -> str:
    reference = row["reference"]
    if reference is None:
        return ""
    if reference["is_winner"]:
        return "reference won"
    return _reduction(reference) or "too few errors"


def _better(row: Row) -> str:
    if row["p_better"] is None:
        return ""
    low, high = row["p_better_ci95"]
    return f"{whole(row['p_better'])} ({whole(low)} to {whole(high)}) %"


def trials_cell(row: Row) -> str:
    """'50 (35 pruned, 1 failed)'."""
    out = [f"{row[name]} {name}" for name in ("pruned", "failed") if row[name]]
    return f"{row['trials']} ({', '.join(out)})" if out else str(row["trials"])


def csv_cell(value: Any) -> Any:
    """A value that a spreadsheet shows and does not run."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def inert_markdown(text: str) -> str:
    """Text that stays text in a Markdown table."""
    text = printable(text)
    for mark in "\\`|*_[]<>":
        text = text.replace(mark, f"\\{mark}")
    return text
