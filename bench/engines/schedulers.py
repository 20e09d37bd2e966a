"""--pruner as Ray Tune's schedulers. They hear of rungs alone, in units of the first one."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)

from bench.engines.interface import perturbed, seed_of
from bench.engines.population import COPIED
from bench.engines.quota import Quota
from bench.records import Trial
from bench.space import Config, Float, SearchSpace, When
from bench.training.budget import REDUCTION

TIME, VALUE = "rung", "val_accuracy"
HEARD = {"time_attr": TIME, "metric": VALUE, "mode": "max"}
FACTORS = (0.8, 1.25)  # by which population-based training multiplies, Jaderberg et al. 2017 use 0.8 and 1.2


def scheduler(
    pruner: str,
    marks: Sequence[int],
    space: SearchSpace,
    seed: int,
    spared: int | None,
    stored: Sequence[Trial],
    more: Callable[[], bool] = lambda: True,
) -> Any:
    """Args:
    marks: nominal samples of the rungs.
    spared: the number of a trial that is never pruned, the reference.
    stored: trials of earlier processes; asha and median judge others by them, as if they had been there, and asha
        stops none that it let go on.
    more: whether there are trials to come.
    """
    made = SCHEDULERS[pruner](len(marks), space, seed)
    made.first, made.spared, made.more = marks[0], spared, _Asked(more)
    if pruner in ("asha", "median"):
        for trial in stored:
            made.recall(trial)
    return made


class _Asked:
    """A question to the driver, which is not pickled with Tune's settings."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask

    def __call__(self) -> bool:
        return self._ask()

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Stored:
    """A trial of an earlier process, as far as schedulers look at one."""

    def __init__(self, number: int) -> None:
        self.trial_id, self.config = f"stored-{number}", {"number": number}


