"""Ray Tune's ASHA scheduler with OptunaSearch, two trials at a time.

Follows Ray's guides: the class API with `reset_config`, so that actors are used again; data through
`tune.with_parameters`; a conditional space as a define-by-run function for OptunaSearch. One core and one thread an
actor, for by default each would take all of them ("we set threads here to avoid contention", Ray's Keras example). No
loggers, no dashboard, and actors at the priority of any other process. Tuned, it begins with the reference
configuration, as bench does; for the rest see `fitting`.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from functools import partial
from typing import Any

os.environ |= {
    "RAY_AUTH_MODE": "disabled",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}

import optuna
import ray
from fitting import Fitting, as_float, start_keras
from ground import Task, Voice
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from bench.rows import suggested
from bench.space import SearchSpace

AT_A_TIME = 2


class Training(tune.Trainable):  # type: ignore[misc]
    """A trial whose step is one epoch."""

    def setup(self, config: dict[str, Any], task: Task, images: Any, classes: int) -> None:
        start_keras(task.precision, threads=1)
        self.task, self.fitting = task, Fitting(task, images, classes)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.params = {name: value for name, value in new_config.items() if name != "number"}
        self.epochs, self.begun = int(self.params["epochs"]), 0
        self.model = self.fitting.model(self.params, self.task.seed_for(new_config["number"]), self.epochs)
        return True

    def step(self) -> dict[str, Any]:
        history = self.fitting.fit(self.model, self.params, self.begun + 1, begun=self.begun)
        self.begun += 1
        return {"val_accuracy": float(history.history["val_accuracy"][-1]), "done": self.begun >= self.epochs}


def walked(space: SearchSpace, trial: optuna.Trial) -> dict[str, Any]:
    """A configuration, with the trial's number; OptunaSearch calls this, and pickles it."""
    return {**space.walk(suggested(trial)), "number": trial.number}


class Listener(tune.Callback):  # type: ignore[misc]
    """Says what each epoch gave; `ends` are the seconds of each trial's last one."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.ends: dict[int, float] = {}

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any) -> None:
        number, epoch = trial.config["number"], result["training_iteration"]
        value = result["val_accuracy"]
        self.ends[number] = self._voice.say(trial=number, state="epoch", epoch=epoch, val_accuracy=value)


def main() -> None:
    task = Task.of(sys.argv[1])
    voice = Voice(task.began)
    arrays = task.open()
    family = task.searched()

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A short path, for Ray adds to it, and the path of a Unix socket ends at 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        ray.init(
            num_cpus=AT_A_TIME,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=folder,
        )
        listener = Listener(voice)
        searcher = OptunaSearch(
            partial(walked, family.space),
            metric="val_accuracy",
            mode="max",
            points_to_evaluate=task.known() or None,
            seed=task.seed,
        )
        trainable = tune.with_parameters(Training, task=task, images=as_float(arrays), classes=arrays.classes)
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                metric="val_accuracy",
                mode="max",
                search_alg=searcher,
                scheduler=ASHAScheduler(max_t=task.longest, grace_period=1),
                num_samples=task.trials,
                max_concurrent_trials=AT_A_TIME,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="rival",
                storage_path=f"{folder}/tune",
                # What is wanted is the configuration; a model saved at the end of every trial would only cost.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[listener],
                verbose=0,
            ),
        )
        results = tuner.fit()
        if results.num_errors:
            raise SystemExit(f"{results.num_errors} trials of Ray Tune failed: {results.errors[0]}")
        best = results.get_best_result()
        ray.shutdown()
    number = best.config["number"]
    voice.say(
        best={
            "val_accuracy": best.metrics["val_accuracy"],
            "params": {name: value for name, value in best.config.items() if name != "number"},
            "seconds": listener.ends[number],
        }
    )


if __name__ == "__main__":
    main()
