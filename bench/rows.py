"""A trial in Optuna's terms and back: what its dashboard and its command line read, and our record beside it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from bench.records import Phases, State, Trial
from bench.space import Choice, Domain, Int, SearchSpace, Value

ATTRIBUTE = "bench"  # the user attribute of a study and of a trial that holds what Optuna has no place for
SAMPLER = f"{ATTRIBUTE} sampler"  # the one of a trial that holds what its sampler remembers with it
NOTE = f"{ATTRIBUTE} "  # how those of a study begin that processes leave for each other
STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
NAMES = {state: name for name, state in STATES.items()}


def distribution(domain: Domain) -> BaseDistribution:
    """A domain in Optuna's terms; bounds are inclusive in both."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def suggested(trial: Any) -> Callable[[str, Domain], Value]:
    """How a trial of Optuna answers when a space is walked."""

    def ask(name: str, domain: Domain) -> Value:
        value: Value
        if isinstance(domain, Choice):
            value = trial.suggest_categorical(name, domain.options)
        elif isinstance(domain, Int):
            value = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        else:
            value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        return value

    return ask


def row(
    space: SearchSpace,
    params: Mapping[str, Value],
    state: TrialState = TrialState.RUNNING,
    value: float | None = None,
    steps: Mapping[int, float] | None = None,
    sampler_state: Mapping[str, Any] | None = None,
) -> FrozenTrial:
    """A trial in Optuna's terms, to be added to a study."""
    distributions: dict[str, BaseDistribution] = {}

    def note(name: str, domain: Domain) -> Value:
        distributions[name] = distribution(domain)
        return params[name]

    space.walk(note)
    now = datetime.now()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # choices that mix int and str are stored as JSON, which is what we want
        return FrozenTrial(
            number=-1,
            trial_id=-1,
            state=state,
            value=value,
            values=None,
            datetime_start=now,
            datetime_complete=now if state.is_finished() else None,
            params={name: params[name] for name in distributions},
            distributions=distributions,
            user_attrs={},
            system_attrs=dict(sampler_state or {}),
            intermediate_values=dict(steps or {}),
        )


def trial_of(stored: FrozenTrial) -> Trial:
    """The record that a row of Optuna's holds; of a trial that bench did not make, what Optuna knows of it."""
    own = json.loads(stored.user_attrs.get(ATTRIBUTE, "{}"))
    own.setdefault("params", dict(stored.params))
    own["sampler_state"] = json.loads(stored.user_attrs.get(SAMPLER, "{}"))
    own["seconds"] = Phases(**own.get("seconds", {}))
    if own.get("confusion") is not None:  # records of older versions have none
        own["confusion"] = tuple((true, predicted, images) for true, predicted, images in own["confusion"])
    # Optuna keeps every step that was ever reported, also those that a trial went back behind.
    steps = own.get("curve", ()) if stored.state.is_finished() else ()
    own["curve"] = tuple((int(at), value) for at, value in steps or sorted(stored.intermediate_values.items()))
    own["losses"] = tuple((int(samples), float(loss)) for samples, loss in own.get("losses", ()))
    return Trial(number=stored.number, state=NAMES.get(stored.state, "running"), **own)
