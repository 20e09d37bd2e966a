"""A confusion matrix as numbers on a ground that is the darker the more images of the class it stands for.

Numbers, dots for zeros and the order of the rows say all of it without colour. Grounds come with their own ink, so that
they are legible on light and dark terminals alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from bench.terminal.sparkline import cut, one_line

MOST_CLASSES = 20  # of more, the confused pairs say more than a matrix
SHADES = (  # least share of the class's images, style; ColorBrewer's Reds
    (0.20, "#ffffff on #a50f15"),
    (0.10, "#ffffff on #de2d26"),
    (0.05, "#000000 on #fb6a4a"),
    (0.02, "#000000 on #fcae91"),
    (0.0, "#000000 on #fee5d9"),
)
WIDEST_LABEL = 12


def heat(
    matrix: Sequence[Sequence[float]], classes: Sequence[str], width: int, *, ascii_only: bool = False
) -> Text | None:
    """One line a true class, one column a predicted one; None where it does not fit, or there are too many classes.

    Args:
        matrix: images, mean over seeds, shape (classes, classes).
    """
    if len(classes) > MOST_CLASSES:
        return None
    cells = [[count(value, ascii_only=ascii_only) for value in row] for row in matrix]
    numbered = any(cell_len(one_line(name)) > 4 for name in classes)
    heads = [str(index) if numbered else one_line(name) for index, name in enumerate(classes)]
    each = 1 + max(cell_len(text) for text in [*heads, *(cell for row in cells for cell in row)])
    names = [f"{index} {one_line(name)}" if numbered else one_line(name) for index, name in enumerate(classes)]
    # One cell more than the longest name, so that it does not touch the first column.
    label = min(max(4, *map(cell_len, names)) + 1, WIDEST_LABEL, width - each * len(classes))
    if label < 5:
        return None
    text = Text(no_wrap=True)
    text.append(set_cell_size("true", label) + " ".join(_right(head, each - 1) for head in heads), "dim")
    for index, row in enumerate(cells):
        text.append("\n" + set_cell_size(cut(names[index], label - 1, ascii_only=ascii_only), label), "dim")
        images = sum(matrix[index])
        for column, cell in enumerate(row):
            text.append(
                _right(cell, each - 1) + (" " if column + 1 < len(row) else ""),
                _style(matrix[index][column], images, column == index),
            )
    return text


def _right(text: str, width: int) -> str:
    return " " * (width - cell_len(text)) + text


def _style(value: float, images: float, right: bool) -> str:
    if right:
        return "bold green"
    if value == 0:
        return "dim"
    return next(style for least, style in SHADES if value >= least * images)


def count(images: float, *, ascii_only: bool = False) -> str:
    """A mean number of images: tenths below ten, where they tell."""
    if images == 0:
        return "." if ascii_only else "·"
    rounded = f"{images:.1f}" if images < 9.95 else f"{images:.0f}"
    return rounded.removesuffix(".0") if rounded != "0.0" else "<.1"
