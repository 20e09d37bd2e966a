"""A gallery of images as PNG: sections of small pictures, each with two lines below it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.inert import one_line
from dashboards.images import drawing, png

ACROSS = 8  # pictures a row
SIDE, CAPTION, HEADING = 1.15, 0.42, 0.45  # inches
LONGEST = 16  # characters of a line below a picture


@dataclass(frozen=True)
class Section:
    """Pictures under one heading.

    Attributes:
        pictures: float in [0, 1], shape (pictures, height, width, channels).
        captions: two lines for each.
    """

    heading: str
    pictures: Any
    captions: Sequence[tuple[str, str]]


def gallery(title: str, sections: Sequence[Section]) -> bytes:
    """PNG of all sections, one below the other; a section without pictures says so in its heading."""
    rows = [-(-len(section.captions) // ACROSS) for section in sections]
    height = HEADING * (len(sections) + 1) + sum(rows) * (SIDE + CAPTION)
    width = ACROSS * SIDE
    with drawing:
        figure = Figure(figsize=(width, height), dpi=110)
        FigureCanvasAgg(figure)
        top = height - HEADING
        _text(figure, title, top / height, 13, "bold")
        for section, count in zip(sections, rows, strict=True):
            top -= HEADING
            _text(figure, section.heading, top / height, 11, "normal")
            for place, (first, second) in enumerate(section.captions):
                row, column = divmod(place, ACROSS)
                left, bottom = column * SIDE, top - row * (SIDE + CAPTION) - SIDE
                margin = 0.08
                box = (left + margin, bottom + margin, SIDE - 2 * margin, SIDE - 2 * margin)
                axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
                picture = section.pictures[place]
                grey = picture.shape[2] < 3
                axes.imshow(picture[:, :, 0] if grey else picture[:, :, :3], cmap="gray", vmin=0.0, vmax=1.0)
                axes.set_axis_off()
                text = f"{_short(first)}\n{_short(second)}"
                figure.text((left + SIDE / 2) / width, bottom / height, text, ha="center", va="top", fontsize=8)
            top -= count * (SIDE + CAPTION)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
            return png(figure)


def _text(figure: Figure, text: str, at: float, size: int, weight: str) -> None:
    figure.text(0.01, at + 0.08 / figure.get_figheight(), _plain(text), fontsize=size, fontweight=weight, va="bottom")


def _short(text: str) -> str:
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return _plain(text)


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is: a dollar sign would begin a formula."""
    return one_line(text).replace("$", r"\$")
