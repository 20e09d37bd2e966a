"""What the sections of `bench show` and `bench mistakes` are made of."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def section_table(*columns: tuple[str, Any]) -> Table:
    """An empty table without lines; `columns` are (heading, justification)."""
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in columns:
        table.add_column(heading, justify=justify)
    return table
