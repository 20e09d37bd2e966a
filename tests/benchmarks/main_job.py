"""The figures that the main job must reach, measured in one run on this machine:

    BENCH_DATA_DIR=... python tests/benchmarks/main_job.py [--quick] [--home DIR]

Unit: E, the seconds that two workers together need for one epoch of the reference cnn in the default precision: the
wall time of both training side by side, divided by the epochs that they trained.
Prints one JSON document last. `--quick` does digits only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from bench import duels, results
from bench.engines.fixed import Run, run_all
from bench.family import load
from bench.files import sha256
from bench.holdout.seal import ensure
from bench.inquiry import measured_precision
from bench.records import Manifest
from bench.workers.pool import Place, Pool

BENCH = [sys.executable, "-m", "bench"]


def run(*arguments: str) -> tuple[dict, float, dict[str, float]]:
    """Run bench with --json; returns its document, wall seconds and peak memory of parent and workers, in bytes."""
    began = time.monotonic()
    process = subprocess.Popen([*BENCH, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    peaks = {"parent": 0.0, "worker": 0.0}
    watcher = threading.Thread(target=watch_memory, args=(process.pid, peaks), daemon=True)
    watcher.start()
    output = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"bench {' '.join(arguments)} ended with {process.returncode}")
    return json.loads(output), time.monotonic() - began, peaks


def watch_memory(pid: int, peaks: dict[str, float]) -> None:
    parent = psutil.Process(pid)
    while True:
        try:
            peaks["parent"] = max(peaks["parent"], parent.memory_info().rss)
            for child in parent.children():
                if "bench.workers.process" in child.cmdline():
                    peaks["worker"] = max(peaks["worker"], child.memory_info().rss)
        except psutil.Error:
            if not parent.is_running():
                return
        time.sleep(0.2)


def unit(home: Path, data_dir: Path) -> tuple[float, str]:
    """(E in seconds, the precision it was measured in): two workers, two epochs each, after one warm-up run each."""
    sealed = ensure(home, "mnist", data_dir, print)
    family = load("cnn")
    with Pool([Place(1), Place(1)], sealed.folder, [], home / "logs") as pool:
        precision = measured_precision(pool)
        while len(pool.idle) < 2:
            pool.poll(1.0)
        for epochs in (1, 2):
            runs = [Run({**family.reference, "epochs": epochs}, seed, seed, 0) for seed in (0, 1)]
            done = run_all(runs, family.source, precision, pool, lambda event: None)
        # Two workers train two epochs each side by side: four epochs in the time of the slower one.
        return max(t.seconds.train for t in done) / 4, precision


def store_finals(home: Path, count: int) -> None:
    """Store `count` finals: the digits final again and again, each with other answers and as a study of its own."""
    (template,) = results.read_finals(home, "digits")
    source = results.folder(home, "digits", template.family, template.id)
    manifest = Manifest(**json.loads((source / "manifest.json").read_bytes()))
    correct = results.read_correct(home, template)
    for k in range(count - 1):
        study, identity = f"{template.study}-{k}", f"copy-{k}"
        digest = results.write_manifest(home, replace(manifest, id=identity, study=study))
        folder = results.folder(home, "digits", template.family, identity)
        answers = np.random.default_rng(k).permuted(correct, axis=1)
        np.savez(folder / "predictions.npz", correct=answers)
        results.write_final(
            home,
            replace(
                template,
                id=identity,
                study=study,
                manifest_sha256=digest,
                predictions_sha256=sha256(folder / "predictions.npz"),
            ),
        )
    duels.update(home, "digits")


def startup_seconds(*arguments: str) -> float:
    times = []
    for _ in range(7):
        began = time.monotonic()
        subprocess.run([*BENCH, *arguments], stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trials", default="50")
    parser.add_argument("--home", type=Path, help="keep the results here, for `bench leaderboard`")
    parser.add_argument("families", nargs="*", default=["cnn", "mlp", "mlp_dropout"])
    options = parser.parse_args()
    figures: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "python": platform.python_version(),
    }
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        folder = str(home)
        _, seconds, _ = run("search", "cnn", "--trials", options.trials, "--dataset", "digits", "--home", folder)
        figures["digits cnn, all of it, seconds (60)"] = round(seconds, 1)
        if not options.quick:
            data_dir = Path(os.environ["BENCH_DATA_DIR"])
            before, precision = unit(home, data_dir)
            found = {}
            for family in options.families:
                given = ("search", family, "--trials", options.trials, "--dataset", "mnist", "--home", folder)
                found[family] = run(*given)
                print(f"{family}: {found[family][1]:.1f} s", flush=True)
            after, _ = unit(home, data_dir)
            epoch = (before + after) / 2  # a machine that others use is not as fast all the time
            figures |= {"E, seconds, before": round(before, 3), "E, seconds, after": round(after, 3)}
            figures |= {"E, seconds, the mean of both": round(epoch, 3), "precision": precision}
            for family, (document, seconds, peaks) in found.items():
                row = document["final"]
                figures[family] = {
                    "search, seconds": round(document["seconds"], 1),
                    "search, E (60 for cnn)": round(document["seconds"] / epoch, 1),
                    "all of it, seconds": round(seconds, 1),
                    "all of it, E (90 for cnn)": round(seconds / epoch, 1),
                    "test accuracy, mean of seeds": row["test_accuracy"],
                    "95 % interval": row["ci95"],
                    "trials": document["trials"],
                    "best": document["best"],
                    "peak worker, MB (1300)": round(peaks["worker"] / 1e6),
                    "peak parent, MB (250)": round(peaks["parent"] / 1e6),
                }
        figures["bench --help, seconds (0.3)"] = round(startup_seconds("--help"), 3)
        copies = Path(temporary) / "copies"
        shutil.copytree(home / "results", copies / "results")
        store_finals(copies, 30)
        seconds = startup_seconds("leaderboard", "--dataset", "digits", "--home", str(copies))
        figures["bench leaderboard with 30 stored finals, seconds (0.5)"] = round(seconds, 3)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
