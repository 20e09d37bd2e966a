"""bench against what people use today, in turn on this machine; prints a table, and one JSON document last:

    BENCH_DATA_DIR=... python tests/benchmarks/rivals.py [PART...] [--dataset mnist] [--short]

Parts: equal-work (the same configurations, no pruning), to-best (seconds until the rival's best is reached), loop (the
training loop against a bare one), workers (one against two), flops (matrix products against training); all where none
is named. Needs the extra `benchmarks`. Sides take turns A B B A; both read the same sealed training and validation
images, and train on processors, whether or not there are GPUs; seconds are those of whole commands, imports included.
Rivals stand in `with_*.py`, each as its own documentation teaches it (plain) and as an expert would write it (tuned).
The parts take hours on MNIST, and want a machine with nothing else to do. `--short` runs each side once on the built-in
digits, with few trials: that shows that all of it works, and its ratios mean little.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import parts
import race
from rich.console import Console
from rich.table import Table
from sides import Setting
from turns import Row, Spread, machine

from bench.holdout.seal import ensure
from bench.inquiry import measured_precision
from bench.workers.devices import places
from bench.workers.pool import Place, Pool

PARTS = {
    "equal-work": parts.equal_work,
    "to-best": race.to_best,
    "loop": parts.loop,
    "workers": parts.workers,
    "flops": parts.flops,
}
SHORT = {"dataset": "digits", "repeats": 0, "variants": ["tuned"]}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all unless named")
    parser.add_argument("--short", action="store_true", help="a few minutes, on digits")
    parser.add_argument("--dataset", help="digits or mnist (mnist; digits with --short)")
    parser.add_argument("--families", nargs="+", default=["mlp", "cnn"], choices=["mlp", "cnn"])
    parser.add_argument("--rivals", nargs="+", default=list(race.LIMITS), choices=list(race.LIMITS), help="in to-best")
    parser.add_argument("--variants", nargs="+", choices=["plain", "tuned"], help="of rivals (plain and tuned)")
    parser.add_argument("--trials", type=int, help="in place of each part's own number")
    parser.add_argument("--epochs", type=int, help="in place of each part's own number")
    parser.add_argument("--repeats", type=int, help="of A B B A (1); 0 runs each side once")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    usual = {"dataset": "mnist", "repeats": 1, "variants": ["plain", "tuned"]}
    for name, value in (SHORT if options.short else usual).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def prepared(options: argparse.Namespace, scratch: Path) -> tuple[Setting, dict[str, Any]]:
    """What all parts share, and what was seen while it was made."""
    data_dir = Path(os.environ["BENCH_DATA_DIR"]) if "BENCH_DATA_DIR" in os.environ else None
    began = time.monotonic()
    sealed = ensure(scratch / "sealed", options.dataset, data_dir, say, lambda line: None)
    seen = {"seconds to seal the data, once": round(time.monotonic() - began, 1)}
    with Pool([Place(1)], sealed.folder, [], scratch / "logs") as pool:
        precision = measured_precision(pool)
    setting = Setting(
        sealed=sealed,
        dataset=options.dataset,
        data_dir=data_dir,
        scratch=scratch,
        families=options.families,
        rivals=options.rivals,
        variants=options.variants,
        precision=precision,
        workers=len(places(None, [], 1)),
        seed=options.seed,
        repeats=options.repeats,
        short=options.short,
        trials=options.trials,
        epochs=options.epochs,
    )
    return setting, seen


def table(rows: list[Row], title: str) -> Table:
    found = Table(title=title, title_justify="left", caption_justify="left")
    for heading in ("part", "what"):
        found.add_column(heading)
    for heading in ("bench", "the other", "ratio", "at most"):
        found.add_column(heading, justify="right")
    found.add_column("note")
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit}{' at least' if row.difference else ''}"
        ratio = "not reached" if row.ratio is None else shown(row.ratio)
        found.add_row(
            row.part, row.what, shown(row.ours, row.unit), shown(row.theirs, row.unit), ratio, limit, row.note
        )
    return found


def shown(spread: Spread | None, unit: str = "") -> str:
    """The median, and in brackets what lies around it."""
    if spread is None:
        return "-"
    around = f" ({spread.low:.3g}-{spread.high:.3g})" if spread.count > 1 else ""
    return f"{spread.median:.3g}{around} {unit}".strip()


def main() -> None:
    options = arguments()
    began, on = time.monotonic(), machine()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="rivals-") as scratch:
        setting, seen = prepared(options, Path(scratch))
        for part in options.parts or PARTS:
            rows += PARTS[part](setting, say)
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    where = f"{on['cores']} cores of {on['processor']}, load before it {on['load before']:.1f}"
    title = f"{options.dataset}, seed {options.seed}; {where}; {versions}"
    Console(width=None if sys.stdout.isatty() else 160).print(table(rows, title))
    document = {
        "schema": 1,
        "dataset": options.dataset,
        "split_fingerprint": setting.sealed.split_fingerprint,
        "short": options.short,
        "seed": options.seed,
        "repeats": options.repeats,
        "workers": setting.workers,
        "precision": setting.precision,
        "machine": on,
        **seen,
        "seconds": round(time.monotonic() - began, 1),
        "rows": [row.to_json() for row in rows],
    }
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
