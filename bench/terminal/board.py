"""What the live screen knows: plain state, moved by events, drawn by `bench.terminal.screen`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from bench.records import Event, Finished, Paused, Progressed, Reported, Shelved, Started, Trial, WorkerChanged
from bench.space import Value
from bench.terminal.sparkline import height

SHOW_LEFT_AFTER = 3  # finished trials; a rate of fewer says nothing
FIRST_ORDER = (
    8  # finished trials before parameters are put in order; again at each doubling, so that rows stay readable
)


Share = Callable[[], float]  # how much of a search is done, 0 to 1, where trials do not count


@dataclass(frozen=True)
class Beginning:
    """A search that begins.

    Attributes:
        target: finished trials that it is to reach; no more than a bound where there is a `share`.
        finished: those of earlier processes among them.
        timeout: seconds after which it stops, or None.
        share: how much of it is done, where that is not for trials to say.
    """

    title: str
    target: int
    finished: Sequence[Trial] = ()
    workers: int = 1
    timeout: float | None = None
    share: Share | None = None


@dataclass
class Run:
    """What a worker does, or did last."""

    number: int
    params: Mapping[str, Value]
    target: int
    began: float
    state: str = "building"
    samples: int = 0
    curve: list[float] = field(default_factory=list)
    loss: float | None = None
    reason: str | None = None
    ended: float | None = None


@dataclass
class Worker:
    state: Literal["starting", "ready", "probing", "lost"] = "starting"
    detail: str = ""
    run: Run | None = None


class Board:
    """One search or one stage at a time; workers and the best trial outlive a change from one to the next.

    Args:
        clock: seconds, as time.monotonic gives them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.workers: dict[int, Worker] = {}
        self.best: Trial | None = None
        self.best_so_far: list[float] = []
        self.lowest, self.highest = math.inf, -math.inf  # of every curve of this search, so that rows compare
        self.order: list[str] = []
        self._finished: list[Trial] = []
        self._begin("", 0, "trial", searching=True)

    def _begin(self, title: str, target: int, unit: str, *, searching: bool) -> None:
        self.title, self.target, self.unit, self.searching = title, target, unit, searching
        self.began = self.clock()
        self.timeout: float | None = None
        self._share: Share | None = None
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.lost = 0
        self.results: dict[int, list[float]] = {}  # of a stage: run number -> accuracies
        self._first: float | None = None
        self._last = self.began
        self.done_here = 0
        for worker in self.workers.values():
            worker.run = None

    def begin_search(self, search: Beginning) -> None:
        self._begin(search.title, search.target, "trial", searching=True)
        self.timeout, self._share = search.timeout, search.share
        self._share_before = search.share() if search.share else 0.0
        self.best, self.best_so_far, self.order, self._finished = None, [], [], []
        self.lowest, self.highest = math.inf, -math.inf
        self.expect_workers(search.workers)
        for trial in search.finished:
            if trial.state != "running":
                self._count(trial)
                self._learn(trial)
        self.order = telling(self._finished) if len(self._finished) >= FIRST_ORDER else []

    def begin_stage(self, title: str, target: int, unit: str) -> None:
        self._begin(title, target, unit, searching=False)

    def expect_workers(self, workers: int) -> None:
        for number in range(workers):
            self.workers.setdefault(number, Worker())

    # --- events

    def apply(self, event: Event) -> None:
        if isinstance(event, Finished):
            self._finish(event.trial)
            return
        worker = self.workers.setdefault(event.worker, Worker())
        run = worker.run
        if isinstance(event, Started):
            now = self.clock()
            self._first = now if self._first is None else self._first
            worker.state, worker.detail = "ready", ""
            worker.run = Run(event.number, event.params, event.samples_target, now)
        elif isinstance(event, WorkerChanged):
            worker.state, worker.detail = event.state, event.detail
            if event.state == "lost":
                self.lost += 1
                worker.run = None
        elif run is None or run.number != event.number:
            return
        elif isinstance(event, Reported):
            run.state, run.samples = "training", max(run.samples, event.samples)
            run.curve.append(event.val_accuracy)
            self._scale(event.val_accuracy)
        elif isinstance(event, Progressed):
            self.progress(event.worker, event.samples, event.loss)
        elif isinstance(event, (Paused, Shelved)):
            run.state, run.ended = "paused", self.clock()

    def progress(self, worker: int, samples: int, loss: float | None) -> None:
        run = self.workers.setdefault(worker, Worker()).run
        if run is not None and run.ended is None:
            run.state, run.samples = "training", max(run.samples, samples)
            run.loss = run.loss if loss is None else loss

    def _finish(self, trial: Trial) -> None:
        now = self.clock()
        self._count(trial)
        self.done_here += 1
        self._last = now
        if self.searching:
            self._learn(trial)
            done = len(self._finished)
            if done >= FIRST_ORDER and done & (done - 1) == 0:
                self.order = telling(self._finished)
        elif trial.val_accuracy is not None:
            self.results.setdefault(trial.number, []).append(trial.val_accuracy)
        run = self.workers[trial.worker].run if trial.worker in self.workers else None
        if run is None or run.number != trial.number:
            return
        run.state, run.ended, run.reason = trial.state, now, trial.reason
        run.samples = max(run.samples, trial.samples)
        if trial.state == "complete" and trial.val_accuracy is not None:
            run.curve.append(trial.val_accuracy)

    def _count(self, trial: Trial) -> None:
        self.counts[trial.state] += 1
        if trial.state == "failed":
            self.reasons[trial.reason or "error"] += 1

    def _learn(self, trial: Trial) -> None:
        self._finished.append(trial)
        for _, accuracy in trial.curve:
            self._scale(accuracy)
        if trial.state == "complete" and trial.val_accuracy is not None:
            self._scale(trial.val_accuracy)
            if self.best is None or trial.val_accuracy > (self.best.val_accuracy or 0.0):
                self.best = trial
        if self.best is not None and self.best.val_accuracy is not None:
            self.best_so_far.append(height(self.best.val_accuracy))

    def _scale(self, accuracy: float) -> None:
        if math.isfinite(accuracy):
            self.lowest, self.highest = min(self.lowest, height(accuracy)), max(self.highest, height(accuracy))

    # --- questions

    @property
    def finished(self) -> int:
        return self.counts.total()

    @property
    def done(self) -> float:
        """How much of the search or stage is done, 0 to 1."""
        return self._share() if self._share else self.finished / max(self.target, 1)

    @property
    def count(self) -> str:
        """'3/50', or how many are finished where nobody knows of how many."""
        whole = len(str(self.target))
        return f"{self.finished}" if self._share else f"{self.finished:>{whole}}/{self.target}"

    @property
    def busy(self) -> bool:
        """Something has run since this search or stage began."""
        return self._first is not None or self.done_here > 0

    def gone(self) -> float:
        return self.clock() - self.began

    def left(self) -> float | None:
        """Seconds until the target at the rate so far, None while that is not known.

        Every finished trial counts, however it ended, because every one brings the end nearer; those of earlier
        processes do not. Between two of them the estimate runs down by at most the mean time from one to the next.
        """
        if self.done_here < SHOW_LEFT_AFTER or self._first is None:
            return None
        if self._share:
            done = self._share()
            here = done - self._share_before
            return self.gone() * (1 - done) / here if here > 0 else None
        mean = (self._last - self._first) / self.done_here
        waited = min(self.clock() - self._last, mean)
        return max((self.target - self.finished) * mean - waited, 0.0)


