"""What `bench reproduce` prints: figures side by side, the claims with their verdicts, the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bench.terminal.sparkline import height, one_line, sparkline

STYLES = {"supported": "bold green", "contradicted": "bold red", "not resolved": "bold"}
NUMBERS = 34  # columns of the learning curves' table beside the curve itself
Document = Mapping[str, Any]


def reproduction(document: Document, width: int, *, ascii_only: bool = False) -> RenderableType:
    """The document of `bench reproduce --json`, for `width` columns."""
    precision = " and ".join(document["precision"])
    seeds = document["seeds"]
    head = f"{precision}, {seeds} seed{'s' if seeds > 1 else ''}, 95 % intervals"
    parts: list[RenderableType] = [
        Text.assemble((f"The notebook's models on {one_line(document['dataset'])}", "bold"), f": {head}"),
        Text(),
        _models(document),
        *map(Text, _run_sentences(document)),
        Text(),
        _reductions(document),
    ]
    for claim in document["claims"]:
        parts += [Text(), Text.assemble((claim["verdict"], STYLES[claim["verdict"]]), f": {one_line(claim['claim'])}")]
        parts += [Padding(Text(one_line(sentence)), (0, 0, 0, 2), expand=False) for sentence in claim["says"]]
        if "harder" in claim["numbers"]:
            parts.append(Padding(_classes(claim["numbers"]["classes"]), (0, 0, 0, 2), expand=False))
    what = "Validation accuracy and training loss after each epoch, with the first and the last value"
    parts += [Text(), Text(what, style="bold"), _curves(document, width, ascii_only)]
    parts += [Text(_habit(model)) for model in document["models"]]
    parts += [Text(), *(Text(one_line(note), style="dim") for note in document["notes"])]
    return Group(*parts)


def _models(document: Document) -> Table:
    theirs = document["comparable"]
    table = _table("model", *(["notebook, %"] if theirs else []), "ours, %", "errors", "one run, %", "looks")
    for model in document["models"]:
        bounds = model["one_more_run95"]
        cells = [
            model["family"],
            *([_percent(model["notebook"]["test_accuracy"])] if theirs else []),
            f"{_percent(model['test_accuracy'])} ({_span(model['ci95'])})",
            f"{model['errors']:.1f}",
            _span(bounds) if bounds else "",
            str(model["test_looks"]),
        ]
        table.add_row(*cells)
    return table


def _run_sentences(document: Document) -> list[str]:
    """Whether the notebook's single run lies where one more of ours would."""
    if not document["comparable"]:
        return []
    if document["models"][0]["one_more_run95"] is None:
        return ["So few seeds do not show how runs differ, so that the notebook's single run cannot be judged by them."]
    said = {
        "inside": "inside what one more run of ours allows",
        "below": "below what one more run of ours allows",
        "above": "above what one more run of ours allows",
    }
    return [
        f"{model['family']}: the notebook's {_percent(model['notebook']['test_accuracy'])} % lies "
        f"{said[model['notebook']['place']]} ({_span(model['one_more_run95'])} %)."
        for model in document["models"]
    ]


def _reductions(document: Document) -> Table:
    theirs = document["comparable"]
    table = _table("error reduction, %", *(["notebook"] if theirs else []), "ours", "Holm p")
    for row in document["reductions"]:
        cells = [f"{row['family']} against {row['against']}"]
        if theirs:
            cells.append(_reduction(row["notebook"]["error_reduction"], row["notebook"]["ci95"]))
        cells += [_reduction(row["error_reduction"], row["error_reduction_ci95"]), _p(row["p_holm"])]
        table.add_row(*cells)
    return table


def _classes(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("class", "mlp errs on, %", "than the rest, points", "Holm p")
    for row in rows:
        against = f"{100 * row['against_rest']:+.2f} ({_span(row['against_rest_ci95'])})"
        error = f"{_percent(row['error'])} ({_span(row['error_ci95'])})"
        table.add_row(str(row["class"]), error, against, _p(row["p_holm"]))
    return table


def _curves(document: Document, width: int, ascii_only: bool) -> Table:
    """Two lines a model: validation accuracy as the live screen draws it, training loss on its own scale."""
    room = max(width - NUMBERS, 8)
    table = _table("", "", "first", "last", right=(2, 3), header=False)
    for model in document["models"]:
        accuracies = [point["val_accuracy"] for point in model["curve"]]
        losses = [point["train_loss"] for point in model["curve"] if point["train_loss"] is not None]
        drawn = sparkline([height(accuracy) for accuracy in accuracies], room, ascii_only=ascii_only)
        table.add_row(model["family"], drawn, f"{_percent(accuracies[0])} %", f"{_percent(accuracies[-1])} %")
        if losses:
            drawn = sparkline(losses, room, ascii_only=ascii_only)
            table.add_row("  its loss", drawn, f"{losses[0]:.4f}", f"{losses[-1]:.4f}")
    return table


def _habit(model: Document) -> str:
    habit = model["habit"]
    if habit["epoch"] == habit["epochs_used"]:
        return (
            f"{model['family']}: the validation curve is highest at its end, epoch {habit['epoch']} "
            f"({_percent(habit['val_accuracy'])} %), where the notebook's habit would stop too."
        )
    used = f"the {habit['epochs_used']} epochs used give {_percent(habit['val_accuracy_at_epochs_used'])} %"
    return (
        f"{model['family']}: the notebook's habit would stop at epoch {habit['epoch']}, the top of the validation "
        f"curve ({_percent(habit['val_accuracy'])} %); {used}."
    )


def _reduction(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None or bounds is None:
        return "too few errors"
    return f"{100 * value:.1f} ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _span(bounds: Sequence[float]) -> str:
    return f"{_percent(bounds[0])} to {_percent(bounds[1])}"


def _p(value: float | None) -> str:
    return "not tested" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(*headings: str, right: Sequence[int] | None = None, header: bool = True) -> Table:
    table = Table(box=None, header_style="bold", show_header=header, pad_edge=False, padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        justify = "right" if (index > 0 if right is None else index in right) else "left"
        table.add_column(heading, justify=justify, no_wrap=index == 0)  # type: ignore[arg-type]
    return table
