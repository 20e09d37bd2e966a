"""Tables for notebooks. Every text is made inert on its way in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bench.terminal.sparkline import one_line


def inert(text: object) -> str:
    """Text that stays text on a page."""
    return escape(one_line(str(text)))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """One row of cells below another; text is aligned to the left, as it may be long."""
    head = _cells("th", headings)
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def lines(texts: Iterable[object]) -> str:
    """Sentences below a table, a line each."""
    return f"<p>{'<br>'.join(inert(text) for text in texts)}</p>"


def _cells(tag: str, texts: Iterable[object]) -> str:
    return "".join(f'<{tag} style="text-align:left">{inert(text)}</{tag}>' for text in texts)
