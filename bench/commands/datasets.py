"""The data sets, where they are found or how to get them."""

from __future__ import annotations

import argparse

from bench.commands.common import console, print_json, say, waiting
from bench.commands.options import dataset

EXAMPLES = """
  bench datasets                          what there is, and how to get it
  bench datasets mnist                    class counts and sample images
  bench datasets path/to/images.npz       does a file of yours pass the checks?
"""


def arguments(datasets: argparse.ArgumentParser) -> None:
    datasets.add_argument(
        "name", nargs="?", type=dataset, metavar="NAME|PATH", help="one data set: class counts and sample images"
    )


def run(options: argparse.Namespace) -> None:
    from bench.terminal import datasets

    if options.name is None:
        if options.json:
            print_json(datasets.datasets_json(options.home, options.data_dir))
        else:
            out = console()
            out.print(datasets.datasets_table(options.home, options.data_dir, out.width))
        return
    from bench.data.arrays import open_arrays
    from bench.holdout.seal import ensure

    with waiting(options, f"sealing {options.name}") as wait:
        sealed = ensure(options.home, options.name, options.data_dir, say, wait.step)
    arrays = open_arrays(sealed)
    if options.json:
        print_json(datasets.page_json(sealed, arrays))
    else:
        console().print(datasets.dataset_page(sealed, arrays))
