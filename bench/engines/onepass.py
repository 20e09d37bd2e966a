"""One pass over the training images, then only what is among the best goes on: the baseline of every schedule of rungs.

Egele et al. found few schedules that beat it ("Is One Epoch All You Need For Multi-Fidelity Hyperparameter
Optimization?", 2023; "The Unreasonable Effectiveness Of Early Discarding After One Epoch", 2024). Theirs waits for all
trials; here each is judged when it comes, against those before it.
"""

from __future__ import annotations

from bench.engines.interface import Verdict
from bench.records import Trial

KEPT = 3  # the best so far, among which a trial must be


def among_the_best(trials: int) -> float:
    """The share of trials in no order that are among the best KEPT when they come: the k-th is with chance KEPT / k."""
    return sum(min(1.0, KEPT / place) for place in range(1, trials + 1)) / trials if trials else 1.0


class OnePass:
    """The stopper of the pruner `one-pass`.

    Args:
        train_images: how many samples a pass is.
        spared: the number of a trial that is never pruned, the reference.
    """

    def __init__(self, train_images: int, spared: int | None = None) -> None:
        self._marks = (train_images,)
        self._spared = spared
        self._values: dict[int, float] = {}
        self._passed: set[int] = set()

    def marks(self, number: int) -> tuple[int, ...]:
        return self._marks

    def judge(self, number: int, samples: int, val_accuracy: float) -> Verdict:
        self._values[number] = val_accuracy
        better = sum(value > val_accuracy for value in self._values.values())
        if better < KEPT or number == self._spared:
            self._passed.add(number)
        return "go" if number in self._passed else "prune"

    def recall(self, number: int, samples: int, val_accuracy: float, went_on: bool) -> None:
        self._values[number] = val_accuracy
        (self._passed.add if went_on else self._passed.discard)(number)

    def dropped(self) -> tuple[int, ...]:
        return ()

    def tell(self, trial: Trial) -> None:
        """A failed trial gives its place up; one that ended with its first pass, or before, has a place by its end."""
        if trial.state == "failed":
            self._values.pop(trial.number, None)
        elif trial.state == "complete" and trial.val_accuracy is not None:
            self._values.setdefault(trial.number, trial.val_accuracy)
