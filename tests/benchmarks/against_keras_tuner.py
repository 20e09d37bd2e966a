"""The KerasTuner engine against plain KerasTuner: wall time on the same configurations, and milliseconds a no-op trial.

    python tests/benchmarks/against_keras_tuner.py [--dataset digits|mnist] [--trials 10] [--epochs 5]

Both train the same configurations (random search, one seed, no pruning, same epochs and batch sizes), plain KerasTuner
one after the other with `fit`, its own way, in a process that has imported everything; `bench search` from its command
line, start included. The target is at most half the time. A no-op trial is one ask and one tell.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.engines.oracle import OracleProposer
from bench.family import load
from bench.records import Trial
from bench.store import Store


def no_op_milliseconds(sampler: str, trials: int) -> float:
    proposer = OracleProposer(load("mlp").space, sampler, 0)
    began = time.monotonic()
    for number in range(trials):
        params = proposer.ask(number)
        assert params is not None
        proposer.tell(Trial(number, "complete", params, 0.5 + number / 1000))
    return 1000 * (time.monotonic() - began) / trials


def bench_seconds(home: Path, dataset: str, trials: int, epochs: int) -> tuple[float, list[Trial]]:
    command = [sys.executable, "-m", "bench", "search", "mlp", "--engine", "keras-tuner", "--sampler", "random"]
    command += ["--pruner", "none", "--dataset", dataset, "--trials", str(trials), "--set", f"epochs={epochs}"]
    command += ["--precision", "float32", "--no-final", "-q", "--json", "--home", str(home)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    store = Store(home)
    found = store.trials(next(iter(store.studies())))
    store.close()
    return seconds, found


def plain_seconds(home: Path, trials: list[Trial]) -> float:
    """`tuner.search` over the configurations that bench trained: a choice of their numbers, tried as a grid."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import keras_tuner

    from bench.data.arrays import open_arrays
    from bench.data.sealed import Sealed
    from bench.training.interface import Recipe
    from bench.training.loop import make_optimizer

    (folder,) = (path.parent for path in (home / "cache").glob("*/seal.json"))
    arrays = open_arrays(Sealed.load(folder))
    (x, y), (val_x, val_y) = arrays.train, arrays.validation
    scale = 255.0 if x.dtype == "uint8" else 1.0
    build = load("mlp").build
    configs = {trial.number: dict(trial.params) for trial in trials}

    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp):  # type: ignore[no-untyped-def]
            config = configs[hp.Choice("number", list(configs))]
            model = build(config, x.shape[1:], arrays.classes)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(optimizer=make_optimizer(Recipe.of(config)), loss=loss, metrics=["accuracy"])
            return model

        def fit(self, hp, model, *arguments, **options):  # type: ignore[no-untyped-def]
            config = configs[hp.get("number")]
            return model.fit(
                *arguments, epochs=int(config["epochs"]), batch_size=int(config.get("batch_size", 128)), **options
            )

    tuner = keras_tuner.GridSearch(
        Model(), objective="val_accuracy", directory=str(home / "plain"), project_name="plain", overwrite=True
    )
    began = time.monotonic()
    tuner.search(x / scale, y, validation_data=(val_x / scale, val_y), verbose=0)
    seconds = time.monotonic() - began
    done = [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    assert len(done) == len(configs), f"plain KerasTuner completed {len(done)} of {len(configs)}"
    keras.utils.clear_session()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--no-op", type=int, default=200)
    options = parser.parse_args()
    figures: dict[str, object] = {
        f"no-op {sampler}, ms a trial": round(no_op_milliseconds(sampler, options.no_op), 2)
        for sampler in ("random", "grid")
    }
    figures["no-op bayesian, 40 trials, ms a trial"] = round(no_op_milliseconds("bayesian", 40), 1)
    with tempfile.TemporaryDirectory() as temporary:
        ours, trials = bench_seconds(Path(temporary), options.dataset, options.trials, options.epochs)
        plain = plain_seconds(Path(temporary), trials)
    figures |= {"bench, seconds": round(ours, 1), "plain KerasTuner, seconds": round(plain, 1)}
    figures["share (0.5)"] = round(ours / plain, 2)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
