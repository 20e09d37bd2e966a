"""Figures of a study: trials -> plotly figures, pure.

Text and grid are a grey that reads on white as on black, and the background is transparent, so that the same figure
fits a light and a dark page. Accuracies stand on a logarithmic scale of the error: near the top, where studies are
decided, 98 to 99 % takes as much room as 80 to 90 %. No text from outside the records' numbers enters a figure.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from bench.records import Trial

GREY = "#7b7b7b"  # contrast 4.2 on white, 4.4 on the #121212 of dark pages
GRID = "rgba(128, 128, 128, 0.25)"
BLUE, ORANGE = "#2f86d1", "#d9731a"  # told apart by colour-blind readers too
LEAST_ERROR = 5e-4  # a logarithm needs an error; an accuracy above 99.95 % is drawn there, and read as it is on hover
PAIRS = [(color, dash) for dash in ("solid", "dash", "dot") for color in (BLUE, ORANGE, "#2b8a3e", "#a34fb5")]
LABELLED = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9))  # leading digits of the errors with a tick, coarse and fine


def accuracy_over_time(trials: Sequence[Trial]) -> go.Figure:
    """Every complete trial, and the best validation accuracy so far, against seconds of search."""
    done = [t for t in trials if t.state == "complete" and t.val_accuracy is not None and t.elapsed is not None]
    done.sort(key=lambda t: t.elapsed or 0.0)
    seconds = [t.elapsed or 0.0 for t in done]
    accuracies = [t.val_accuracy or 0.0 for t in done]
    best = [max(accuracies[: i + 1]) for i in range(len(accuracies))]
    figure = _figure("Validation accuracy over search time", "search time, s")
    figure.add_scatter(
        x=seconds,
        y=_errors(accuracies),
        customdata=[[t.number, 100 * a] for t, a in zip(done, accuracies, strict=True)],
        mode="markers",
        name="complete trials",
        marker={"color": GREY, "size": 7},
        hovertemplate="trial %{customdata[0]}: %{customdata[1]:.2f} %, %{x:.1f} s<extra></extra>",
    )
    figure.add_scatter(
        x=seconds,
        y=_errors(best),
        customdata=[100 * a for a in best],
        mode="lines",
        name="best so far",
        line={"color": BLUE, "width": 2.5, "shape": "hv"},
        hovertemplate="best after %{x:.1f} s: %{customdata:.2f} %<extra></extra>",
    )
    figure.update_xaxes(rangemode="tozero")
    _accuracy_axis(figure, accuracies)
    return _or_empty(figure, bool(done), "No complete trial yet")


def rung_survival(trials: Sequence[Trial]) -> go.Figure:
    """How many trials reached each rung and how many of them went on, as bars; the last one is the complete trials."""
    reached: dict[int, int] = {}
    stopped: dict[int, int] = {}
    failed: dict[int, int] = {}
    for trial in trials:
        for samples, _ in trial.rungs:
            reached[samples] = reached.get(samples, 0) + 1
        ended = {"pruned": stopped, "failed": failed}.get(trial.state)
        if ended is not None and trial.rungs:
            last = trial.rungs[-1][0]
            ended[last] = ended.get(last, 0) + 1
    marks = sorted(reached)
    complete = sum(trial.state == "complete" for trial in trials)
    names = [*(f"{samples:,}" for samples in marks), "end of run"]
    on = [*(reached[samples] - stopped.get(samples, 0) - failed.get(samples, 0) for samples in marks), complete]
    off, lost = ([*(ended.get(samples, 0) for samples in marks), 0] for ended in (stopped, failed))
    figure = _figure("Trials that reached each rung", "samples at the rung")
    bars: list[tuple[str, list[int], str]] = [("went on, or complete", on, BLUE), ("stopped there", off, ORANGE)]
    bars += [("failed after it", lost, GREY)] if failed else []
    for name, counts, color in bars:
        figure.add_bar(
            x=names,
            y=counts,
            name=name,
            marker={"color": color},
            text=[str(count) if count else "" for count in counts],
            textposition="inside",
            insidetextanchor="middle",
            textfont={"color": "white"},
            hovertemplate=f"%{{x}}: %{{y}} {name}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_xaxes(type="category", range=[-0.5, max(len(names), 3) - 0.5])  # one bar alone is no wall
    figure.update_yaxes(title="trials", rangemode="tozero", tickformat="d")
    return _or_empty(figure, bool(marks) or complete > 0, "No trial has been judged yet")


def learning_curves(trials: Sequence[Trial]) -> go.Figure:
    """Validation accuracy against samples seen, one line a trial; stopped ones faint, the best bold."""
    drawn = [trial for trial in trials if trial.curve]
    complete = [trial for trial in drawn if trial.state == "complete"]
    best = max(complete, key=lambda t: (t.val_accuracy or 0.0, -t.number), default=None)
    figure = _figure("Learning curves", "samples seen")
    # What is drawn last lies on top, and is what a pointer finds.
    order = {"pruned": 0, "failed": 0, "running": 1, "complete": 2}
    named: set[str] = set()
    for trial in sorted(drawn, key=lambda t: (t is best, order[t.state], t.number)):
        kind = "best" if trial is best else trial.state
        accuracies = [accuracy for _, accuracy in trial.curve]
        figure.add_scatter(
            x=[samples for samples, _ in trial.curve],
            y=_errors(accuracies),
            customdata=[100 * accuracy for accuracy in accuracies],
            mode="lines+markers",
            name=kind,
            legendgroup=kind,
            showlegend=kind not in named,
            legendrank=-(3 if trial is best else order[trial.state]),
            opacity={"pruned": 0.6, "failed": 0.6}.get(kind, 1.0 if kind == "best" else 0.85),
            line={"color": {"best": ORANGE, "complete": BLUE}.get(kind, GREY), "width": 3 if kind == "best" else 1.5},
            marker={"size": 5},
            hovertemplate=f"trial {trial.number}, {trial.state}: %{{customdata:.2f}} % at %{{x:,}}<extra></extra>",
        )
        named.add(kind)
    figure.update_xaxes(rangemode="tozero")
    _accuracy_axis(figure, [accuracy for trial in drawn for _, accuracy in trial.curve])
    return _or_empty(figure, bool(drawn), "No trial has been judged yet")


def comparison(document: Mapping[str, Any]) -> go.Figure:
    """Mean best validation accuracy so far of every pair, against epochs and against seconds.

    The bands are pointwise 95 % intervals over seeds; the baseline is grey.

    Args:
        document: of `bench.comparison.document`.
    """
    from plotly.subplots import make_subplots

    title = f"{document['family']} on {document['dataset']}: best validation accuracy so far"
    figure = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04)
    figure.update_layout(_figure(html.escape(title), "").layout)
    drawn: list[float] = []
    others = iter(PAIRS * len(document["pairs"]))
    styles = {
        row["pair"]: (GREY, "solid") if row["pair"] == document["baseline"] else next(others)
        for row in document["pairs"]
    }
    panels = (("samples", document["train_images"]), ("seconds", 1))
    cells = [(row, column, *panel) for row in document["pairs"] for column, panel in enumerate(panels, 1)]
    for row, column, name, scale in cells:  # bands first, so that every line lies on all of them
        points = [point for point in row[f"against_{name}"] if point["ci95"]]
        low, high = ([min(max(point["ci95"][end], 0.0), 1.0) for point in points] for end in (0, 1))
        drawn += [*low, *high]
        color = "rgba({}, {}, {}, 0.15)".format(*(int(styles[row["pair"]][0][k : k + 2], 16) for k in (1, 3, 5)))
        for bounds, fill in ((low, None), (high, "tonexty")):
            figure.add_scatter(
                x=[point["at"] / scale for point in points],
                y=_errors(bounds),
                mode="lines",
                line={"width": 0, "shape": "hv"},
                fill=fill,
                fillcolor=color,
                legendgroup=row["pair"],
                showlegend=False,
                hoverinfo="skip",
                row=1,
                col=column,
            )
    for row, column, name, scale in cells:
        means = [point["mean"] for point in row[f"against_{name}"]]
        drawn += means
        color, dash = styles[row["pair"]]
        figure.add_scatter(
            x=[point["at"] / scale for point in row[f"against_{name}"]],
            y=_errors(means),
            customdata=[100 * mean for mean in means],
            mode="lines",
            name=row["pair"],
            legendgroup=row["pair"],
            showlegend=column == 1,
            line={"color": color, "width": 2.5, "dash": dash, "shape": "hv"},
            hovertemplate=f"{row['pair']}: %{{customdata:.2f}} %, %{{x:.4g}}<extra></extra>",
            row=1,
            col=column,
        )
    axis = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis, rangemode="tozero")
    figure.update_xaxes(title="epochs of training used", row=1, col=1)
    figure.update_xaxes(title="search time, s", row=1, col=2)
    _accuracy_axis(figure, drawn)
    figure.update_yaxes(**axis)
    figure.update_yaxes(title="", row=1, col=2)
    return _or_empty(figure, bool(drawn), "No search completed a trial within the budget")


FIGURES = {
    "accuracy-over-time": accuracy_over_time,
    "rung-survival": rung_survival,
    "learning-curves": learning_curves,
}


def _figure(title: str, x_title: str) -> go.Figure:
    figure = go.Figure()
    axis: dict[str, Any] = {"gridcolor": GRID, "linecolor": GRID, "zeroline": False, "automargin": True}
    figure.update_layout(
        template="none",
        title={"text": title, "x": 0.02, "xanchor": "left"},
        font={"color": GREY, "size": 13},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 60, "r": 20, "t": 80, "b": 50},
        xaxis={**axis, "title": x_title},
        yaxis=axis,
    )
    return figure


def _errors(accuracies: Sequence[float]) -> list[float]:
    return [max(1.0 - accuracy, LEAST_ERROR) for accuracy in accuracies]


def _accuracy_axis(figure: go.Figure, accuracies: Sequence[float]) -> None:
    """Errors on a reversed logarithmic axis that is labelled with accuracies, a little wider than the data."""
    errors = _errors(accuracies) or [0.5, 0.01]
    low, high = math.log10(min(errors)), math.log10(max(errors))
    room = 0.06 * (high - low) + 0.02
    low, high = low - room, min(high + room, 0.0)
    ticks = _ticks(low, high)
    figure.update_yaxes(
        type="log",
        range=[high, low],
        tickvals=ticks,
        ticktext=[f"{'≥ ' if error <= LEAST_ERROR else ''}{100 * (1 - error):.4g}" for error in ticks],
        title="validation accuracy, %",
    )


def _ticks(low: float, high: float) -> list[float]:
    """Errors to label between two powers of ten: the coarsest round ones of which three fit, else five even ones."""
    for digits in LABELLED:
        errors = [digit * 10.0**power for power in range(-4, 0) for digit in digits] + [1.0]
        inside = [error for error in errors if 10**low <= error <= 10**high]
        if len(inside) >= 3:
            return inside
    return [10 ** (low + i * (high - low) / 4) for i in range(5)]


def _or_empty(figure: go.Figure, filled: bool, otherwise: str) -> go.Figure:
    if not filled:
        figure.data = ()
        figure.add_annotation(
            text=otherwise, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"size": 16, "color": GREY}
        )
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure
