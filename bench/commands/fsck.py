"""Check everything stored against its checksums; --repair mends or sets aside."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench.commands.common import console, print_json, waiting
from bench.errors import RecordError, UsageError

if TYPE_CHECKING:
    from bench.holdout.fsck import Problem

EXAMPLES = """
  bench fsck                              what is not as it was written
  bench fsck --repair                     mend it, or set it aside
"""


def arguments(fsck: argparse.ArgumentParser) -> None:
    fsck.add_argument(
        "--repair", action="store_true", help="mend what can be mended, move what cannot to <home>/quarantine"
    )


def run(options: argparse.Namespace) -> None:
    from bench.holdout.fsck import check, to_json

    if not options.home.is_dir():
        raise UsageError(f"There is no home {options.home}. Give one with --home DIR.")
    found: list[tuple[str, list[Problem]]] = []
    with waiting(options, "checking what is stored") as wait:
        for part, problems in check(options.home):
            found.append((part, problems))
            wait.step(f"checking what is stored: {part} done")
            if options.repair:
                for problem in problems:
                    if problem.repair is not None:
                        problem.repair()
    for part, problems in found if not options.json else []:
        _print(part, problems, options.repair)
    if options.json:
        print_json(to_json(found, options.repair))
    _judge([problem for _, problems in found for problem in problems], options.repair)


def _print(part: str, problems: list[Problem], repaired: bool) -> None:
    from rich.text import Text

    from bench.terminal.sparkline import one_line

    out = console()
    out.print(Text(f"{part:<12} {'ok' if not problems else _count(len(problems))}"))
    for problem in problems:
        out.print(Text(f"  {one_line(problem.where)}"), soft_wrap=True)
        out.print(Text(f"    {one_line(problem.what)}"), soft_wrap=True)
        if problem.repair is None:
            mended = f"only you can mend it: {problem.remedy}"
        else:
            mended = problem.remedy if repaired else f"--repair: {problem.remedy}"
        out.print(Text(f"    {one_line(mended)}", style="dim"), soft_wrap=True)


def _judge(problems: list[Problem], repaired: bool) -> None:
    left = [problem for problem in problems if not (repaired and problem.repair is not None)]
    if not left:
        return
    mendable = sum(problem.repair is not None for problem in left)
    hint = f" `bench fsck --repair` takes care of {mendable}." if mendable else ""
    raise RecordError(f"{_count(len(left))} found.{hint}")


def _count(problems: int) -> str:
    return f"{problems} problem{'s' if problems > 1 else ''}"
