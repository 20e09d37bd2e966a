"""What a GPU makes of it, measured in one run on this machine:

    BENCH_DATA_DIR=... python tests/benchmarks/gpu.py [--dataset mnist] [--trials 50] [--json]

For each framework that is installed, and for `mlp` and `cnn`: runs that differ in seed and learning rate, trained one
after the other by Keras's `fit` as its documentation has it, one after the other by bench's loop, by several processes
that share the card, and, with JAX, side by side in one program; then a whole search with its final. Every part is a
process of its own, which first trains one run that does not count, of the group all: as in a search, programs of an
architecture that was trained before are there. `fit` has none to keep, and traces anew for every model; the group with
what compiling it takes is a row of its own. Without a GPU it says so.
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
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.data.arrays import open_arrays
from bench.data.sealed import Sealed
from bench.family import load
from bench.hardware import listed_gpus
from bench.training import backend

GOALS = {"mlp": 10.0, "cnn": 3.0}  # times sequential `fit`
SEARCH_SECONDS = 60  # 50 trials of cnn on MNIST


def configs_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The reference with other learning rates: one architecture, so that runs may go side by side."""
    reference = load(task["family"]).reference or {}
    rates = [1e-3 * 1.1**k for k in range(task["runs"])]
    return [{**reference, "epochs": task["epochs"], "learning_rate": rate} for rate in rates]


def fit(task: dict[str, Any], configs: list[dict[str, Any]]) -> list[int]:
    """Keras's documentation: float32 images in memory, `compile`, `fit`."""
    import keras
    import numpy as np

    from bench.training.interface import Recipe
    from bench.training.loop import make_optimizer

    arrays = open_arrays(Sealed.load(Path(task["folder"])))
    x, y = arrays.train[0].astype(np.float32) / 255, arrays.train[1]
    keras.config.set_dtype_policy("mixed_bfloat16" if task["precision"] == "bfloat16" else "float32")
    for seed, config in enumerate(configs):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        model = load(task["family"]).build(config, x.shape[1:], arrays.classes)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(make_optimizer(Recipe.of(config)), loss, metrics=["accuracy"])
        model.fit(x, y, batch_size=config["batch_size"], epochs=config["epochs"], verbose=0)
    return [config["epochs"] * len(x) for config in configs]


def trainers(task: dict[str, Any], configs: list[dict[str, Any]]) -> list[Any]:
    from bench.training.interface import Data

    if "data" not in task:
        arrays = open_arrays(Sealed.load(Path(task["folder"])))
        task["data"] = Data(*arrays.train, *arrays.validation, arrays.classes)
    make, family = backend.module().make_trainer, load(task["family"])
    return [make(family, config, task["data"], seed, task["precision"]) for seed, config in enumerate(configs)]


def loop(task: dict[str, Any], configs: list[dict[str, Any]]) -> list[int]:
    done = []
    for config in configs:
        (trainer,) = trainers(task, [config])
        trainer.advance(trainer.total_samples, lambda samples, loss: None)
        done.append(trainer.samples)
    return done


def grouped(task: dict[str, Any], configs: list[dict[str, Any]]) -> list[int]:
    runs = trainers(task, configs)
    together = backend.module().together(runs)
    together.advance(runs[0].total_samples, lambda samples, losses: None)
    return [run.samples for run in runs]


PARTS = {"fit": fit, "loop": loop, "grouped": grouped}


def part(task: dict[str, Any]) -> None:
    """In a process of its own: warm up, then train all; prints images a second."""
    from bench.training.imports import only_what_is_needed

    with only_what_is_needed():
        backend.module().start(len(os.sched_getaffinity(0)), task["gpu"])
    work, configs = PARTS[task["part"]], configs_of(task)
    began = time.perf_counter()
    work(task, configs if task["part"] == "grouped" else configs[:1])  # a group of another size is another program
    first, began = time.perf_counter() - began, time.perf_counter()
    samples = sum(work(task, configs))
    seconds = time.perf_counter() - began
    print(json.dumps({"images_per_second": samples / seconds, "first_images_per_second": samples / first}))


def processes(task: dict[str, Any], framework: str, count: int, logs: Path) -> float:
    """Images a second of a pool whose workers share the card."""
    from bench.engines.fixed import Run, run_all
    from bench.workers.pool import Place, Pool

    family, configs = load(task["family"]), configs_of(task)
    places = [Place(1, task["gpu"])] * count
    with Pool(places, Path(task["folder"]), [], logs, f"{framework}-{count}", framework) as pool:
        while len(pool.idle) < count:
            pool.poll(1.0)
        for warm in (configs[:1] * count, configs):
            runs = [Run(config, seed, seed, 0) for seed, config in enumerate(warm)]
            began = time.perf_counter()
            done = run_all(runs, family.source, task["precision"], pool, lambda event: None) or []
            seconds = time.perf_counter() - began
    return sum(trial.samples for trial in done) / seconds


