"""Search one or more families, then confirm, retrain and test the winner."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from bench.commands.chain import load_families, run_families
from bench.commands.common import print_json, say
from bench.commands.options import add_seeds, add_study, add_workers, duration, pair, positive
from bench.frozen import HARMLESS

if TYPE_CHECKING:
    from bench.family import Family

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "nsgaii", "grid", "brute-force")
PRUNERS = ("asha", "hyperband", "median", "percentile", "none")
ENGINES = ("optuna",)


def arguments(search: argparse.ArgumentParser) -> None:
    search.add_argument("families", nargs="+", metavar="FAMILY", help="a name, a path of a family file, or all")
    add_study(search)
    search.add_argument("--trials", type=positive, default=50, metavar="N", help="reach N finished trials (50)")
    search.add_argument("--engine", choices=ENGINES, default="optuna")
    search.add_argument("--sampler", choices=SAMPLERS, help="default: tpe")
    search.add_argument("--pruner", choices=PRUNERS, help="default: asha, one bracket of successive halving in samples")
    search.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="default: auto, by measurement")
    search.add_argument("--seed", type=int, metavar="S", help="the study's seed (0)")
    search.add_argument("--set", action="append", default=[], type=pair, metavar="NAME=VALUE", dest="fixed")
    search.add_argument("--range", action="append", default=[], type=pair, metavar="NAME=LOW:HIGH", dest="ranges")
    search.add_argument("--timeout", type=duration, metavar="30m", help="stop the search after this long; resumable")
    search.add_argument("--trial-timeout", type=duration, metavar="5m", help="a longer trial has failed")
    search.add_argument(
        "--accept", action="append", default=[], choices=HARMLESS, help="go on although these differ from the study's"
    )
    add_workers(search)
    add_seeds(search)
    search.add_argument("--no-final", action="store_true", help="stop after the search; the test set stays sealed")
    search.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")


def run(options: argparse.Namespace) -> None:
    families = load_families(options)
    if options.dry_run:
        _dry_run(options, families)
    else:
        run_families(options, families, search_first=True)


def _dry_run(options: argparse.Namespace, families: list[Family]) -> None:
    from bench.holdout.seal import ensure
    from bench.workers.devices import places

    sealed = ensure(options.home, options.dataset, options.data_dir, say)
    where = places(options.workers, options.gpus, options.per_gpu)
    plan = {
        "schema": 1,
        "dataset": sealed.name,
        "train": sealed.n_train,
        "validation": sealed.n_validation,
        "test": sealed.n_test,
        "workers": len(where),
        "trials": options.trials,
        "families": [{"family": f.name, "space": f.space.describe(), "reference": f.reference} for f in families],
    }
    if options.json:
        print_json(plan)
        return
    print(
        f"{sealed.name}: {sealed.n_train:,} train, {sealed.n_validation:,} validation, {sealed.n_test:,} test (sealed)"
    )
    for family in families:
        print(f"{family.name}: {options.trials} trials on {len(where)} workers; {', '.join(family.space.domains)}")
