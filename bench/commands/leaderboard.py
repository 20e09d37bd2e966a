"""Compare the families that have a final."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from bench.boards import make_board, make_curves, make_validation_board
from bench.commands.common import console, dataset_name, print_json, waiting
from bench.commands.options import add_dataset, add_storage, budget

if TYPE_CHECKING:
    from bench.commands.parser import Parser


EXAMPLES = """
  bench leaderboard                       the data set sealed last, MNIST first
  bench leaderboard --dataset digits --baseline cnn
  bench leaderboard --markdown > README-part.md
  bench leaderboard --validation          without a look at any test set
  bench leaderboard --at 20               as it was after 20 trials each
  bench leaderboard --at 40s              after 40 s of device time each
  bench leaderboard --curves              who led when, where they cross
"""


def arguments(leaderboard: Parser) -> None:
    add_dataset(leaderboard)
    add_storage(leaderboard)
    which = leaderboard.add_mutually_exclusive_group()  # the other boards know nothing of test errors
    which.add_argument("--baseline", metavar="FAMILY", help="the family that errors are compared with (mlp)")
    which.add_argument("--validation", action="store_true", help="best validation accuracies, before any look")
    which.add_argument("--at", type=budget, metavar="N", help="the best after so many trials, or, as 40s, device time")
    which.add_argument("--curves", action="store_true", help="best validation accuracy against trials and device time")
    leaderboard.shape.add_argument("--csv", action="store_true", help="one line a family, on stdout")
    leaderboard.shape.add_argument("--markdown", action="store_true", help="a table to paste")


def run(options: argparse.Namespace) -> None:
    from bench import formats
    from bench.terminal.tables import leaderboard_table

    dataset = dataset_name(options)
    if options.curves:
        _curves(options, dataset)
        return
    with waiting(options, "comparing the families"):
        if options.validation or options.at:
            board = make_validation_board(options.home, options.storage, dataset, options.at)
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


def _curves(options: argparse.Namespace, dataset: str) -> None:
    from bench import formats
    from bench.curves import points_board, to_markdown
    from bench.terminal.curves import curves_table

    with waiting(options, "reading the searches"):
        document = make_curves(options.home, options.storage, dataset)
    if options.json:
        print_json(document)
    elif options.csv:
        sys.stdout.write(formats.to_csv(points_board(document)))
    elif options.markdown:
        print(to_markdown(document))
    else:
        out = console()
        out.print(curves_table(document, out.width, ascii_only=not out.encoding.startswith("utf")))
