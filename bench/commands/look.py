"""The commands that only read: leaderboard, trials, studies, families, datasets."""

from __future__ import annotations

import argparse
import sys

from bench.commands.boards import make_board, make_validation_board
from bench.commands.common import console, dataset_name, print_json, say
from bench.errors import InputError


def leaderboard_command(options: argparse.Namespace) -> None:
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


def trials_command(options: argparse.Namespace) -> None:
    from bench.family import load
    from bench.search import outcome
    from bench.store import Store
    from bench.terminal.tables import trials_table

    family = load(options.family)
    found = outcome(Store(options.home, options.storage), options.study or f"{dataset_name(options)}-{family.name}")
    if options.json:
        wanted = ("number", "state", "params", "val_accuracy", "samples", "seconds", "worker", "reason")
        rows = [{name: trial.to_json()[name] for name in wanted} for trial in found.trials]
        print_json({"schema": 1, "study": found.study, "rows": rows})
    else:
        out = console()
        out.print(trials_table(found.trials, out.width))


def studies_command(options: argparse.Namespace) -> None:
    from bench.search import outcome
    from bench.store import Store
    from bench.terminal.tables import studies_table

    store = Store(options.home, options.storage)
    rows = []
    for study, settings in store.studies().items():
        found = outcome(store, study)
        rows.append(
            {
                "study": study,
                "dataset": settings["dataset"],
                "family": settings["family"],
                "engine": settings["engine"],
                "trials": found.finished,
                "complete": found.count("complete"),
                "pruned": found.count("pruned"),
                "failed": found.count("failed"),
                "best_val_accuracy": found.best.val_accuracy if found.best else None,
                "seconds": found.seconds,
            }
        )
    if options.json:
        print_json({"schema": 1, "rows": rows})
    else:
        out = console()
        out.print(studies_table(rows, out.width))


def families_command(options: argparse.Namespace) -> None:
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


def datasets_command(options: argparse.Namespace) -> None:
    from bench.terminal import datasets

    if options.name is None:
        if options.json:
            print_json(datasets.datasets_json(options.home, options.data_dir))
        else:
            console().print(datasets.datasets_table(options.home, options.data_dir))
        return
    from bench.data.arrays import open_arrays
    from bench.holdout.seal import ensure

    sealed = ensure(options.home, options.name, options.data_dir, say)
    arrays = open_arrays(sealed)
    if options.json:
        print_json(datasets.page_json(sealed, arrays))
    else:
        console().print(datasets.dataset_page(sealed, arrays))
