"""What a prompt shows of an object: its rich rendering as plain text."""

from __future__ import annotations

import io
import shutil

from rich.console import Console, RenderableType


def plain(thing: RenderableType) -> str:
    """The rendering without colour, as wide as the terminal."""
    out = io.StringIO()
    Console(file=out, width=shutil.get_terminal_size().columns, color_system=None, force_jupyter=False).print(thing)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())
