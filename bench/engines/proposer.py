"""Optuna's samplers as proposer, on a study in memory. The database is a mirror of the search (`bench.store`).

A sampler is made anew with a seed of its own at every ask, so that what is proposed depends on the study seed and the
trials told, and on nothing else.
"""

from __future__ import annotations

import importlib.util
import math
import random
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.engines.design import latin_hypercube, sobol
from bench.engines.interface import Exhausted, seed_of
from bench.errors import MissingPackage, SpaceError, UsageError, did_you_mean
from bench.records import Trial
from bench.rows import row, suggested
from bench.space import Choice, Config, Domain, Fixed, SearchSpace, Value, When

optuna.logging.set_verbosity(optuna.logging.WARNING)
# group=True and GP are experimental and chosen knowingly.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

MAX_GRID = 10_000
GRID_POINTS = 4  # values that a grid takes of a continuous range
# Trials before TPE is asked, where nearly all of them end at a first rung, so that spreading out is cheap: of ten it
# takes one or two for good, and all that it proposes then has their categories.
STARTUP = 20
ENOUGH = 10  # trials that were judged alike, before they are compared; the start where each is trained to its end
# Complete trials that are compared for the one or two parameters that no rung sees. Of so few TPE takes one for good,
# and what that one has by chance is followed for a while; ENOUGH of them are compared by all parameters.
FEW = 3

SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    # group=True models the parameters that are active together jointly, which a conditional space needs.
    "tpe": lambda seed: optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=ENOUGH, multivariate=True, group=True, constant_liar=True
    ),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "gp": lambda seed: optuna.samplers.GPSampler(
        seed=seed, deterministic_objective=False, warn_independent_sampling=False
    ),
    "cmaes": lambda seed: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "nsgaii": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "nsgaiii": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed),
    "brute-force": lambda seed: optuna.samplers.BruteForceSampler(seed=seed),
}
# Which distribution or generation a trial was drawn from. That of CMA-ES is a pickle, which nobody shall read from a
# storage: it is kept in memory alone.
REMEMBERING = ("cmaes", "nsgaii", "nsgaiii")
STORED = ("nsgaii", "nsgaiii")
NEEDS = {"gp": "torch", "cmaes": "cmaes"}
NAMES = (*SAMPLERS, "qmc", "grid")  # the last two need no trials: a point follows from its number


