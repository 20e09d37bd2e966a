"""How long `bench leaderboard` takes with many finals: `python tests/benchmarks/leaderboard.py [--finals 200]`.

Each final is of a study of its own, with predictions of MNIST's size (5 seeds x 10,000 images x 10 classes, 2 MB),
every pair compared, every look in the ledger, as exams would have left them. Printing reads all of it and holds it
against its hashes. Asked: under 1 s for 200.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import duels, results
from bench.files import sha256
from bench.holdout import ledger
from bench.records import Final, Manifest
from bench.statistics import estimate

SEEDS, IMAGES, CLASSES = 5, 10_000, 10
RUNS = 7


def store(home: Path, number: int) -> None:
    """One final whose models err on about 1 to 2 % of the images, on some of them together."""
    generator = np.random.default_rng(number)
    hard = np.random.default_rng(0).beta(0.05, 3, IMAGES) * generator.uniform(0.7, 1.3)
    labels = np.random.default_rng(1).integers(0, CLASSES, IMAGES).astype(np.int32)
    wrong = generator.random((SEEDS, IMAGES)) < hard
    answers = (labels + wrong) % CLASSES
    logits = generator.normal(0, 1, (SEEDS, IMAGES, CLASSES)).astype(np.float32)
    np.put_along_axis(logits, answers[:, :, None], 9.0, axis=2)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    created, identity, study = (
        f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}+00:00",
        f"{number:012x}",
        f"s{number}",
    )
    seeds = tuple(range(SEEDS))
    manifest = Manifest(
        id=identity, schema=1, created=created, study=study, dataset="mnist", data_id="mnist-1", data_checksum="c",
        split_fingerprint="s", family="mlp" if number == 0 else f"family{number}", engine="optuna", trial=3,
        config={"epochs": 3}, space_fingerprint="f", precision="float32", seeds=seeds, val_accuracy=0.984, confirm=(),
        trials=50, pruned=35, failed=0, search_seconds=60.0, parameters=407_050, versions={}, device="CPU",
        code_version="0",
    )  # fmt: skip
    digest = results.write_manifest(home, manifest)
    path = results.folder(home, "mnist", manifest.family, identity) / "predictions.npz"
    correct, made = ~wrong, estimate(~wrong)
    np.savez(path, probabilities=probabilities, correct=correct, labels=labels)
    kept = {name: value for name, value in manifest.to_json().items() if name in Final.__dataclass_fields__}
    final = Final(
        **kept, manifest_sha256=digest, predictions_sha256=sha256(path), test_accuracy=made.mean, ci95=made.ci95,
        method=made.method, seed_accuracies=tuple(correct.mean(axis=1).tolist()), test_images=IMAGES,
        errors=float(wrong.sum(axis=1).mean()), final_seconds=60.0,
    )  # fmt: skip
    results.write_final(home, final)
    look = {"event": "look", "manifest": identity, "manifest_sha256": digest, "family": manifest.family}
    ledger.record(home, {**look, "data_checksum": "c"})


def seconds(home: Path, *options: str) -> tuple[float, float, float]:
    """(median, worst, processor time a run) of several runs, in seconds of a whole process."""
    command = [sys.executable, "-m", "bench", "leaderboard", "--dataset", "mnist", "--home", str(home), *options]
    taken, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        taken.append(time.perf_counter() - began)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return statistics.median(taken), max(taken), used / RUNS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--finals", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(options.finals):
            store(home, number)
        began = time.perf_counter()
        duels.update(home, "mnist")
        pairs = len(duels.read(home, "mnist"))
        print(f"{options.finals} finals stored, {pairs} pairs compared in {time.perf_counter() - began:.1f} s")
        for shape in ((), ("--json",), ("--markdown",)):
            median, worst, used = seconds(home, *shape)
            said = f"{median:.2f} s (worst of {RUNS}: {worst:.2f} s, {used:.2f} s of processor time)"
            print(f"bench leaderboard {' '.join(shape):<10}  {said}", flush=True)


if __name__ == "__main__":
    main()