def telling(trials: Sequence[Trial]) -> list[str]:
    """Names of the parameters that vary, those first that go along most with validation accuracy.

    Numbers by the correlation of ranks, all else by the correlation ratio of ranks. A help to the eye, not a statistic:
    pruned trials count at the rung where they stopped.
    """
    scored = [trial for trial in trials if trial.val_accuracy is not None and math.isfinite(trial.val_accuracy)]
    names = dict.fromkeys(name for trial in scored for name in trial.params)
    strength = {}
    for name in names:
        pairs = [(trial.params[name], trial.val_accuracy or 0.0) for trial in scored if name in trial.params]
        values, goals = [value for value, _ in pairs], _ranks([accuracy for _, accuracy in pairs])
        if len(set(values)) > 1:
            numeric = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
            at = _ranks([float(value) for value in values]) if numeric else _group_means(values, goals)
            # A conditional parameter that few trials have says less about the whole.
            strength[name] = abs(_correlation(at, goals)) * len(pairs) / len(scored)
    return sorted(strength, key=lambda name: -strength[name])


def _ranks(values: Sequence[float]) -> list[float]:
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [sum(places[value]) / len(places[value]) for value in values]


def _group_means(values: Sequence[Value], goals: Sequence[float]) -> list[float]:
    groups: dict[Value, list[float]] = {}
    for value, goal in zip(values, goals, strict=True):
        groups.setdefault(value, []).append(goal)
    return [sum(groups[value]) / len(groups[value]) for value in values]


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    spread = math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))
    return sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / spread if spread else 0.0
