"""Optuna as proposer and stopper, on a study in memory. The database is a mirror of it (`bench.store`).

Sampler: made anew with a seed of its own at every ask, so that what is proposed depends on the study seed and the
trials told, and on nothing else. TPE starts from a Latin hypercube, not from independent draws. Pruners hear the rungs
as steps, in nominal samples.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState, create_trial

from bench.engines.design import latin_hypercube
from bench.engines.interface import Exhausted, seed_of
from bench.errors import MissingPackage, SpaceError, UsageError
from bench.records import Trial
from bench.space import Choice, Config, Domain, Fixed, Int, SearchSpace, Value, When
from bench.store import distribution
from bench.training.budget import REDUCTION

optuna.logging.set_verbosity(optuna.logging.WARNING)
# group=True, GP and grid are experimental and chosen knowingly.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

MAX_GRID = 10_000
GRID_POINTS = 4  # values that a grid takes of a continuous range
STARTUP = 10  # trials before TPE has a model, Optuna's own default

SAMPLERS: dict[str, Callable[[int, SearchSpace], optuna.samplers.BaseSampler]] = {
    # group=True models the parameters that are active together jointly, which a conditional space needs.
    "tpe": lambda seed, _: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=STARTUP, multivariate=True, group=True, constant_liar=True
    ),
    "random": lambda seed, _: optuna.samplers.RandomSampler(seed=seed),
    "gp": lambda seed, _: optuna.samplers.GPSampler(seed=seed, deterministic_objective=False),
    "cmaes": lambda seed, _: optuna.samplers.CmaEsSampler(seed=seed),
    "qmc": lambda seed, _: optuna.samplers.QMCSampler(seed=seed, warn_independent_sampling=False),
    "nsgaii": lambda seed, _: optuna.samplers.NSGAIISampler(seed=seed),
    "grid": lambda seed, space: optuna.samplers.GridSampler(_grid(space), seed=seed),
    "brute-force": lambda seed, _: optuna.samplers.BruteForceSampler(seed=seed),
}
NEEDS = {"gp": "torch", "cmaes": "cmaes", "qmc": "scipy"}

PRUNERS: dict[str, Callable[[int, int], optuna.pruners.BasePruner]] = {
    # bootstrap_count=0: a trial is judged against those that are there, and waits for none.
    "asha": lambda first, _: optuna.pruners.SuccessiveHalvingPruner(
        min_resource=first, reduction_factor=REDUCTION, min_early_stopping_rate=0, bootstrap_count=0
    ),
    "hyperband": lambda first, last: optuna.pruners.HyperbandPruner(
        min_resource=first, max_resource=max(first, last), reduction_factor=REDUCTION
    ),
    "median": lambda _, __: optuna.pruners.MedianPruner(n_startup_trials=5),
    "percentile": lambda _, __: optuna.pruners.PercentilePruner(25.0, n_startup_trials=5),
    "none": lambda _, __: optuna.pruners.NopPruner(),
}


def check_names(sampler: str, pruner: str) -> None:
    """Raises MissingPackage with the pip line when a sampler's package is not installed."""
    package = NEEDS.get(sampler)
    if package and importlib.util.find_spec(package) is None:
        raise MissingPackage(f"The sampler {sampler!r} needs {package}: python -m pip install {package}")
    if sampler not in SAMPLERS or pruner not in PRUNERS:
        raise UsageError(f"Samplers: {', '.join(SAMPLERS)}. Pruners: {', '.join(PRUNERS)}.")


