"""KerasTuner's Hyperband, ended by the trial with which it has trained so many epochs in all.

Follows KerasTuner's guides: a HyperModel whose `fit` takes the batch size from the trial ("tune model training"), and
`Hyperband(max_epochs=...)`, which owns the epochs; `hyperband_iterations` is as many as there is time for. What a
trial scores is the best of its epochs, which is KerasTuner's rule. See `fitting` for what tuned adds.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from typing import Any

import keras_tuner
from fitting import Fitting, as_float, start_keras
from ground import Task, Voice
from keras_tuner.errors import FatalError

from bench.space import Choice, Config, Domain, Fixed, Float, SearchSpace, When


class Spent(FatalError):
    """What was to be trained is trained; the one kind of error that KerasTuner lets through."""


def hyperparameters(space: SearchSpace) -> keras_tuner.HyperParameters:
    """Every parameter registered in advance, the conditional ones too."""
    found = keras_tuner.HyperParameters()
    for name, declared in space.domains.items():
        if isinstance(declared, Fixed):
            continue
        condition: Any = contextlib.nullcontext()
        domain = declared
        if isinstance(declared, When):
            condition, domain = found.conditional_scope(declared.parent, list(declared.values)), declared.domain
        with condition:
            _register(found, name, domain)
    return found


def _register(found: keras_tuner.HyperParameters, name: str, domain: Domain) -> None:
    if isinstance(domain, Choice) and set(map(type, domain.options)) == {bool}:
        found.Boolean(name)  # a choice would make integers of them
    elif isinstance(domain, Choice):
        found.Choice(name, list(domain.options))
    else:
        register = found.Float if isinstance(domain, Float) else found.Int
        register(name, domain.low, domain.high, sampling="log" if domain.log else "linear")


def main() -> None:
    task = Task.of(sys.argv[1])
    voice = Voice(task.began)
    start_keras(task.precision)
    import keras

    arrays = task.open()
    fitting = Fitting(task, as_float(arrays), arrays.classes)
    family = task.searched()
    longest = task.longest
    searched = family.space
    space = searched if isinstance(searched.domains["epochs"], Fixed) else searched.override({"epochs": longest})
    numbers = itertools.count()
    epochs_seen: dict[str, list[tuple[float, float]]] = {}  # trial -> (validation accuracy, seconds) of each epoch

    def config_of(hp: Any) -> Config:
        return space.walk(lambda name, domain: hp.get(name))

    class Model(keras_tuner.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            budget = int(hp.values.get("tuner/epochs", longest))
            begun = int(hp.values.get("tuner/initial_epoch", 0))
            return fitting.model(config_of(hp), task.seed_for(next(numbers)), budget, begun)

        def fit(self, hp: Any, model: Any, *arguments: Any, **options: Any) -> Any:
            return model.fit(*arguments, **{**options, **fitting.options(config_of(hp))})

    class Tuner(keras_tuner.Hyperband):  # type: ignore[misc]
        def on_epoch_end(self, trial: Any, model: Any, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(trial, model, epoch, logs)
            value = float((logs or {})["val_accuracy"])
            seconds = voice.say(trial=trial.trial_id, state="epoch", epoch=epoch + 1, val_accuracy=value)
            epochs_seen.setdefault(trial.trial_id, []).append((value, seconds))

        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            if sum(map(len, epochs_seen.values())) >= task.epochs_in_all:
                raise Spent

    keras.utils.set_random_seed(task.seed)
    with tempfile.TemporaryDirectory() as folder:
        tuner = Tuner(
            Model(),
            objective="val_accuracy",
            max_epochs=longest,
            hyperband_iterations=None,
            seed=task.seed,
            hyperparameters=hyperparameters(space),
            directory=folder,
            project_name="rival",
        )
        with contextlib.suppress(Spent):
            tuner.search(fitting.x, fitting.y, validation_data=fitting.validation, verbose=0)
        (best,) = tuner.oracle.get_best_trials(1)
    seconds = min(seconds for value, seconds in epochs_seen[best.trial_id] if value == best.score)
    epochs = int(best.hyperparameters.values.get("tuner/epochs", longest))
    voice.say(
        best={
            "val_accuracy": best.score,
            "params": {**config_of(best.hyperparameters), "epochs": epochs},
            "seconds": seconds,
        }
    )


if __name__ == "__main__":
    main()
