"""What can be typed. Imports nothing heavy, so that `bench --help` answers at once."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import bench

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "nsgaii", "grid", "brute-force")
PRUNERS = ("asha", "hyperband", "median", "percentile", "none")
ENGINES = ("optuna",)
DEFAULT_SEEDS = 5

EXAMPLES = """examples:
  bench search cnn --trials 50          search, retrain the winner over 5 seeds, test once
  bench search all --dataset digits     every family, the same budget each
  bench leaderboard --markdown          the families compared
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="bench",
        description="Search hyperparameters, retrain the winner over seeds, open the test set once, compare families.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bench {bench.__version__}")
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("BENCH_HOME", "runs")),
        help="where everything is stored (default: $BENCH_HOME, else ./runs)",
    )
    data_dir = os.environ.get("BENCH_DATA_DIR")
    everywhere.add_argument(
        "--data-dir",
        type=Path,
        default=Path(data_dir) if data_dir else None,
        help="where data sets are looked for first (default: $BENCH_DATA_DIR)",
    )
    everywhere.add_argument("--json", action="store_true", help="one JSON document on stdout")
    about_study = argparse.ArgumentParser(add_help=False)
    about_study.add_argument("--dataset", metavar="NAME|PATH", help="digits, mnist, fashion_mnist, cifar10 or an .npz")
    about_study.add_argument("--study", metavar="NAME", help="default: <dataset>-<family>")
    about_study.add_argument("--storage", metavar="URL", help="another Optuna storage than <home>/bench.db")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, about: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about, parents=[everywhere, *parents])

    search = command("search", "Search one or more families, then confirm, retrain and test the winner.", about_study)
    search.add_argument("families", nargs="+", metavar="FAMILY", help="a name, a path of a family file, or all")
    _search_options(search)
    _final_options(search)
    search.add_argument("--no-final", action="store_true", help="stop after the search; the test set stays sealed")
    search.add_argument("--dry-run", action="store_true", help="say what would run, and run nothing")

    final = command("final", "Confirm the best few, freeze, retrain over seeds, test once.", about_study)
    final.add_argument("families", nargs="+", metavar="FAMILY")
    _final_options(final)
    _worker_options(final)

    leaderboard = command("leaderboard", "Compare the families that have a final.")
    leaderboard.add_argument("--dataset", metavar="NAME|PATH")
    leaderboard.add_argument("--storage", metavar="URL", help=argparse.SUPPRESS)
    leaderboard.add_argument("--baseline", metavar="FAMILY", help="error reduction is against this one (default: mlp)")
    leaderboard.add_argument("--validation", action="store_true", help="best validation accuracies, before any look")
    shape = leaderboard.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true")
    shape.add_argument("--markdown", action="store_true")

    trials = command("trials", "Every trial of a study.", about_study)
    trials.add_argument("family", metavar="FAMILY")
    command("studies", "Every study in this home.").add_argument("--storage", metavar="URL")
    command("families", "The model families that can be named.")
    datasets = command("datasets", "The data sets, where they are found or how to get them.")
    datasets.add_argument("name", nargs="?", metavar="NAME|PATH", help="one data set: class counts and sample images")
    return top


def _search_options(search: argparse.ArgumentParser) -> None:
    search.add_argument("--trials", type=_positive, default=50, metavar="N", help="reach N finished trials (50)")
    search.add_argument("--engine", choices=ENGINES, default="optuna")
    search.add_argument("--sampler", choices=SAMPLERS, help="default: tpe")
    search.add_argument("--pruner", choices=PRUNERS, help="default: asha, one bracket of successive halving in samples")
    search.add_argument("--precision", choices=("auto", "float32", "bfloat16"), help="default: auto, by measurement")
    search.add_argument("--seed", type=int, metavar="S", help="the study's seed (0)")
    search.add_argument("--set", action="append", default=[], type=_pair, metavar="NAME=VALUE", dest="fixed")
    search.add_argument("--range", action="append", default=[], type=_pair, metavar="NAME=LOW:HIGH", dest="ranges")
    search.add_argument("--timeout", type=_duration, metavar="30m", help="stop the search after this long; resumable")
    search.add_argument("--trial-timeout", type=_duration, metavar="5m", help="a longer trial has failed")
    _worker_options(search)


def _worker_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--workers", type=_workers, metavar="N|auto", help="training processes (auto: one a core)")
    command.add_argument("--gpus", type=_gpus, metavar="0,1", help="GPUs to use (default: all; 'none' for none)")
    command.add_argument("--per-gpu", type=_positive, default=1, metavar="K", help="workers that share a GPU (1)")


def _final_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--seeds",
        type=_positive,
        default=DEFAULT_SEEDS,
        metavar="K",
        help=f"runs of the winner ({DEFAULT_SEEDS})",
    )


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return number


def _workers(text: str) -> int | None:
    return None if text == "auto" else _positive(text)


def _gpus(text: str) -> list[str]:
    return [] if text == "none" else [part.strip() for part in text.split(",") if part.strip()]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"is written name=value, not {text!r}")
    return name.strip(), value.strip()


def _duration(text: str) -> float:
    """Seconds of '90', '90s', '30m', '2h', or sums of them such as '1h30m'."""
    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not parts or "".join(n + u for n, u in parts) != text or not sum(float(n) for n, _ in parts):
        raise argparse.ArgumentTypeError(f"is written like 90s, 30m or 1h30m, not {text!r}")
    return sum(float(number) * units[unit] for number, unit in parts)
