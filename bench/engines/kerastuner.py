"""KerasTuner's oracles, without the framework that its package imports and without the files that they write.

An oracle only draws numbers, yet `import keras_tuner` brings Keras and with it TensorFlow: ten seconds and 700 MB in a
process that trains nothing. Where Keras is not there already, a stand-in takes its place for the import.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

from bench.errors import MissingPackage

NEVER = sys.maxsize  # failed trials in a row that end a search: the driver judges that
HIDDEN = ("IPython", "pandas", "tensorflow")
PASSED_ON = tuple(f"keras_tuner.src.backend.{name}" for name in ("keras", "ops", "random"))


def check() -> None:
    """Raise MissingPackage where KerasTuner is not installed; imports nothing."""
    if find_spec("keras_tuner") is None:
        raise MissingPackage("Engine keras-tuner needs the package keras-tuner: pip install keras-tuner")


@cache
def oracles() -> SimpleNamespace:
    """KerasTuner's `bayesian`, `random`, `grid` and `hyperband` oracles that write nothing, and what they are fed with.

    Raises:
        MissingPackage: KerasTuner is not installed, or something that it needs.
    """
    try:
        if "keras" in sys.modules:
            return _oracles()
        with _stand_in():
            return _oracles()
    except ImportError as error:
        raise MissingPackage(
            f"Engine keras-tuner needs KerasTuner, which does not import ({error}). Install it with: "
            "pip install keras-tuner"
        ) from error


def _oracles() -> SimpleNamespace:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras_tuner
        from keras_tuner.src.engine.trial import Trial

    class Unsaved:
        """What an oracle knows is told to it anew from the study's trials; files of its own would only disagree."""

        def save(self) -> None:
            pass

        def _save_trial(self, trial: Any) -> None:
            pass

    class Bayesian(Unsaved, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
        def _make_gpr(self) -> Any:
            return _quick(super()._make_gpr())

    made = {
        "hyperband": keras_tuner.oracles.HyperbandOracle,
        "random": keras_tuner.oracles.RandomSearchOracle,
        "grid": keras_tuner.oracles.GridSearchOracle,
    }
    return SimpleNamespace(
        by_sampler={
            "bayesian": Bayesian,
            **{name: type(f"Unsaved{oracle.__name__}", (Unsaved, oracle), {}) for name, oracle in made.items()},
        },
        HyperParameters=keras_tuner.HyperParameters,
        Objective=keras_tuner.Objective,
        Trial=Trial,
    )


def _quick(process: Any) -> Any:
    """The same Gaussian process, with predictions at a fifth of the cost: an ask takes thousands, of one point each."""
    import numpy as np
    from scipy.linalg import solve_triangular
    from scipy.spatial.distance import cdist

    class Quick(type(process)):  # type: ignore[misc]
        def predict(self, points: Any, return_std: bool = False, return_cov: bool = False) -> Any:
            if not return_std or not hasattr(self, "X_train_"):
                return super().predict(points, return_std, return_cov)
            length = self.kernel_.length_scale
            distance = np.sqrt(5) * cdist(points / length, self.X_train_ / length)
            covariance = (1 + distance + distance**2 / 3) * np.exp(-distance)  # Matern, nu = 2.5
            mean = self._y_train_std * (covariance @ self.alpha_) + self._y_train_mean
            solved = solve_triangular(self.L_, covariance.T, lower=True, check_finite=False)
            variance = np.maximum(1 - np.einsum("ij,ij->j", solved, solved), 0)
            return mean, np.sqrt(variance) * self._y_train_std

    process.__class__ = Quick
    return process


@contextmanager
def _stand_in() -> Iterator[None]:
    """Let `import keras` find something that can be imported from and subclassed, and copies hyperparameters.

    Afterwards neither it nor what was imported with it is known to the process: a later `import keras_tuner` gets
    KerasTuner as it is.
    """
    hidden = [name for name in HIDDEN if name not in sys.modules]
    before = {name for name in sys.modules if _theirs(name)}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes their import fail
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [*hidden, *(name for name in sys.modules if _theirs(name) and name not in before)]:
            del sys.modules[name]


def _theirs(name: str) -> bool:
    return name.partition(".")[0] in ("keras", "keras_tuner")


class _Finder:
    """Finds Keras, and the modules by which KerasTuner passes it on: empty ones, whose every name is a class."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        from importlib.machinery import ModuleSpec

        stands_in = name.partition(".")[0] == "keras" or name in PASSED_ON
        return ModuleSpec(name, self, is_package=True) if stands_in else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(
            version=lambda: "3.0",
            config=SimpleNamespace(backend=lambda: "none"),
            utils=SimpleNamespace(serialize_keras_object=_described, deserialize_keras_object=_restored),
        )


class _Anything(type):
    """A class to subclass, or a maker of decorators that change nothing; whatever is asked of it is another."""

    def __getattr__(cls, name: str) -> Any:
        return _anything(name)

    def __call__(cls, *_: Any, **__: Any) -> Any:
        return lambda decorated: decorated


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _anything(name)


def _anything(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Anything(name, (), {})


def _described(thing: Any) -> dict[str, Any]:
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def _restored(described: dict[str, Any], _custom: Any = None, known: Any = None) -> Any:
    return known[described["class_name"]].from_config(described["config"])
