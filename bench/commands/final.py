"""Confirm the best few, freeze, retrain over seeds, test once."""

from __future__ import annotations

import argparse

from bench.commands.options import add_accept, add_reference, add_seeds, add_study, add_workers
from bench.commands.running import families_of, run_and_print

EXAMPLES = """
  bench final cnn                         the second half of `bench search cnn`
  bench final cnn mlp --seeds 10          ten runs of each winner
  bench final cnn --with-reference        what did tuning gain?
"""


def arguments(final: argparse.ArgumentParser) -> None:
    final.add_argument("families", nargs="+", metavar="FAMILY", help="a name, a path of a family file, or all")
    add_study(final)
    add_accept(final)
    add_seeds(final)
    add_reference(final)
    add_workers(final)


def run(options: argparse.Namespace) -> None:
    run_and_print(options, families_of(options), search_first=False)