def search(options: argparse.Namespace, framework: str, folder: Path, gpu: str | None, per_gpu: int) -> dict[str, Any]:
    where = ["--gpus", gpu, "--per-gpu", str(per_gpu)] if gpu else ["--gpus", "none"]
    command = [sys.executable, "-m", "bench", "search", "cnn", "--dataset", options.dataset, "--json", "-q"]
    command += ["--trials", str(options.trials), "--home", str(folder), *where]
    began = time.perf_counter()
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, backend.VARIABLE: framework})
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {run.returncode}: {run.stderr}")
    found = json.loads(run.stdout)
    return {
        "search, seconds": round(found["seconds"], 1),
        "with its final, seconds": round(time.perf_counter() - began, 1),
        "trials": found["trials"],
        "test accuracy": found["final"]["test_accuracy"],
    }


def measure(options: argparse.Namespace, family: str, framework: str, task: dict[str, Any], home: Path) -> Any:
    """Images a second of every way to train: median, lowest and highest of the rounds."""
    # `fit` and the loop stand beside workers, and so compute with their routines.
    environment = {backend.ROUTINES: "1", **os.environ, **backend.environment(framework, None, task["gpu"], home)}
    ways = ["fit", "loop", *(["grouped"] if framework == "jax" else []), *options.processes]
    found: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for way in ways if number % 2 == 0 else reversed(ways):  # in turn, so that a drift of the machine hits all
            if isinstance(way, int):
                name, rate = f"{way} processes", processes(task, framework, way, home / "logs")
            else:
                name = way
                command = [sys.executable, __file__, "--part", json.dumps({**task, "part": way})]
                run = subprocess.run(command, env=environment, capture_output=True, text=True)
                if run.returncode:
                    raise SystemExit(f"{way} of {family} with {framework} failed: {run.stderr[-2000:]}")
                said = json.loads(run.stdout.splitlines()[-1])
                rate = said["images_per_second"]
                if way == "grouped":
                    found.setdefault("grouped, compiled first", []).append(said["first_images_per_second"])
            found.setdefault(name, []).append(rate)
            print(f"{framework} {family} {name}: {rate:,.0f} images/s", file=sys.stderr, flush=True)
    return {name: [round(f(rates)) for f in (statistics.median, min, max)] for name, rates in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--families", nargs="+", default=["mlp", "cnn"])
    parser.add_argument("--frameworks", nargs="+", default=[name for name in backend.NAMES if find_spec(name)])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=8, help="so many are trained, and go side by side")
    parser.add_argument("--processes", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=50, help="0 leaves the search out")
    parser.add_argument("--on-processor", action="store_true", help="to try the command where there is no GPU")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part(json.loads(options.part))
        return
    gpus = [index for index in listed_gpus("index") if index.isdecimal()]
    if not gpus and not options.on_processor:
        print("No GPU that the NVIDIA driver lists, so there is nothing to measure here.")
        return
    gpu = gpus[0] if gpus and not options.on_processor else None
    card = "the processor"
    if gpu is not None:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "-i", gpu]
        card = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    from bench.holdout.seal import ensure

    figures: dict[str, Any] = {
        "card": card,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("keras", *options.frameworks)},
        "images a second": "median, lowest, highest",
    }
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        data_dir = os.environ.get("BENCH_DATA_DIR")
        sealed = ensure(home, options.dataset, Path(data_dir) if data_dir else None, lambda line: None)
        for family in options.families:
            task = {
                "folder": str(sealed.folder),
                "family": family,
                "gpu": gpu,
                "epochs": options.epochs,
                "runs": options.runs,
                "precision": options.precision,
            }
            rates = {name: measure(options, family, name, task, home) for name in options.frameworks}
            quickest = max(found["fit"][0] for found in rates.values())  # of all frameworks
            figures[family] = rates | {
                f"times the quickest sequential fit ({GOALS.get(family, 1.0):g})": {
                    f"{framework}, {way}": round(rate[0] / quickest, 2)
                    for framework, found in rates.items()
                    for way, rate in found.items()
                    if way != "fit"
                }
            }
        for framework in options.frameworks if options.trials else []:
            most = max(options.processes, default=1)
            found = search(options, framework, home / f"search-{framework}", gpu, most)
            figures[f"{options.trials} trials of cnn with {framework} ({SEARCH_SECONDS} s on MNIST)"] = found
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
