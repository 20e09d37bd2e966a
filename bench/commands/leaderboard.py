"""Compare the families that have a final."""

from __future__ import annotations

import argparse
import sys

from bench.boards import make_board, make_validation_board
from bench.commands.common import console, dataset_name, print_json


def arguments(leaderboard: argparse.ArgumentParser) -> None:
    leaderboard.add_argument("--dataset", metavar="NAME|PATH")
    leaderboard.add_argument("--storage", metavar="URL", help=argparse.SUPPRESS)
    leaderboard.add_argument("--baseline", metavar="FAMILY", help="error reduction is against this one (default: mlp)")
    leaderboard.add_argument("--validation", action="store_true", help="best validation accuracies, before any look")
    shape = leaderboard.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true")
    shape.add_argument("--markdown", action="store_true")


def run(options: argparse.Namespace) -> None:
    from bench import formats
    from bench.terminal.tables import leaderboard_table

    dataset = dataset_name(options)
    if options.validation:
        board = make_validation_board(options.home, options.storage, dataset)
    else:
        board = make_board(options.home, dataset, options.baseline)
    if options.json:
        print_json(formats.to_json(board))
    elif options.csv:
        sys.stdout.write(formats.to_csv(board))
    elif options.markdown:
        print(formats.to_markdown(board))
    else:
        out = console()
        out.print(leaderboard_table(board, out.width))
