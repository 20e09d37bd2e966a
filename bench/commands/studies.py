"""Every study in this home."""

from __future__ import annotations

import argparse

from bench.commands.common import console, print_json
from bench.commands.options import add_storage


def arguments(studies: argparse.ArgumentParser) -> None:
    add_storage(studies)


def run(options: argparse.Namespace) -> None:
    from bench.store import Store
    from bench.study import outcome
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
