"""Every trial of a study."""

from __future__ import annotations

import argparse
from contextlib import closing

from bench.commands.common import check_family, console, print_json, study_of, waiting
from bench.commands.options import add_study

EXAMPLES = """
  bench trials cnn                        on the data set sealed last
  bench trials cnn --dataset digits --json
  bench trials cnn --study my-study
"""


def arguments(trials: argparse.ArgumentParser) -> None:
    trials.add_argument("family", metavar="FAMILY", help="a name, or a path of a family file")
    add_study(trials)


def run(options: argparse.Namespace) -> None:
    from bench.terminal.tables import trials_table

    with waiting(options, "reading the storage"):
        from bench.store import Store
        from bench.study import outcome

        with closing(Store(options.home, options.storage, make=False)) as store:
            name, family = study_of(options, store)
            found = outcome(store, name)
    check_family(found, family)
    if options.json:
        wanted = ("number", "state", "params", "val_accuracy", "samples", "seconds", "worker", "reason")
        rows = [{name: trial.to_json()[name] for name in wanted} for trial in found.trials]
        print_json({"schema": 1, "study": found.study, "rows": rows})
    else:
        out = console()
        out.print(trials_table(found.trials, out.width))
