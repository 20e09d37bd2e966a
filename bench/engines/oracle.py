"""KerasTuner's oracles as proposer. An oracle is made of the study's trials; none is ever read from a file.

It is seeded anew at every ask, so that what is proposed depends on the study seed and the trials told, and on nothing
else.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench.engines.interface import Exhausted, seed_of
from bench.engines.kerastuner import NEVER, oracles
from bench.errors import UsageError, did_you_mean
from bench.options import ENGINES
from bench.records import Trial
from bench.space import Choice, Config, Domain, Fixed, Float, SearchSpace, Value, When

NAMES = ENGINES["keras-tuner"].samplers
OBJECTIVE = "val_accuracy"


class OracleProposer:
    """Asks KerasTuner's Bayesian, random or grid oracle.

    A pruned trial is told as completed with its last value; of a failed one the oracle learns that it failed.

    Args:
        sampler: 'bayesian', 'random' or 'grid'.
        seed: the study's seed.
        reference: the configuration of trial 0, of which the oracle does not hear; None if there is none.

    Raises:
        UsageError: no such sampler.
        MissingPackage: KerasTuner is not installed.
    """

    def __init__(self, space: SearchSpace, sampler: str, seed: int, reference: Config | None = None) -> None:
        if sampler not in NAMES:
            raise UsageError(f"No sampler {sampler!r}; there are {', '.join(NAMES)}.{did_you_mean(sampler, NAMES)}")
        self._space, self._sampler, self._seed, self._reference = space, sampler, seed, reference
        self._first = int(reference is not None)  # the oracle's first trial
        self._oracle = make_oracle(space, sampler, seed)

    def ask(self, number: int) -> Config | None:
        if number < self._first:
            return dict(self._reference or {})
        trial = self._create(number)
        if trial.status == "STOPPED":
            raise Exhausted
        if trial.status == "IDLE":
            return None
        config = from_values(self._space, trial.hyperparameters.values)
        # What rounding took out of its range is put back, for the oracle as well.
        trial.hyperparameters.values.update(to_values(self._space, config))
        self._given(trial)
        return config

    def state_with(self, number: int) -> Mapping[str, Any]:
        return {}

    def resume(self, trials: Sequence[Trial]) -> None:
        for trial in trials[self._first :]:
            given = oracles().Trial(self._oracle.get_space(), self._id(trial.number), "RUNNING")
            given.hyperparameters.values = to_values(self._space, trial.params)
            self._oracle._record_values(given)
            self._oracle.trials[given.trial_id] = self._oracle.ongoing_trials[given.trial_id] = given
            if self._sampler == "grid":
                self._oracle._ordered_ids.insert(given.trial_id)
            self._oracle.start_order.append(given.trial_id)
            self._given(given)
        for trial in trials:
            if trial.state != "running":
                self.tell(trial)

    def tell(self, trial: Trial) -> None:
        if trial.number >= self._first:
            end(self._oracle, self._id(trial.number), trial.val_accuracy if trial.state != "failed" else None)

    def _create(self, number: int) -> Any:
        seed_anew(self._oracle, seed_of(self._seed, number, "sampler"))
        return create(self._oracle, self._id(number))

    def _given(self, trial: Any) -> None:
        if self._sampler == "grid":
            # The next point depends on this one alone; waiting for its end would leave all workers but one idle.
            self._oracle._populate_next = [trial.trial_id]

    def _id(self, number: int) -> str:
        """As oracles name their trials themselves."""
        return f"{number - self._first:04d}"


def make_oracle(space: SearchSpace, sampler: str, seed: int, **options: Any) -> Any:
    """A fresh oracle of KerasTuner's over a space."""
    made = oracles()
    unlimited: dict[str, Any] = {} if sampler == "hyperband" else {"max_trials": None}
    oracle = made.by_sampler[sampler](
        objective=made.Objective(OBJECTIVE, "max"),
        hyperparameters=hyperparameters(space),
        seed=seed_of(seed, 0, "sampler") or 1,  # 0 would be 'any'
        max_consecutive_failed_trials=NEVER,
        **unlimited,
        **options,
    )
    oracle.verbose = 0
    return oracle


def seed_anew(oracle: Any, seed: int) -> None:
    oracle._seed_state = seed
    if hasattr(oracle, "gpr"):
        import numpy as np

        oracle._random_state = np.random.RandomState(seed)
        oracle.gpr.random_state = seed


def create(oracle: Any, tuner: str) -> Any:
    """One trial of the oracle's, whose status may also be IDLE or STOPPED."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    # More threads make its small matrices slower, and the processors belong to the workers.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a Gaussian process says when a length scale ends at its bound
        return oracle.create_trial(tuner)


def end(oracle: Any, trial_id: str, value: float | None) -> None:
    """Tell how a trial went; None: it failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trial = oracle.trials[trial_id]
        if value is not None:
            oracle.update_trial(trial_id, {OBJECTIVE: value})
        trial.status = "FAILED" if value is None else "COMPLETED"
        oracle.end_trial(trial)


# --- spaces ----------------------------------------------------------------------------------------------------------


def hyperparameters(space: SearchSpace) -> Any:
    """A space in KerasTuner's terms; what is fixed or never active is left out.

    Options go by their place, since KerasTuner's own choices must be of one type.
    """
    found = oracles().HyperParameters()
    for name, declared in space.domains.items():
        scopes = _scopes(space, name)
        if isinstance(declared, Fixed) or scopes is None:
            continue
        domain = declared.domain if isinstance(declared, When) else declared
        with ExitStack() as stack:
            for parent, values in scopes:
                stack.enter_context(found.conditional_scope(parent, values))
            if isinstance(domain, Choice):
                found.Choice(name, list(range(len(domain.options))))
                continue
            add = found.Float if isinstance(domain, Float) else found.Int
            add(name, domain.low, domain.high, sampling="log" if domain.log else "linear")
    return found


def _scopes(space: SearchSpace, name: str) -> list[tuple[str, list[Value]]] | None:
    """The conditions under which a parameter is active, outermost first; None if it never is."""
    declared = space.domains[name]
    if not isinstance(declared, When):
        return []
    outer, parent = _scopes(space, declared.parent), space.domains[declared.parent]
    if outer is None:
        return None
    if isinstance(parent, Fixed):
        return outer if parent.value in declared.values else None
    domain = parent.domain if isinstance(parent, When) else parent
    values: list[Value]
    if isinstance(domain, Choice):
        values = [place for place, option in enumerate(domain.options) if option in declared.values]
    else:
        numbers = [value for value in declared.values if not isinstance(value, str)]
        values = [domain.nearest(number) for number in numbers if domain.nearest(number) == number]
    return [*outer, (declared.parent, values)] if values else None


def from_values(space: SearchSpace, values: Mapping[str, Any]) -> Config:
    """A configuration from an oracle's values, inside the bounds."""

    def take(name: str, domain: Domain) -> Value:
        value = values[name]
        return domain.options[value] if isinstance(domain, Choice) else domain.nearest(value)

    return space.walk(take)


def to_values(space: SearchSpace, config: Mapping[str, Value]) -> dict[str, Any]:
    """The other way round."""
    values: dict[str, Any] = {}

    def give(name: str, domain: Domain) -> Value:
        value = config[name]
        if isinstance(domain, Choice):
            same = [type(option) is type(value) and option == value for option in domain.options]
            values[name] = same.index(True)
        else:
            values[name] = value
        return value

    space.walk(give)
    return values
