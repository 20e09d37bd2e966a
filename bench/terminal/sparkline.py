"""Bars, sparklines and short numbers for the terminal, each with an ASCII form for consoles that are not UTF-8."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from bench.inert import one_line as one_line
from bench.space import Value

BLOCKS = "▁▂▃▄▅▆▇█"
BLOCKS_ASCII = "_.-~^"
SMALLEST_ERROR = 5e-4  # accuracies above 99.95 % look alike; without a floor one perfect trial would flatten all others


def height(accuracy: float) -> float:
    """How high an accuracy stands in a sparkline: -log10(error), so that 99 to 99.5 % shows as well as 90 to 95 %."""
    return -math.log10(max(1.0 - accuracy, SMALLEST_ERROR))


def sparkline(
    values: Sequence[float],
    width: int,
    low: float | None = None,
    high: float | None = None,
    *,
    ascii_only: bool = False,
) -> str:
    """At most `width` characters, one a value; more values than that are thinned, the first and the last kept.

    Args:
        low: the value of the lowest block; the smallest value unless given.
        high: the value of the highest block; the largest value unless given.
    """
    kept = [value for value in values if math.isfinite(value)]
    if not kept or width < 1:
        return ""
    if len(kept) > width:
        kept = [kept[round(i * (len(kept) - 1) / (width - 1))] for i in range(width)] if width > 1 else kept[-1:]
    blocks = BLOCKS_ASCII if ascii_only else BLOCKS
    low, high = min(kept) if low is None else low, max(kept) if high is None else high
    if high - low < 1e-9:
        return blocks[len(blocks) // 2 - 1] * len(kept)
    top = len(blocks) - 1
    return "".join(blocks[min(max(round((value - low) / (high - low) * top), 0), top)] for value in kept)


def bar(fraction: float, width: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """The done and the open part of a progress bar, `width` characters together, told apart by shape too."""
    halves = round(min(max(fraction, 0.0), 1.0) * width * 2)
    full = halves // 2
    if ascii_only:
        return "#" * full, "-" * (width - full)
    done = "━" * full + "╸" * (halves % 2)
    return done, "─" * (width - len(done))


def duration(seconds: float) -> str:
    """12s, 3m07s, 2h05m."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def estimate(seconds: float) -> str:
    """A duration as coarse as a guess deserves: steps of 5 s, 10 s, a minute, five minutes."""
    step = 5 if seconds < 60 else 10 if seconds < 600 else 60 if seconds < 3600 else 300
    return duration(max(round(seconds / step), 1) * step).replace("m00s", "m")


def thousands(count: int) -> str:
    """950, 12.5k, 150k, 2.5M: at most five characters."""
    for limit, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}" if count < 999.5 * limit else f"{count // limit}{unit}"
    return str(count)


def percent(accuracy: float) -> str:
    return f"{100 * accuracy:.2f} %"


def cut(text: str, width: int, *, ascii_only: bool = False) -> str:
    """At most `width` cells; what is cut off is marked."""
    text = one_line(text)
    if ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    if cell_len(text) <= width:
        return text
    mark = "..." if ascii_only else "…"
    return set_cell_size(text, width - len(mark)).rstrip() + mark if width > len(mark) else mark[: max(width, 0)]


def parameters(
    params: Mapping[str, Value], width: int | None = None, order: Sequence[str] = (), *, ascii_only: bool = False
) -> str:
    """`name=value` pairs, those that fit as a whole: a cut number reads as another number.

    Args:
        width: cells; no limit unless given.
        order: names that come first.
    """
    names = [name for name in order if name in params] + [name for name in params if name not in order]
    width = 1_000_000 if width is None else max(width, 0)
    pairs = [cut(f"{name}={_short(params[name])}", width, ascii_only=ascii_only) for name in names]
    if cell_len(" ".join(pairs)) <= width:
        return " ".join(pairs)
    mark = "..." if ascii_only else "…"
    shown = ""
    for pair in pairs:
        if cell_len(f"{shown}{pair} {mark}") <= width:
            shown += f"{pair} "
    return f"{shown}{mark}" if shown else pairs[0]


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
