"""Optuna with Keras's `fit`, its pruning callback and its median pruner, in one process.

Follows Optuna's own example, optuna-examples/keras/keras_integration.py, but that it selects on validation images.
Tuned, it takes the value from `fit`'s history where the example evaluates once more, validates but once where nothing
is pruned, and begins with the reference configuration, as bench does; for the rest see `fitting`.
"""

from __future__ import annotations

import sys

import optuna
from fitting import Fitting, as_float, start_keras
from ground import Task, Voice
from optuna_integration import KerasPruningCallback

from bench.rows import suggested


def main() -> None:
    task = Task.of(sys.argv[1])
    voice = Voice(task.began)
    start_keras(task.precision)
    arrays = task.open()
    fitting = Fitting(task, as_float(arrays), arrays.classes)
    space = task.searched().space
    ends: dict[int, float] = {}

    def objective(trial: optuna.Trial) -> float:
        config = space.walk(suggested(trial))
        epochs = int(config["epochs"])
        model = fitting.model(config, task.seed_for(trial.number), epochs)
        if task.tuned and task.configs is not None:
            history = fitting.fit(model, config, epochs, every=epochs)
        else:
            history = fitting.fit(model, config, epochs, [KerasPruningCallback(trial, "val_accuracy")])
        trial.set_user_attr("params", config)
        if task.tuned:
            return float(history.history["val_accuracy"][-1])
        return float(model.evaluate(*fitting.validation, verbose=0)[1])

    def ended(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        ends[trial.number] = voice.say(
            trial=trial.number,
            state=trial.state.name.lower(),
            val_accuracy=trial.value,
            params=trial.user_attrs.get("params"),
        )

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=task.seed),
        pruner=optuna.pruners.NopPruner() if task.configs is not None else optuna.pruners.MedianPruner(),
    )
    for config in task.known() if task.configs is None else task.configs:
        study.enqueue_trial(dict(config))
    study.optimize(objective, n_trials=task.trials if task.configs is None else len(task.configs), callbacks=[ended])
    best = study.best_trial
    voice.say(
        best={
            "val_accuracy": best.value,
            "params": best.user_attrs["params"],
            "seconds": ends[best.number],
        }
    )


if __name__ == "__main__":
    main()