class OptunaProposer:
    """Proposes configurations of a space.

    TPE starts from a Latin hypercube. It hears of every trial what can be compared: the value at the highest rung that
    at least ENOUGH trials have reached, as BOHB does (Falkner et al. 2018). Told more, it would take whatever came far
    while there was little competition for the best, whatever its value. Parameters that change nothing before that rung
    are proposed by a TPE of their own, which hears complete trials alone.

    Args:
        space: what is searched.
        sampler: a name in NAMES.
        seed: the study's seed.
        reference: the configuration of trial 0; None leaves it to the sampler.
        startup: trials before TPE is asked.
        unseen: the parameters that change nothing before so many samples.

    Raises:
        UsageError: no such sampler.
        MissingPackage: its package is not installed; with the pip line.
        SpaceError: a grid over the space would be too large.
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: str,
        seed: int,
        reference: Config | None = None,
        startup: int = STARTUP,
        unseen: Callable[[float], Collection[str]] = lambda samples: (),
    ) -> None:
        if sampler not in NAMES:
            raise UsageError(f"No sampler {sampler!r}; there are {', '.join(NAMES)}.{did_you_mean(sampler, NAMES)}")
        package = NEEDS.get(sampler)
        if package and importlib.util.find_spec(package) is None:
            raise MissingPackage(f"The sampler {sampler!r} needs {package}: python -m pip install {package}")
        if sampler == "grid":
            _grid(space)
        self._space, self._sampler, self._seed, self._reference = space, sampler, seed, reference
        self._startup, self._unseen = startup, unseen
        self._asked: dict[int, Config] = {}
        self._told: dict[int, Trial] = {}
        self._states: dict[int, Mapping[str, Any]] = {}
        self._cap = math.inf
        self._rebuild()

    def ask(self, number: int) -> Config | None:
        if number == 0 and self._reference is not None:
            config = dict(self._reference)
        elif self._sampler == "grid":
            config = self._grid_point(number - (self._reference is not None))
        elif self._sampler == "qmc":
            config = sobol(self._space, number, seed_of(self._seed, 0, "sampler"))
        elif self._sampler == "tpe" and number <= self._startup:
            config = latin_hypercube(self._space, self._startup + 1, seed_of(self._seed, 0, "start-up"))[number]
        else:
            return self._sampled(number)
        self._asked[number] = config
        self._study.add_trial(row(self._learned, config))
        return dict(config)

    def _sampled(self, number: int) -> Config:
        self._study.sampler = SAMPLERS[self._sampler](seed_of(self._seed, number, "sampler"))
        trial = self._study.ask()
        from_rungs = suggested(trial)
        from_ends = self._from_ends(number) if self._hidden else from_rungs

        def value(name: str, domain: Domain) -> Value:
            return (from_ends if name in self._hidden else from_rungs)(name, domain)

        config = self._space.walk(value)
        if self._sampler == "brute-force" and config in self._asked.values():
            raise Exhausted
        self._asked[number] = config
        if self._sampler in REMEMBERING:
            self._states[number] = self._storage.get_trial(trial._trial_id).system_attrs
        return dict(config)

    def _from_ends(self, number: int) -> Callable[[str, Domain], Value]:
        """Values of the parameters that no rung sees, by the ends of complete trials.

        The study is made anew at each ask, so that it is in order of number; it never holds ENOUGH trials, for then
        ends are what is compared, and nothing is hidden. One parameter at a time: jointly, so few teach less.
        """
        seed = seed_of(self._seed, number, "unseen")
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=FEW, multivariate=False)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        space = SearchSpace(self._hidden, narrowed=True)
        for _, trial in sorted(self._told.items()):
            if trial.state == "complete" and trial.val_accuracy is not None:
                study.add_trial(row(space, trial.params, TrialState.COMPLETE, trial.val_accuracy))
        return suggested(study.ask())

    def _grid_point(self, index: int) -> Config:
        points = _grid(self._space)
        random.Random(seed_of(self._seed, 0, "grid")).shuffle(points)
        if index >= len(points):
            raise Exhausted
        return points[index]

    def state_with(self, number: int) -> Mapping[str, Any]:
        return self._states.get(number, {}) if self._sampler in STORED else {}

    def resume(self, trials: Sequence[Trial]) -> None:
        if self._sampler in STORED:
            self._states |= {trial.number: trial.sampler_state for trial in trials if trial.sampler_state}
        self._asked = {trial.number: dict(trial.params) for trial in trials}
        self._told = {trial.number: trial for trial in trials if trial.state != "running"}
        self._cap = self._comparable()
        self._rebuild()

    def tell(self, trial: Trial) -> None:
        self._told[trial.number] = trial
        cap, became = self._comparable(), dict(trial.params)  # not what was asked, after population-based training
        if cap != self._cap or became != self._asked.get(trial.number, became):
            self._asked[trial.number] = became
            self._cap = cap
            self._rebuild()
            return
        heard = self._heard(trial)
        # Below `study.tell`, where samplers would act to finish off an `optimize` that does not run.
        stored = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        for step, value in heard.intermediate_values.items():
            self._storage.set_trial_intermediate_value(stored, step, value)
        self._storage.set_trial_state_values(stored, heard.state, heard.values)

    def _comparable(self) -> float:
        """The highest rung, in samples, that at least ENOUGH trials have reached; infinity where the end is meant."""
        if self._sampler != "tpe":
            return math.inf  # the others learn from complete trials alone
        reached: dict[float, int] = {}
        rungs = sorted({samples for trial in self._told.values() for samples, _ in trial.rungs})
        for rung in (*rungs, math.inf):
            reached[rung] = sum(_reached(trial) >= rung for trial in self._told.values())
        enough = [rung for rung, count in reached.items() if count >= ENOUGH]
        return max(enough, default=rungs[0] if rungs else math.inf)

    def _rebuild(self) -> None:
        domains, hidden = self._space.domains, self._unseen(self._cap)
        seen = {name: domain for name, domain in domains.items() if name not in hidden}
        searched = any(not isinstance(domain, Fixed) for domain in seen.values())
        self._learned = SearchSpace(seen, narrowed=True) if searched else self._space
        self._hidden = {
            name: one
            for name, one in domains.items()
            if name not in self._learned.domains and not isinstance(one, Fixed)
        }
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, direction="maximize")
        self._study_id = self._storage.get_study_id_from_name(self._study.study_name)
        for number, config in sorted(self._asked.items()):
            told = self._told.get(number)
            self._study.add_trial(self._heard(told) if told else self._row(number, config))

    def _heard(self, trial: Trial) -> FrozenTrial:
        """What the sampler hears of a trial that is over."""
        if trial.state == "failed":
            return self._row(trial.number, trial.params, TrialState.FAIL)
        if trial.state == "complete" and self._cap == math.inf:
            return self._row(trial.number, trial.params, TrialState.COMPLETE, trial.val_accuracy)
        steps = {samples: value for samples, value in trial.rungs if samples <= self._cap}
        if self._cap != math.inf and self._cap not in steps:
            # Not judged at the rung: the next time that it was, or the end of one that is shorter.
            later = [value for samples, value in trial.curve if samples > self._cap]
            if trial.state == "complete":
                later.append(trial.val_accuracy or 0.0)
            steps |= {int(self._cap): value for value in later[:1]}
        return self._row(trial.number, trial.params, TrialState.PRUNED, steps=steps)

    def _row(
        self,
        number: int,
        config: Mapping[str, Value],
        state: TrialState = TrialState.RUNNING,
        value: float | None = None,
        steps: Mapping[int, float] | None = None,
    ) -> FrozenTrial:
        return row(self._learned, config, state, value, steps, self._states.get(number))


def _reached(trial: Trial) -> float:
    if trial.state == "failed":
        return 0.0
    if trial.state == "complete":
        return math.inf
    return trial.curve[-1][0] if trial.curve else 0.0


def _grid(space: SearchSpace) -> list[Config]:
    """Every combination of every option, with GRID_POINTS values of each range; inactive parameters left out."""
    values: dict[str, list[Value]] = {}
    for name, declared in space.domains.items():
        domain = declared.domain if isinstance(declared, When) else declared
        if isinstance(domain, Choice):
            values[name] = list(domain.options)
        elif not isinstance(domain, Fixed):
            values[name] = sorted({domain.at(i / (GRID_POINTS - 1)) for i in range(GRID_POINTS)})
    size = math.prod(map(len, values.values()))
    if size > MAX_GRID:
        raise SpaceError(
            f"A grid over this space has {size:,} points, more than {MAX_GRID:,}. "
            "Fix parameters with --set, narrow them with --range, or use another sampler."
        )
    points = (dict(zip(values, point, strict=True)) for point in product(*values.values()))
    walked = [space.walk(lambda name, _, point=point: point[name]) for point in points]  # type: ignore[misc]
    return list({tuple(config.items()): config for config in walked}.values())
