"""The README's leaderboard stands there three times: as printed, as Markdown, as JSON. The three are one."""

import json
import re
from pathlib import Path

from rich.console import Console

from bench.formats import to_markdown
from bench.ranking import Board
from bench.terminal.tables import leaderboard_table

README = (Path(__file__).parents[1] / "README.md").read_text()
WIDTH = 120


def board():
    (found,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    document = json.loads(found)
    rows, notes = tuple(document["rows"]), tuple(document["notes"])
    return Board(document["dataset"], document["baseline"], rows, notes, columns=tuple(rows[0]))


def test_the_markdown_is_that_of_the_json():
    assert to_markdown(board()) in README


def test_what_is_printed_is_that_of_the_json():
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(leaderboard_table(board(), WIDTH))
    assert "\n".join(line.rstrip() for line in capture.get().splitlines()) in README
