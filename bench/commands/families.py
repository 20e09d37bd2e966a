"""The model families that can be named."""

from __future__ import annotations

import argparse

from bench.commands.common import console, print_json
from bench.errors import InputError

EXAMPLES = """
  bench families                          those of ./search_spaces first
  bench families --json
"""


def arguments(families: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(options: argparse.Namespace) -> None:
    from bench.family import discover, load_file
    from bench.terminal.tables import families_table

    rows = []
    for name, path in sorted(discover().items()):
        try:
            family = load_file(path)
            rows.append({"family": name, "about": family.about, "parameters": list(family.space.domains), "file": path})
        except InputError as error:
            rows.append({"family": name, "about": f"broken: {error}", "parameters": [], "file": path})
    if options.json:
        print_json({"schema": 1, "rows": rows})
    else:
        console().print(families_table(rows))
