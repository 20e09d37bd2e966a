"""Images of a trial as PNG: its learning curve with the rungs, and its confusion matrix on validation.

Only here and in `dashboards.gallery` is matplotlib imported. Figures are made without pyplot, which keeps state
between calls.
"""

from __future__ import annotations

import functools
import io
import logging
import threading

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.records import Cells

BLUE, ORANGE = "#2f86d1", "#d9731a"
COUNTED = 20  # classes up to which every count is written into its cell
drawing = threading.Lock()  # matplotlib's fonts are not made for several threads

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a font cache that is being built is no news


@functools.lru_cache(maxsize=256)
def learning_curve(curve: tuple[tuple[int, float], ...], rungs: int, state: str) -> bytes:
    """PNG of one trial's learning curve.

    Args:
        curve: (samples, validation accuracy in [0, 1]), ascending.
        rungs: how many points, from the first, are rungs; a dotted line marks each.
        state: how the trial ended; a pruned one ends in a cross.
    """
    with drawing:
        figure, axes = _figure(6.4, 3.6)
        samples, percent = [s for s, _ in curve], [100 * a for _, a in curve]
        for mark in samples[:rungs]:
            axes.axvline(mark, color="0.6", linestyle=":", linewidth=1)
        axes.plot(samples, percent, color=BLUE, marker="o", linewidth=2, markersize=5)
        if state == "pruned":
            axes.plot(samples[-1:], percent[-1:], color=ORANGE, marker="X", markersize=11, linestyle="")
        for x, y in zip(samples, percent, strict=True):
            axes.annotate(f"{y:.2f}", (x, y), textcoords="offset points", xytext=(0, 8), ha="center", fontsize=9)
        axes.set(xlabel="samples seen", ylabel="validation accuracy, %", xlim=(0, 1.08 * max([*samples, 1])))
        span = max(max(percent) - min(percent), 5.0)
        low, high = min(percent) - 0.2 * span, min(max(percent) + 0.2 * span, 100 + 0.1 * span)
        axes.set_yticks([tick for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= min(high, 100.001)])
        axes.set_ylim(low, high)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        ending = {"pruned": "pruned at the cross", "complete": "complete"}.get(state, state)
        axes.set_title(f"Learning curve, {ending}; dotted lines are rungs", fontsize=11, loc="left")
        return png(figure)


@functools.lru_cache(maxsize=256)
def confusion_matrix(cells: Cells) -> bytes:
    """PNG of a confusion matrix in counts; the colour is the share of the true label's images, errors spread out."""
    classes = 1 + max((max(true, predicted) for true, predicted, _ in cells), default=1)
    counts = np.zeros((classes, classes), int)
    for true, predicted, images in cells:
        counts[true, predicted] = images
    total = int(counts.sum())
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with drawing:
        side = min(max(3.6, 0.52 * classes), 8.0)
        figure, axes = _figure(side + 1.0, side + 0.6)
        # A square root: one image in a hundred mistaken is seen beside the diagonal.
        axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
        if classes <= COUNTED:
            for true, predicted, images in cells:
                dark = share[true, predicted] > 0.3
                axes.text(predicted, true, str(images), ha="center", va="center", color="white" if dark else "black")
        axes.set(xlabel="predicted label", ylabel="true label")
        axes.set_title(
            f"{counts.trace():,} of {total:,} validation images right, {total - counts.trace():,} wrong",
            fontsize=11,
            loc="left" if classes > 4 else "center",
        )
        step = 1 if classes <= COUNTED else 10
        axes.set_xticks(range(0, classes, step))
        axes.set_yticks(range(0, classes, step))
        axes.grid(False)
        return png(figure)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(axis="y", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def png(figure: Figure) -> bytes:
    """A figure as a PNG file's bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
