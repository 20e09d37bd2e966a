"""Every option's value, and where it comes from.

An option may be typed, stand in the environment, or in a file; in this order.
The environment variable of --data-dir is BENCH_DATA_DIR, and so on. The file is
bench.toml, or [tool.bench] in pyproject.toml, the first one found from the
working directory upwards. Paths in it are relative to it:

  data-dir = "data"
  trials = 100                for every command with such an option

  [search]                    for `bench search` alone
  sampler = "random"
  no-final = true
  set = { width = 128 }
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands import settings
from bench.commands.common import console, print_json, say
from bench.commands.settings import Origin
from bench.errors import did_you_mean
from bench.urls import shown, without_passwords

if TYPE_CHECKING:
    from bench.commands.parser import Parser

EXAMPLES = """
  bench config                            every command's options
  bench config search                     those of one command
  BENCH_TRIALS=9 bench config search --seeds 3
"""

INTERNAL = ("BENCH_FAILPOINT", "BENCH_WORKER_OF", "BENCH_WRITE_GOLDEN")


def arguments(config: Parser) -> None:
    config.add_argument("of", nargs="?", choices=config.commands, metavar="COMMAND", help="one command, else all")
    config.add_argument("typed", nargs=argparse.REMAINDER, metavar="...", help="options of that command, as typed")
    config.set_defaults(commands=config.commands)


def run(options: argparse.Namespace) -> None:
    commands: Mapping[str, Parser] = options.commands
    names = [options.of] if options.of else list(commands)
    found = {name: _resolved(commands[name], options.typed) for name in names}
    rows = [
        _row(name, option, action, getattr(found[name], action.dest), found[name].origins[option])
        for name in names
        for option, action in commands[name].options().items()
    ]
    file = settings.find(Path.cwd(), commands)
    for line in _unknown(commands):
        say(line)
    if options.json or (options.of and found[options.of].json):
        plain = [{key: value for key, value in row.items() if key != "said"} for row in rows]
        print_json({"schema": 1, "file": str(file.path) if file else None, "rows": plain})
        return
    _print(rows, file.path if file else None)


def _resolved(command: Parser, typed: list[str]) -> argparse.Namespace:
    """A command's options; what it works on, such as a family, may be left out."""
    for action in command._get_positional_actions():
        action.required = False
    found: argparse.Namespace = command.parse_args(typed)
    return found


def _row(command: str, option: str, action: argparse.Action, value: Any, origin: Origin) -> dict[str, Any]:
    value = _shown(option, value)
    return {
        "command": command,
        "option": option,
        "value": value,
        "source": origin.kind,
        "name": origin.name,
        "file": str(origin.file) if origin.file else None,
        "said": _words(action, value, origin),
    }


def _shown(option: str, value: Any) -> Any:
    if isinstance(value, str):
        return shown(value) if option == "storage" else without_passwords(value)
    if isinstance(value, (list, tuple)):
        return [_shown(option, one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _words(action: argparse.Action, value: Any, origin: Origin) -> tuple[str, str]:
    """(value, where from) for a person."""
    where = origin.where if origin.kind != "flag" else f"typed, {origin.name}"
    if isinstance(value, bool):
        return str(value).lower(), where
    if isinstance(value, list):
        return " ".join(_pair(*one) if isinstance(one, list) else str(one) for one in value) or "none", where
    if value is not None:
        return f"{value:g}" if isinstance(value, float) else str(value), where
    defaults = dict.fromkeys(re.findall(r"default: ([^)]*)", action.help or ""))  # engines have their own
    return ", ".join(defaults) or "not set", where


def _pair(name: str, value: str | list[Any]) -> str:
    return f"{name}={value if isinstance(value, str) else ','.join(map(str, value))}"


def _unknown(commands: Mapping[str, Parser]) -> Iterable[str]:
    options = sorted({option for command in commands.values() for option in command.options()})
    known = {*map(settings.variable, options), *INTERNAL}
    for name in sorted(name for name in os.environ if name.startswith("BENCH_") and name not in known):
        option = name.removeprefix("BENCH_").lower().replace("_", "-")
        yield f"${name} is set, but there is no option --{option}.{did_you_mean(option, options)}"


def _print(rows: list[dict[str, Any]], file: Path | None) -> None:
    """One line an option and value; the commands are named where not all that have the option agree."""
    from rich.table import Table
    from rich.text import Text

    from bench.terminal.sparkline import one_line

    together: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        together.setdefault((row["option"], *row["said"]), []).append(row["command"])
    options = [option for option, _, _ in together]
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("option", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for (option, value, where), commands in sorted(together.items()):
        of = f" ({', '.join(commands)})" if options.count(option) > 1 else ""
        cells = (option, value, f"{where}{of}")
        style = "" if where == "default" else "bold"
        table.add_row(*(Text(one_line(text), style=style) for text in cells))
    out = console()
    out.print(table)
    none = "none; neither bench.toml nor [tool.bench] in pyproject.toml from here upwards"
    out.print(Text(f"file: {one_line(str(file)) if file else none}"))
