"""Options that several commands share, and the types of option values. Imports nothing heavy."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.budgets import Budget
    from bench.commands.parser import Parser

from bench.commands.common import say
from bench.options import DEFAULT_SEEDS, HARMLESS, seconds_in
from bench.urls import has_password

LONGEST_NAME = 200  # Optuna's tables hold 512


def add_everywhere(parser: Parser) -> None:
    """What every command takes: --home, --data-dir, --json, --quiet."""
    parser.add_argument(
        "--home",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="where everything is stored (default: $BENCH_HOME, else ./runs)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where data sets are looked for first (default: $BENCH_DATA_DIR)",
    )
    parser.shape.add_argument("--json", action="store_true", help="one JSON document on stdout, all else on stderr")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress; only results (stdout), warnings and errors (stderr)"
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    """What every command about a study takes: --dataset, --study, --storage."""
    add_dataset(parser)
    parser.add_argument("--study", type=study_name, metavar="NAME", help="default: <dataset>-<family>")
    add_storage(parser)


def add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", type=dataset, metavar="NAME|PATH", help="digits, mnist, fashion_mnist, cifar10 or an .npz"
    )


def add_storage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--storage",
        type=storage,
        metavar="URL",
        help="instead of <home>/bench.db; one with a password belongs in $BENCH_STORAGE",
    )


def warn_of_password(options: argparse.Namespace) -> None:
    """Say so where a password was typed: every user of the machine can read command lines."""
    origin = getattr(options, "origins", {}).get("storage")
    if origin is not None and origin.kind == "flag" and has_password(options.storage):
        say("Every user of this machine can read a password on a command line (ps); put the URL into $BENCH_STORAGE.")


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=_worker_count, metavar="N|auto", help="training processes (auto: one a core)")
    parser.add_argument("--gpus", type=gpus, metavar="0,1", help="GPUs to use (default: all; 'none' for none)")
    parser.add_argument("--per-gpu", type=positive, default=1, metavar="K", help="workers that share a GPU (1)")


def add_ray_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ray-address",
        metavar="HOST:PORT|auto",
        help="with --engine ray: a cluster that runs already (default: one of this machine's own)",
    )


def add_seeds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seeds", type=positive, default=DEFAULT_SEEDS, metavar="K", help=f"runs of the winner ({DEFAULT_SEEDS})"
    )


def add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-reference",
        action="store_true",
        help="test the reference configuration in the same look, to see what tuning gained",
    )


def dataset(text: str) -> str:
    """A data set's name, or the path of an .npz."""
    return text


def storage(text: str) -> str:
    """The URL of a storage."""
    return text


def _path_beside(text: str, folder: Path) -> str:
    return str(folder / Path(text).expanduser())


def _dataset_beside(text: str, folder: Path) -> str:
    return _path_beside(text, folder) if text.endswith(".npz") or "/" in text else text


def _storage_beside(text: str, folder: Path) -> str:
    scheme, slashes, path = text.partition(":///")
    of_a_file = scheme.startswith("sqlite") and slashes and path and not path.startswith((":", "file:"))
    return f"{scheme}:///{_path_beside(path, folder)}" if of_a_file else text


# What a file of options says by these types is relative to that file.
RELATIVE: dict[Any, Callable[[str, Path], str]] = {
    Path: _path_beside,
    dataset: _dataset_beside,
    storage: _storage_beside,
}


def whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def add_space(parser: argparse.ArgumentParser) -> None:
    """--set and --range, which change a family's space without code."""
    lists: dict[str, Any] = {"action": "append", "default": [], "type": pair}
    parser.add_argument("--set", metavar="NAME=VALUE", dest="fixed", help="keep a parameter at this value", **lists)
    parser.add_argument("--range", metavar="NAME=LOW:HIGH", dest="ranges", help="search a parameter here", **lists)


def add_accept(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accept", action="append", default=[], choices=HARMLESS, help="go on although these differ from the study's"
    )


def positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return number


def study_name(text: str) -> str:
    if not text.isprintable() or not 0 < len(text) <= LONGEST_NAME:
        raise argparse.ArgumentTypeError(f"must be 1 to {LONGEST_NAME} printable characters, not {text!r}")
    return text


def _worker_count(text: str) -> int | None:
    return None if text == "auto" else positive(text)


def gpus(text: str) -> list[str]:
    return [] if text == "none" else [part.strip() for part in text.split(",") if part.strip()]


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"is written name=value, not {text!r}")
    return name.strip(), value.strip()


def budget(text: str) -> Budget:
    """'20' is so many trials; '40s', '10m' or '1h30m' is device-seconds."""
    from bench.budgets import WRITTEN, budget_of

    found = budget_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{WRITTEN}, not {text!r}")
    return found


def duration(text: str) -> float:
    """Seconds of '90', '90s', '30m', '2h', or sums of them such as '1h30m'."""
    found = seconds_in(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"is written like 90s, 30m or 1h30m, not {text!r}")
    return found
