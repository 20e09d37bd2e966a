"""A trial while a worker trains it, and the record that comes of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from bench.records import Phases, Reason, State, Trial
from bench.space import Config
from bench.training.budget import losses_by_mark
from bench.workers.messages import Done


@dataclass
class Running:
    """One run of a trial on a worker.

    Args:
        began: `time.monotonic()` at its start, as if it had never been paused.
        curve: (nominal samples, validation accuracy in [0, 1]) of the rungs that it passed.
        stopping, kill_at: why it was asked to stop, and when its worker is killed if it has not.
        before: the trial as it was when it was paused.
    """

    number: int
    params: Config
    worker: int
    attempts: int
    seed: int
    began: float
    curve: list[tuple[int, float]] = field(default_factory=list)
    stopping: Reason | None = None
    kill_at: float | None = None
    before: Trial | None = None

    def trial(self) -> Trial:
        """The trial without what this run of it found."""
        return Trial(self.number, "running", self.params, worker=self.worker, seed=self.seed, attempts=self.attempts)

    def record(self, done: Done, train_images: int) -> Trial:
        """The trial as it stands after this run of it, with what it had before it was paused."""
        curve = list(self.curve)
        if done.verdict == "complete" and done.val_accuracy is not None:
            curve.append((round(float(self.params.get("epochs", 1)) * train_images), done.val_accuracy))
        state: State = "running" if done.verdict == "paused" or done.verdict == "stopped" else done.verdict
        # What was run again from its start replaces what it had when it was paused.
        before = self.before if done.since else None
        known = tuple(part for part in before.losses if part[0] <= done.since) if before else ()
        marks = [samples for samples, _ in curve if not known or samples > known[-1][0]]
        return Trial(
            self.number, state, self.params, done.val_accuracy, done.samples,
            before.seconds + done.seconds if before else done.seconds, self.worker,
            done.reason, done.detail, tuple(curve), done.parameters, self.seed, self.attempts,
            confusion=done.confusion,
            losses=(*known, *losses_by_mark(done.losses, marks, done.since)),
        )  # fmt: skip

    def failed(self, reason: Reason, detail: str) -> Trial:
        """The trial as it stands after its worker was lost."""
        return Trial(
            self.number, "failed", dict(self.params), None, self.curve[-1][0] if self.curve else 0,
            Phases(train=time.monotonic() - self.began), self.worker, reason, detail, tuple(self.curve), None,
            self.seed, self.attempts,
        )  # fmt: skip


def given_up(trial: Trial, reason: Reason, detail: str) -> Trial:
    """A trial whose runs all ended with their process, so that nothing of them is known."""
    return Trial(
        trial.number, "failed", dict(trial.params), worker=trial.worker, reason=reason, detail=detail, seed=trial.seed,
        attempts=trial.attempts,
    )  # fmt: skip
