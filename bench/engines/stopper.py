"""Pruners of Optuna, and `asha` in its place, as stopper. They hear the rungs as steps, in nominal samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from bench.engines.halving import Halving
from bench.engines.interface import Verdict
from bench.engines.quota import Quota
from bench.errors import UsageError, did_you_mean
from bench.records import Trial
from bench.training.budget import REDUCTION

# Optuna's other two do not fit: ThresholdPruner wants a bound that only the user of one data set knows, WilcoxonPruner
# compares values on the same instances, of which a run with three rungs has too few to tell anything apart.
PRUNERS: dict[str, Callable[[int, int], optuna.pruners.BasePruner]] = {
    "asha": lambda first, _: Halving(first),
    "hyperband": lambda first, last: optuna.pruners.HyperbandPruner(
        min_resource=first, max_resource=max(first, last), reduction_factor=REDUCTION
    ),
    "median": lambda _, __: optuna.pruners.MedianPruner(n_startup_trials=5),
    "percentile": lambda _, __: optuna.pruners.PercentilePruner(25.0, n_startup_trials=5),
    # Compares a trial with itself: stops one that is worse than it was at an earlier rung.
    "patient": lambda _, __: optuna.pruners.PatientPruner(None, patience=0),
    "none": lambda _, __: optuna.pruners.NopPruner(),
}


class OptunaStopper:
    """Judges trials at rungs, on a study of its own that holds their curves and nothing else.

    With `asha` each rung has a quota.

    Args:
        pruner: a name in PRUNERS.
        first_rung, last_rung: nominal samples, for pruners that need to know.
        spared: the number of a trial that is never pruned, the reference.

    Raises:
        UsageError: no such pruner.
    """

    def __init__(self, pruner: str, first_rung: int, last_rung: int, spared: int | None = None) -> None:
        if pruner not in PRUNERS:
            raise UsageError(f"No pruner {pruner!r}; there are {', '.join(PRUNERS)}.{did_you_mean(pruner, PRUNERS)}")
        self._spared = spared
        self._study = optuna.create_study(
            study_name="bench",  # Hyperband draws a trial's bracket from it and from the trial's number
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(),  # samples nothing here, at the least cost
            pruner=PRUNERS[pruner](first_rung, last_rung),
        )
        self._trials: list[optuna.Trial] = []
        self._verdicts: dict[tuple[int, int], bool] = {}  # what is said once holds for a trial that is run again, too
        self._quotas: defaultdict[int, Quota] | None = defaultdict(Quota) if pruner == "asha" else None  # by rung

    def marks(self, number: int) -> None:
        return None

    def judge(self, number: int, samples: int, val_accuracy: float) -> Verdict:
        return "prune" if self.prune(number, samples, val_accuracy) else "go"

    def dropped(self) -> tuple[int, ...]:
        return ()

    def prune(self, number: int, samples: int, val_accuracy: float) -> bool:
        if (number, samples) not in self._verdicts:
            stop = self._pruned(number, samples, val_accuracy)
            if self._quotas is not None:
                stop = stop or self._quotas[samples].full(val_accuracy)
            self._note(number, samples, val_accuracy, stop and number != self._spared)
        return self._verdicts[number, samples]

    def recall(self, number: int, samples: int, val_accuracy: float, went_on: bool) -> None:
        if (number, samples) not in self._verdicts:
            self._pruned(number, samples, val_accuracy)  # for what the pruner keeps in mind; what it says is past
        self._note(number, samples, val_accuracy, not went_on)

    def _pruned(self, number: int, samples: int, val_accuracy: float) -> bool:
        """What the pruner itself says."""
        trial = self._trial(number)
        trial.report(val_accuracy, samples)
        return trial.should_prune()

    def _note(self, number: int, samples: int, val_accuracy: float, stop: bool) -> None:
        self._verdicts[number, samples] = stop
        if self._quotas is not None:
            self._quotas[samples].hear(number, val_accuracy, not stop)

    def tell(self, trial: Trial) -> None:
        self._trial(trial.number)
        if trial.state == "complete":
            self._study.tell(trial.number, trial.val_accuracy)
        else:
            self._study.tell(trial.number, state=TrialState.FAIL if trial.state == "failed" else TrialState.PRUNED)

    def _trial(self, number: int) -> optuna.Trial:
        """Trials report in any order; Optuna numbers them in the order in which they are made."""
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        return self._trials[number]