class OptunaStudy:
    """Proposer and stopper in one, since Optuna's pruners read the same study that its samplers do.

    Args:
        space: what is searched.
        sampler, pruner: names in SAMPLERS and PRUNERS.
        seed: the study's seed.
        first_rung, last_rung: nominal samples, for pruners that need to know.
        reference: the configuration of trial 0, which is never pruned; None leaves it to the sampler.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: str,
        pruner: str,
        seed: int,
        first_rung: int,
        last_rung: int,
        reference: Config | None = None,
    ) -> None:
        check_names(sampler, pruner)
        self._space, self._sampler, self._seed, self._reference = space, sampler, seed, reference
        self._study = optuna.create_study(direction="maximize", pruner=PRUNERS[pruner](first_rung, last_rung))
        self._running: dict[int, optuna.Trial] = {}
        self._reported: dict[int, set[int]] = {}

    def ask(self, number: int) -> Config | None:
        if number == 0 and self._reference is not None:
            self._begin(self._reference)
            return dict(self._reference)
        if self._sampler == "tpe" and number <= STARTUP:
            config = latin_hypercube(self._space, STARTUP + 1, seed_of(self._seed, 0, "start-up"))[number]
            self._begin(config)
            return config
        sampler = SAMPLERS[self._sampler](seed_of(self._seed, number, "sampler"), self._space)
        if isinstance(sampler, optuna.samplers.GridSampler) and sampler.is_exhausted(self._study):
            raise Exhausted
        self._study.sampler = sampler
        trial = self._study.ask()
        self._running[trial.number] = trial
        return self._space.walk(lambda name, domain: _suggest(trial, name, domain))

    def _begin(self, config: Config) -> optuna.Trial:
        """Add a running trial whose configuration is given."""
        distributions: dict[str, BaseDistribution] = {}

        def note(name: str, domain: Domain) -> Value:
            distributions[name] = distribution(domain)
            return config[name]

        self._space.walk(note)
        params = {name: config[name] for name in distributions}
        self._study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=distributions))
        added = self._study._storage.get_all_trials(self._study._study_id, deepcopy=False)[-1]
        trial = optuna.Trial(self._study, added._trial_id)
        self._running[trial.number] = trial
        return trial

    def resume(self, trials: Sequence[Trial]) -> None:
        for stored in trials:
            self._begin(dict(stored.params))
            # Hearing the rungs again rebuilds what a pruner keeps about each trial.
            for samples, val_accuracy in stored.curve:
                self.prune(stored.number, samples, val_accuracy)
            if stored.state != "running":
                self.tell(stored)

    def prune(self, number: int, samples: int, val_accuracy: float) -> bool:
        seen = self._reported.setdefault(number, set())
        if self._is_reference(number) and seen:
            return False
        trial = self._running[number]
        if samples not in seen:  # a trial that is run again passes its rungs again
            seen.add(samples)
            trial.report(val_accuracy, samples)
        return trial.should_prune() and not self._is_reference(number)

    def _is_reference(self, number: int) -> bool:
        """Trial 0 runs to its end unjudged, which no other trial gets for nothing.

        So the sampler hears of it what it hears of every trial, the first rung; told of all of it, the sampler would be
        drawn towards the reference for its length alone.
        """
        return number == 0 and self._reference is not None

    def tell(self, trial: Trial) -> None:
        self._running.pop(trial.number)
        judged = self._reported.pop(trial.number, None)
        # Samplers only finish off a grid here, by stopping an `optimize` that does not run.
        self._study.sampler = optuna.samplers.RandomSampler(seed=0)
        if trial.state == "complete" and not (judged and self._is_reference(trial.number)):
            self._study.tell(trial.number, trial.val_accuracy)
        else:
            state = TrialState.FAIL if trial.state == "failed" else TrialState.PRUNED
            self._study.tell(trial.number, state=state)


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    value: Any
    if isinstance(domain, Choice):
        value = trial.suggest_categorical(name, domain.options)
    elif isinstance(domain, Int):
        value = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
    else:
        value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    return value  # type: ignore[no-any-return]


def _grid(space: SearchSpace) -> dict[str, list[Any]]:
    grid: dict[str, list[Any]] = {}
    for name, declared in space.domains.items():
        domain = declared.domain if isinstance(declared, When) else declared
        if isinstance(domain, Fixed):
            continue
        if isinstance(domain, Choice):
            grid[name] = list(domain.options)
            continue
        grid[name] = sorted({domain.at(i / (GRID_POINTS - 1)) for i in range(GRID_POINTS)})
    size = math.prod(map(len, grid.values()))
    if size > MAX_GRID:
        raise SpaceError(
            f"A grid over this space has {size:,} points, more than {MAX_GRID:,}. "
            "Fix parameters with --set, narrow them with --range, or use another sampler."
        )
    return grid
