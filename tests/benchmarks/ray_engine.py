"""What the Ray engine costs beside the local one, measured in turn (A B B A) on this machine:

    BENCH_DATA_DIR=... python tests/benchmarks/ray_engine.py [--dataset mnist] [--family cnn] [--trials 30]

Both search the same space with the same seed and as many workers, from the first trial's start to the last one's end.
What comes before, above all the start of the cluster and of its workers, is reported beside it. Then so many trials
that train nothing go through each engine. Prints one JSON document last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
ENGINES = ("optuna", "ray")
TARGET = 1.15  # times the local engine's wall time

NO_OP = '''"""A family whose trials take no time."""
from bench.family import Family
from bench.space import Float, Int, SearchSpace


def build(config, image_shape, classes):
    raise MemoryError("a trial that trains nothing")


FAMILY = Family("no_op", SearchSpace({"x": Float(0.0, 1.0), "epochs": Int(1, 2)}), build)
'''


def search(engine: str, home: Path, *arguments: str) -> dict[str, float]:
    """Seconds of one search: all of the command, and of that its trials, from the first start to the last end."""
    command = [*BENCH, "search", *arguments, "--engine", engine, "--no-final", "--json", "-q", "--home", str(home)]
    began = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True)
    seconds = time.monotonic() - began
    if run.returncode not in (0, 4):  # 4: no trial succeeded, which is what the no-op family is for
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}: {run.stderr}")
    store = Store(home)
    (study,) = store.studies()
    rows = store._storage.get_all_trials(store._storage.get_study_id_from_name(study), deepcopy=False)
    trials = store.trials(study)
    store.close()
    started = min(row.datetime_start for row in rows)
    ended = max(row.datetime_complete for row in rows)
    trained = sum(trial.seconds.total for trial in trials)
    return {
        "command": seconds,
        "trials": (ended - started).total_seconds(),
        "samples": float(sum(trial.samples for trial in trials)),
        "inside workers": trained,
        "count": float(len(trials)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--trials", default="30")
    parser.add_argument("--no-op", type=int, default=200)
    parser.add_argument("--order", default="ABBA", help="A is the local engine, B is Ray")
    options = parser.parse_args()
    figures: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "python": platform.python_version(),
    }
    found: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as temporary:
        for index, letter in enumerate(options.order):
            engine = ENGINES["AB".index(letter)]
            home = Path(temporary) / f"{index}"
            seen = search(engine, home, options.family, "--dataset", options.dataset, "--trials", options.trials)
            found[engine].append(seen)
            print(engine, json.dumps(seen), file=sys.stderr, flush=True)
        family = Path(temporary) / "no_op.py"
        family.write_text(NO_OP)
        for engine in ENGINES:
            home = Path(temporary) / f"no-op-{engine}"
            arguments = (str(family), "--dataset", "digits", "--sampler", "random", "--trials", str(options.no_op))
            seen = search(engine, home, *arguments)
            figures[f"{engine}, milliseconds a no-op trial"] = round(1000 * seen["trials"] / seen["count"], 1)
    mean = {engine: statistics.mean(one["trials"] for one in seen) for engine, seen in found.items() if seen}
    for engine in mean:
        before = statistics.mean(seen["command"] - seen["trials"] for seen in found[engine])
        figures[f"{engine}, seconds from the first trial's start to the last one's end"] = round(mean[engine], 1)
        figures[f"{engine}, seconds before and after"] = round(before, 1)
        figures[f"{engine}, samples trained"] = [seen["samples"] for seen in found[engine]]
    if len(mean) == len(ENGINES):
        figures[f"ray / local ({TARGET} at most)"] = round(mean["ray"] / mean["optuna"], 3)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
