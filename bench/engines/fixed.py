"""Runs whose configurations are given: confirmations and retrainings, side by side on the pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.carried import Carried
from bench.engines.local import ATTEMPTS
from bench.errors import BenchError, FrozenStudy
from bench.records import Event, Finished, Progressed, Started, Trial, WorkerChanged
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

    A fault of the machine is run again with the same seed. A diverged run counts as it scores.

    Args:
        wait_for_room: returns when the disk that models are saved on has room; says so where it has none.
        side_by_side: retrainings share the workers, and those of one worker go through one program; JAX only. Where
            that fails, for lack of memory perhaps, they are run one by one.

    Raises:
        BenchError: a run was lost to the machine twice.
        FrozenStudy: the family's file is no longer the one whose `code` was given.
    """
    size = math.ceil(len(runs) / len(pool)) if side_by_side else 1
    indices = range(len(runs))
    waiting: list[Assignment] = [(tuple(indices[k : k + size]), 1) for k in range(0, len(runs), size)]
    running: dict[int, Assignment] = {}
    done: dict[int, Trial] = {}
    while len(done) < len(runs):
        if stop_asked():
            _stop(pool, running, runs)
            return None
        wait_for_room()
        for worker in pool.idle:
            if waiting:
                group, attempt = running[worker] = waiting.pop(0)
                jobs = []
                for run in (runs[index] for index in group):
                    kind = (precision, (), run.retrain, run.save_to, code)
                    jobs.append(Job(run.number, family, run.params, run.seed, *kind, looks=run.looks))
                    emit(Started(run.number, run.params, worker, run.samples, attempt, run.seed))
                pool.submit(worker, replace(jobs[0], beside=tuple(jobs[1:])))
        for worker, message in pool.poll(0.2):
            if isinstance(message, Ready):
                emit(WorkerChanged(worker, "ready", message.device))
            elif worker in running:
                _hear(worker, message, runs, running, waiting, done, emit)
    return [done[index] for index in range(len(runs))]


def _hear(
    worker: int,
    message: FromWorker,
    runs: Sequence[Run],
    running: dict[int, Assignment],
    waiting: list[Assignment],
    done: dict[int, Trial],
    emit: Callable[[Event], None],
) -> None:
    group, attempt = running[worker]
    by_number = {runs[index].number: index for index in group}
    if isinstance(message, Progress):
        emit(Progressed(message.number, worker, message.samples, message.loss))
    elif isinstance(message, Lost):
        del running[worker]
        emit(WorkerChanged(worker, "lost", message.detail))
        if attempt >= ATTEMPTS:
            raise BenchError(
                f"Seed {runs[group[0]].seed} was lost twice: {message.detail}. Run the same command again."
            )
        waiting[:0] = [((index,), attempt + 1) for index in group]
    elif isinstance(message, Done):
        del running[worker]
        if message.verdict == "stopped" and message.detail:
            raise FrozenStudy(message.detail)
        if message.verdict == "failed" and message.reason not in ("diverged", None):
            if len(group) > 1:
                waiting[:0] = [((index,), attempt + 1) for index in group]
                return
            seed = runs[group[0]].seed
            raise BenchError(f"Seed {seed} failed: {message.reason}: {message.detail}. Run the same command again.")
        for one in (message, *message.beside):
            index = by_number[one.number]
            done[index] = _trial(runs[index], worker, one)
            emit(Finished(done[index]))


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
    while running:
        for worker, message in pool.poll(1.0):
            if isinstance(message, (Done, Lost)):
                running.pop(worker, None)