class _Rungs:
    """What every scheduler of ours has in common: it hears of rungs only, and spares the reference."""

    first: int
    spared: int | None
    more: Callable[[], bool]

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if VALUE not in result or result.get("done"):
            return str(TrialScheduler.CONTINUE)
        decision = self._judged(tune_controller, trial, {**result, TIME: result["samples"] / self.first})
        return str(TrialScheduler.CONTINUE) if self._spares(trial) and decision == TrialScheduler.STOP else decision

    def _judged(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """What Tune's scheduler says at a rung."""
        return str(super().on_trial_result(tune_controller, trial, result))  # type: ignore[misc]

    def _spares(self, trial: Any) -> bool:
        return bool(trial.config["number"] == self.spared)


class _Unjudged(_Rungs):
    """The end of a trial is no rung: values at full length are not compared with those before it."""

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        pass


class _None(_Unjudged, FIFOScheduler):  # type: ignore[misc]  # Ray carries no types
    pass


class _Asha(_Unjudged, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Tune's ASHA with the local engine's rule and quotas, so that both engines stop alike.

    Of n trials at a rung, the one that is judged among them, the best n / REDUCTION go on, rounded down, but always the
    best one. Tune takes a percentile of those before it, which lets more through while they are few.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._quotas: defaultdict[int, Quota] = defaultdict(Quota)  # by rung, in samples
        self._stops: dict[tuple[int, int], bool] = {}  # what is said once holds for a trial that is run again, too
        for bracket in self._brackets:
            bracket.cutoff = _least_that_goes_on

    def _judged(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number, samples, value = trial.config["number"], result["samples"], result[VALUE]
        if (number, samples) not in self._stops:
            stop = super()._judged(tune_controller, trial, result) == TrialScheduler.STOP
            stop = stop or self._quotas[samples].full(value)
            self._note(number, samples, value, stop and not self._spares(trial))
        return str(TrialScheduler.STOP if self._stops[number, samples] else TrialScheduler.CONTINUE)

    def recall(self, trial: Trial) -> None:
        stand_in = _Stored(trial.number)
        self.on_trial_add(None, stand_in)
        for samples, value in trial.rungs:
            super()._judged(None, stand_in, {"samples": samples, TIME: samples / self.first, VALUE: value})
            self._note(trial.number, samples, value, not trial.went_on(samples))

    def _note(self, number: int, samples: int, value: float, stop: bool) -> None:
        self._stops[number, samples] = stop
        self._quotas[samples].hear(number, value, not stop)


def _least_that_goes_on(before: Mapping[str, float]) -> float | None:
    """The value below which the next trial at a rung is stopped; None at the first one."""
    others = sorted(before.values(), reverse=True)
    return others[max(1, (len(others) + 1) // REDUCTION) - 1] if others else None


class _Median(_Unjudged, MedianStoppingRule):  # type: ignore[misc]
    def recall(self, trial: Trial) -> None:
        """A trial of an earlier process. One that runs again will be heard then."""
        if trial.state != "running":
            stand_in = _Stored(trial.number)
            self.on_trial_add(None, stand_in)
            for samples, value in trial.rungs:
                self.on_trial_result(None, stand_in, {"samples": samples, VALUE: value})


class _HyperBand(_Rungs, HyperBandScheduler):  # type: ignore[misc]
    """Tune's synchronous HyperBand, over trials that come one by one.

    A bracket takes as many trials as it was made for, and waits for them while there are trials to come. Tune would
    put a new one into the place of each that is over, and halve at the first rung of the first trial. The reference
    is in no bracket: it is neither halved nor waited for.
    """

    def _create_bracket(self, s: int) -> Any:
        bracket = super()._create_bracket(s)
        bracket.filled = lambda: len(bracket._all_trials) >= bracket._n0
        return bracket

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        if len(bracket._all_trials) < bracket._n0 and self.more():
            return str(TrialScheduler.PAUSE)
        try:
            return str(super()._process_bracket(tune_controller, bracket))
        finally:
            # Tune leaves it set, and would never again look at a bracket whose last trial of a round is lost.
            bracket.is_being_processed = False

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        if not self.more():
            # No trial will come to a bracket that waited for more, and none of its own has anything to say.
            for bracket in (bracket for band in self._hyperbands for bracket in band if bracket is not None):
                waiting = [trial.status == TuneTrial.PAUSED for trial in bracket._live_trials]
                if waiting and all(waiting):
                    self._process_bracket(tune_controller, bracket)
        return super().choose_trial_to_run(tune_controller)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if not self._spares(trial):
            super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if self._spares(trial):
            return str(TrialScheduler.CONTINUE)
        return super().on_trial_result(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        if not self._spares(trial):
            super().on_trial_remove(tune_controller, trial)


class _Population(_Rungs, PopulationBasedTraining):  # type: ignore[misc]
    """Tune's population-based training, over a population that our proposer draws; the reference stays what it is."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._random = space, random.Random(seed)
        super().__init__(**HEARD, perturbation_interval=1, custom_explore_fn=lambda config: config, log_config=False)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        # Tune refuses any searcher here, lest it learns from configurations that change; ours is told what they became.
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)

    def _checkpoint_or_exploit(
        self, trial: Any, tune_controller: Any, upper_quantile: Any, lower_quantile: Any
    ) -> None:
        lower = [one for one in lower_quantile if not self._spares(one)]
        super()._checkpoint_or_exploit(trial, tune_controller, upper_quantile, lower)

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, str]]:
        params = self._perturbed(trial_to_clone.config["params"])
        own = {name: trial.config[name] for name in ("number", "seed", "worker")}
        copied = [*trial.config.get(COPIED, ()), trial_to_clone.config["number"]]
        return {**trial_to_clone.config, **own, "params": params, COPIED: copied}, {}

    def _perturbed(self, params: Config) -> Config:
        """The parameters of a better trial, those that may change a little up or down, inside their ranges."""
        changed = dict(params)
        for name in perturbed(self._space):
            declared = self._space.domains[name]
            domain = declared.domain if isinstance(declared, When) else declared
            if name in changed and isinstance(domain, Float):
                value = float(changed[name]) * self._random.choice(FACTORS)
                changed[name] = min(max(value, domain.low), domain.high)
        return changed


SCHEDULERS: dict[str, Callable[[int, SearchSpace, int], Any]] = {
    "asha": lambda rungs, _, __: _Asha(
        **HEARD,
        grace_period=1,
        reduction_factor=REDUCTION,
        # Tune counts its rungs from the logarithm of this, rounded down.
        max_t=REDUCTION ** (rungs - 1) + 1,
        stop_last_trials=False,
    ),
    # The end is a rung of its own to HyperBand, so that even one rung before it halves something.
    "hyperband": lambda rungs, _, __: _HyperBand(
        **HEARD, max_t=REDUCTION**rungs, reduction_factor=REDUCTION, stop_last_trials=False
    ),
    # Without a time slice nobody is paused for want of company, which would cost a checkpoint each.
    "median": lambda _, __, ___: _Median(**HEARD, grace_period=1, min_samples_required=5, min_time_slice=float("inf")),
    "none": lambda _, __, ___: _None(),
    "pbt": lambda _, space, seed: _Population(space, seed_of(seed, 0, "population")),
}
