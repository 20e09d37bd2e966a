"""Confirm the best few, freeze, retrain over seeds, test once."""

from __future__ import annotations

import argparse

from bench.commands.chain import load_families, run_families
from bench.commands.options import add_accept, add_seeds, add_study, add_workers


def arguments(final: argparse.ArgumentParser) -> None:
    final.add_argument("families", nargs="+", metavar="FAMILY")
    add_study(final)
    add_accept(final)
    add_seeds(final)
    add_workers(final)


def run(options: argparse.Namespace) -> None:
    run_families(options, load_families(options), search_first=False)
