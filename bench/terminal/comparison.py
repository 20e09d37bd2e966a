"""What `bench compare-engines` prints: the best at the budget, what differs from the baseline, and what it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.terminal.sparkline import duration, one_line

STYLES = {"better": "bold green", "worse": "bold red", "no difference resolved": "bold", "not compared": "bold"}
Document = Mapping[str, Any]


def comparison(document: Document, width: int) -> RenderableType:
    """The document of `bench compare-engines --json`, for `width` columns."""
    seeds = len(document["seeds"])
    head = f"best validation accuracy after {_epochs(document, document['budget']['samples'])} a search"
    what = f"{head}, {document['precision']}, {seeds} seed{'s' if seeds > 1 else ''}, 95 % intervals"
    where = f"{one_line(document['family'])} on {one_line(document['dataset'])}"
    parts: list[RenderableType] = [Text.assemble((where, "bold"), f": {what}"), Text(), _scores(document), Text()]
    parts += [_verdict(row, document) for row in document["pairs"] if row["verdict"] is not None]
    parts += [Text(), _costs(document), Text()]
    parts += [Text(note, style="dim") for note in _notes(document)]
    return Group(*parts)


def _scores(document: Document) -> Table:
    table = _table("pair", "best, %", "against the baseline, points", "Holm p")
    for row in document["pairs"]:
        cells = [one_line(row["pair"]), _percent(row["mean"], row["ci95"])]
        if row["pair"] == document["baseline"]:
            table.add_row(*cells, "the baseline", "")
        else:
            table.add_row(*cells, _points(row), _p(row["p_holm"]))
    return table


def _costs(document: Document) -> Table:
    table = _table("pair", "trials", "complete", "time", "as good after", "in")
    for row in document["pairs"]:
        reached = row["to_baseline"]
        after = "not in most of them"
        if reached["samples"] is not None:
            after = f"{_epochs(document, reached['samples'])}, {duration(reached['seconds'])}"
        table.add_row(
            one_line(row["pair"]),
            f"{row['trials']:.1f}",
            f"{row['complete']:.1f}",
            duration(row["seconds"]),
            after,
            f"{reached['reached']} of {len(document['seeds'])}",
        )
    return table


def _verdict(row: Mapping[str, Any], document: Document) -> Text:
    said = {
        "better": "better than the baseline",
        "worse": "worse than the baseline",
        "no difference resolved": "no difference from the baseline resolved",
        "not compared": "not compared: a search completed no trial within the budget",
    }
    text = said[row["verdict"]]
    if row["verdict"] == "no difference resolved" and row["p_value"] is None:
        few = len(document["seeds"]) == 1
        text += "; one seed does not show how searches differ" if few else "; its differences do not vary"
    return Text.assemble(one_line(row["pair"]), ": ", (text, STYLES[row["verdict"]]))


def _notes(document: Document) -> list[str]:
    on_ray = any(row["engine"] == "ray" for row in document["pairs"])
    return [
        *(["The time of an engine ray begins with the start of its cluster, once a search."] if on_ray else []),
        f"The baseline is {document['baseline']}. Trials and time are means over seeds; as good after is the median of "
        "what it took to reach the best that the baseline of the same seed ended with.",
        f"Tested: {document['method']}. It holds for this data set, split and space.",
        "The best of many validation accuracies is optimistic; no test image was looked at.",
    ]


def _epochs(document: Document, samples: float) -> str:
    return f"{samples / document['train_images']:.4g} epochs"


def _percent(mean: float | None, bounds: Sequence[float] | None) -> str:
    if mean is None:
        return "none complete"
    # An interval of t may pass 100 %, which no accuracy does.
    inside = bounds and [min(max(bound, 0.0), 1.0) for bound in bounds]
    return f"{100 * mean:.2f}" + (f" ({100 * inside[0]:.2f} to {100 * inside[1]:.2f})" if inside else "")


def _points(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return "not compared"
    bounds = row["difference_ci95"]
    interval = f" ({100 * bounds[0]:+.2f} to {100 * bounds[1]:+.2f})" if bounds else ""
    return f"{100 * row['difference']:+.2f}{interval}"


def _p(value: float | None) -> str:
    return "not tested" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=index == 0)
    return table
