"""Compare the families that have a final."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bench.boards import make_board, make_validation_board
from bench.commands.common import console, dataset_name, print_json, waiting
from bench.commands.options import add_dataset, add_storage

if TYPE_CHECKING:
    from bench.commands.parser import Parser


EXAMPLES = """
  bench leaderboard                       the data set sealed last, MNIST first
  bench leaderboard --dataset digits --baseline cnn
  bench leaderboard --markdown > README-part.md
  bench leaderboard --validation          without a look at any test set
"""


def arguments(leaderboard: Parser) -> None:
    add_dataset(leaderboard)
    add_storage(leaderboard)
    leaderboard.add_argument("--baseline", metavar="FAMILY", help="error reduction is against this one (default: mlp)")
    leaderboard.add_argument("--validation", action="store_true", help="best validation accuracies, before any look")
    leaderboard.shape.add_argument("--csv", action="store_true", help="one line a family, on stdout")
    leaderboard.shape.add_argument("--markdown", action="store_true", help="a table to paste")


def run(options: argparse.Namespace) -> None:
    from bench import formats
    from bench.terminal.tables import leaderboard_table

    dataset = dataset_name(options)
    with waiting(options, "comparing the families"):
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
