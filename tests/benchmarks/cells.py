"""What the cells of a leaderboard's Markdown must show, from the values of its rows; nothing of bench's own is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from again import LEVEL

Cell = tuple[str, list[tuple[float, int]]]  # text with # for each number; the numbers, and their decimals as shown


def cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Cell]]:
    """Heading -> (text with # for every number, the numbers and the decimals that they are shown with), a row."""
    tuned = any(row["reference"] for row in rows)
    return [_cells(row, tuned) for row in rows]


def _cells(row: Mapping[str, Any], tuned: bool) -> dict[str, Cell]:
    trials = [(row[name], name) for name in ("pruned", "failed") if row[name]]
    out = f" ({', '.join(f'# {name}' for _, name in trials)})" if trials else ""
    reference = row["reference"]
    if reference is None:
        tuning: Cell = ("", [])
    else:
        tuning = ("reference won", []) if reference["is_winner"] else _reduced(reference)
    percent = [(100 * row["test_accuracy"], 2), *((100 * bound, 2) for bound in row["ci95"])]
    beats = [] if row["p_better"] is None else [(100 * p, 0) for p in (row["p_better"], *row["p_better_ci95"])]
    return {
        "rank": ("=#" if row["tied"] else "#", [(row["rank"], 0)]),
        "test accuracy, %": ("# (# to #)", percent),
        "errors": ("#", [(row["errors"], 1)]),
        "error reduction, %": _reduced(row),
        **({"tuning, %": tuning} if tuned else {}),
        "looks": ("#", [(row["test_looks"], 0)]),
        "trials": (f"#{out}{'' if row['equal_budget'] else ' *'}", [(row["trials"], 0), *((n, 0) for n, _ in trials)]),
        "search": _duration(row["search_seconds"]),
        "parameters": ("#", [(row["params"], 0)]),
        "seeds": ("#", [(row["seeds"], 0)]),
        "val - test": ("# !" if row["implausible"] else "#", [(100 * row["val_minus_test"], 2)]),
        "beats baseline": ("# (# to #) %" if beats else "", beats),
    }


def _reduced(row: Mapping[str, Any]) -> Cell:
    if row["error_reduction"] is None:
        return "", []
    low, high = row["error_reduction_ci95"]
    open_ = ", one seed" if row["p_value"] is None else ""
    if row["p_value"] is not None and (row["p_value"] >= LEVEL or low <= 0 <= high):
        open_ = ", not resolved"
    return f"# (# to #){open_}", [(100 * value, 0) for value in (row["error_reduction"], low, high)]


def _duration(seconds: float) -> Cell:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min")] if hours else [(minutes, "min"), (rest, "s")] if minutes else [(rest, "s")]
    return " ".join(f"# {unit}" for _, unit in parts), [(float(value), 0) for value, _ in parts]
