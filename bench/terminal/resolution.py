"""What `bench plan` prints: what is resolved with the seeds and images there are, and what the asked for would take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.planning import MOST_SEEDS
from bench.terminal.sparkline import one_line


def resolution(document: Mapping[str, Any]) -> RenderableType:
    """The document of `bench plan --json`."""
    rows, points = document["rows"], _points(document["resolve"])
    parts: list[RenderableType] = [_by_seeds(rows), Text()]
    parts += [Text.assemble((f"{_name(row)}: ", "bold"), _takes(row, points)) for row in rows]
    power, alpha = f"{100 * document['power']:.0f}", f"{100 * document['alpha']:.0f}"
    where = f"{one_line(document['dataset'])}: " if document["error"] is None else ""
    parts += [
        Text(),
        Text(f"{where}differences in points that a test at {alpha} % finds {power} times in 100.", style="dim"),
    ]
    if document["error"] is None:
        parts.append(Text("Estimated from stored predictions: of the winners there are, on these images.", style="dim"))
    else:
        error = _points(document["error"])
        parts.append(
            Text(f"Assumed: both err on {error} %, half of it by their seed, and share no mistakes.", style="dim")
        )
    return Group(*parts, *(Text(one_line(note), style="dim") for note in document["notes"]))


def _by_seeds(rows: list[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("resolved with seeds a family:", overflow="fold")  # names give way, numbers do not
    for seeds in rows[0]["resolved_by_seeds"]:
        table.add_column(seeds, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text(_name(row)), *(_points(found) for found in row["resolved_by_seeds"].values()))
    return table


def _takes(row: Mapping[str, Any], points: str) -> str:
    seeds, images = row["seeds_needed"], row["images_needed"]
    now = f"{row['seeds']} seeds and {row['images']:,} images resolve {_points(row['resolved'])} points. "
    with_seeds = f"{seeds} seeds on these images" if seeds else f"no number of seeds up to {MOST_SEEDS:,}"
    with_images = f"{images:,} images with these seeds" if images else "no number of images with these seeds"
    if seeds and seeds <= row["seeds"]:
        return f"{now}{points} take no more than {with_seeds}."
    return f"{now}{points} take {with_seeds}, or {with_images}."


def _name(row: Mapping[str, Any]) -> str:
    return one_line(" and ".join(row["families"])) if row["families"] else "two families"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}" if fraction >= 0.001 or not fraction else f"{100 * fraction:.2g}"
