"""Runs whose configurations are given: confirmations and retrainings, side by side on the pool."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.carried import Carried
from bench.engines.interruption import first_shares
from bench.engines.local import ATTEMPTS, GRACE_SECONDS
from bench.errors import BenchError, FrozenStudy
from bench.records import Event, Finished, Progressed, Shelved, Started, Trial, WorkerChanged
from bench.space import Value
from bench.workers.messages import Decide, Done, FromWorker, Job, Lost, Progress, Ready
from bench.workers.pool import Pool

Assignment = tuple[tuple[int, ...], int]  # what one worker trains: indices of the runs, and which attempt that is


@dataclass(frozen=True)
class Run:
    """One run: a configuration, its seed, a number to tell it by, and the samples that it will see.

    `retrain`, `save_to` and `looks` are as in `bench.workers.messages.Job`.
    """

    params: Mapping[str, Value]
    seed: int
    number: int
    samples: int
    retrain: bool = False
    save_to: Path | None = None
    looks: tuple[int, ...] = ()


def run_all(
    runs: Sequence[Run],
    family: Carried,
    precision: str,
    pool: Pool,
    emit: Callable[[Event], None],
    stop_asked: Callable[[], bool] = lambda: False,
    code: str | None = None,
    wait_for_room: Callable[[], None] = lambda: None,
    side_by_side: bool = False,
) -> list[Trial] | None:
    """Every run's result, in the order given; None when a stop came first.

    A fault of the machine is run again with the same seed. A diverged run counts as it scores. Of retrainings that do
    not come out even some are left in the middle, and gone on with by whoever is free: they end as if they had not.

    Args:
        wait_for_room: returns when the disk that models are saved on has room; says so where it has none.
        side_by_side: retrainings share the workers, and those of one worker go through one program; JAX only. Where
            that fails, for lack of memory perhaps, they are run one by one.

    Raises:
        BenchError: a run was lost to the machine twice.
        FrozenStudy: the family's file is no longer the one whose `code` was given.
    """
    work = _Work(runs, family, precision, code, len(pool), side_by_side)
    while len(work.done) < len(runs):
        if stop_asked():
            _stop(pool, work.running, runs)
            return None
        wait_for_room()
        for worker in pool.idle:
            job = work.next(worker, emit)
            if job is not None:
                pool.submit(worker, job)
        for worker, message in pool.poll(0.2):
            if isinstance(message, Ready):
                emit(WorkerChanged(worker, "ready", message.device))
            elif worker in work.running:
                work.hear(worker, message, emit)
    return [work.done[index] for index in range(len(runs))]


class _Work:
    """What is to be done, by whom it is done, and what came of it; runs by their index."""

    def __init__(
        self, runs: Sequence[Run], family: Carried, precision: str, code: str | None, workers: int, side_by_side: bool
    ) -> None:
        self._runs, self._family, self._precision, self._code = runs, family, precision, code
        size, indices = math.ceil(len(runs) / workers) if side_by_side else 1, range(len(runs))
        even = side_by_side or not all(run.retrain for run in runs)
        self._shares = [1.0] * len(runs) if even else first_shares(len(runs), workers)
        groups = [tuple(indices[k : k + size]) for k in range(0, len(runs), size)]
        # Those that will be left come first, so that their ends fill the gaps.
        groups.sort(key=lambda group: self._shares[group[0]] == 1)
        self._waiting: list[Assignment] = [(group, 1) for group in groups]
        self._paused: dict[int, Done] = {}
        self.running: dict[int, Assignment] = {}  # by worker
        self.done: dict[int, Trial] = {}

    def next(self, worker: int, emit: Callable[[Event], None]) -> Job | None:
        """What this worker does now."""
        if not self._waiting:
            return None
        group, attempt = self.running[worker] = self._waiting.pop(0)
        for run in (self._runs[index] for index in group):
            emit(Started(run.number, run.params, worker, run.samples, attempt, run.seed))
        first, *beside = map(self._job, group)
        return replace(first, beside=tuple(beside))

    def _job(self, index: int) -> Job:
        run, share, resume = self._runs[index], self._shares[index], index in self._paused
        return Job(
            run.number, self._family, run.params, run.seed, self._precision, (), run.retrain, run.save_to, self._code,
            state=_state_of(run), resume=resume, pause_at=0 if resume or share == 1 else round(share * run.samples),
            looks=run.looks,
        )  # fmt: skip

    def hear(self, worker: int, message: FromWorker, emit: Callable[[Event], None]) -> None:
        group, attempt = self.running[worker]
        first = self._runs[group[0]]
        if isinstance(message, Progress):
            emit(Progressed(message.number, worker, message.samples, message.loss))
        elif isinstance(message, Lost):
            del self.running[worker]
            emit(WorkerChanged(worker, "lost", message.detail))
            if attempt >= ATTEMPTS:
                raise BenchError(f"Seed {first.seed} was lost twice: {message.detail}. Run the same command again.")
            self._again(group, attempt)
        elif isinstance(message, Done):
            del self.running[worker]
            if message.verdict == "stopped" and message.detail:
                raise FrozenStudy(message.detail)
            if message.verdict == "stopped":  # by nobody here: it is no result
                if attempt >= ATTEMPTS:
                    raise BenchError(f"Seed {first.seed} was stopped twice. Run the same command again.")
                self._again(group, attempt)
                return
            if message.verdict == "failed" and message.reason not in ("diverged", None):
                if len(group) > 1:
                    self._again(group, attempt)
                    return
                raise BenchError(
                    f"Seed {first.seed} failed: {message.reason}: {str(message.detail).rstrip('.')}. Run the same "
                    "command again."
                )
            if message.verdict == "paused":
                self._paused[group[0]] = message
                self._waiting.append((group, attempt))
                emit(Shelved(first.number, worker, replace(_trial(first, worker, message), state="running")))
                return
            for index, one in zip(group, (message, *message.beside), strict=True):
                self._finish(index, worker, one, emit)

    def _again(self, group: tuple[int, ...], attempt: int) -> None:
        self._waiting[:0] = [((index,), attempt + 1) for index in group]

    def _finish(self, index: int, worker: int, message: Done, emit: Callable[[Event], None]) -> None:
        run, before = self._runs[index], self._paused.get(index)
        if before is not None and message.since:  # else it was trained anew from its start
            message = replace(
                message, losses=(*before.losses, *message.losses), seconds=before.seconds + message.seconds
            )
        state = _state_of(run)
        if state is not None:
            state.unlink(missing_ok=True)
        self.done[index] = _trial(run, worker, message)
        emit(Finished(self.done[index]))


def _state_of(run: Run) -> Path | None:
    return run.save_to.with_suffix(".npz") if run.retrain and run.save_to else None


def _trial(run: Run, worker: int, message: Done) -> Trial:
    return Trial(
        run.number,
        "complete",
        run.params,
        message.val_accuracy,
        message.samples,
        message.seconds,
        worker,
        message.reason,
        message.detail,
        message.losses,
        message.parameters,
        run.seed,
    )


def _stop(pool: Pool, running: dict[int, Assignment], runs: Sequence[Run]) -> None:
    for worker, (group, _) in running.items():
        pool.send(worker, Decide(runs[group[0]].number, "stop"))
    deadline = time.monotonic() + GRACE_SECONDS
    while running:
        for worker, message in pool.poll(1.0):
            if isinstance(message, (Done, Lost)):
                running.pop(worker, None)
        if time.monotonic() > deadline:
            for worker in running:
                pool.kill(worker)
