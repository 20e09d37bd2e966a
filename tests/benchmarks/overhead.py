"""What the parent costs: asking, reporting, pruning, telling, storing and drawing, without any training.

    python tests/benchmarks/overhead.py [no-op] [growth] [parent] [--dataset mnist] [--family cnn]

no-op: 1,000 trials through the local driver, Optuna's storage in a file and the live screen on, with workers that
answer at once from this process; beside it Optuna alone, in memory, with the same sampler, pruner and values, A B B A.
growth: 10,000 such trials with random search: the last 100 over the first 100.
parent: the parent's processor seconds over the wall time of a real search of 50 trials.
Prints one JSON document last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import optuna
from rich.console import Console

from bench.engines.local import LocalDriver
from bench.engines.proposer import SAMPLERS
from bench.family import load
from bench.holdout.seal import ensure
from bench.records import Phases
from bench.request import Request
from bench.rows import suggested
from bench.store import Store
from bench.study import search
from bench.terminal.board import Beginning
from bench.terminal.screen import LiveScreen
from bench.training.budget import REDUCTION, rungs
from bench.workers.messages import AtRung, Decide, Done, Job, Probe, Probed, Size, Sized

NOTHING = Phases()
OPTIONS = {"no-op": 15.0, "growth": 1.5, "parent": 0.01}  # what each must reach: milliseconds, ratio, share


def value_at(job: Job, share: float) -> float:
    """A validation accuracy that grows towards an end of the run's own."""
    return (0.5 + 0.5 * random.Random(job.seed).random()) * share**0.1


class Echo:
    """Two workers that train nothing: what `bench.workers.pool.Pool` offers, answered at once."""

    framework = "tensorflow"

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._at: dict[int, int] = {}  # the rung that each has reached
        self._said: deque[tuple[int, object]] = deque()

    def __len__(self) -> int:
        return 2

    @property
    def idle(self) -> list[int]:
        return [worker for worker in range(2) if worker not in self._jobs]

    def device_of(self, worker: int) -> str:
        return "nothing"

    def submit(self, worker: int, job: Job) -> None:
        self._jobs[worker] = job
        self._next(worker, 0)

    def send(self, worker: int, message: object) -> None:
        if isinstance(message, Probe):
            self._said.append((worker, Probed(1.0, 1.0)))
        elif isinstance(message, Size):
            self._said.append((worker, Sized((1,))))
        elif isinstance(message, Decide):
            job = self._jobs[worker]
            if message.verdict == "go":
                self._next(worker, 1 + job.rungs.index(self._at[worker]))
            else:
                self._end(worker, "pruned", self._at[worker])

    def _next(self, worker: int, place: int) -> None:
        job = self._jobs[worker]
        if place < len(job.rungs):
            self._at[worker] = job.rungs[place]
            self._said.append((worker, AtRung(job.number, job.rungs[place], value_at(job, (place + 1) / 4))))
        else:
            self._end(worker, "complete", 1)

    def _end(self, worker: int, verdict: str, samples: int) -> None:
        job = self._jobs[worker]
        share = 1.0 if verdict == "complete" else (1 + job.rungs.index(samples)) / 4
        self._said.append((worker, Done(job.number, verdict, value_at(job, share), samples, NOTHING, 1, 1)))

    def poll(self, timeout: float) -> list[tuple[int, object]]:
        if not self._said:
            return []
        worker, message = self._said.popleft()
        if isinstance(message, Done):
            del self._jobs[worker]
        return [(worker, message)]


def ours(home: Path, sampler: str, trials: int) -> list[float]:
    """When each trial ended, in seconds since the search began."""
    sealed = ensure(home, "digits", None, lambda line: None)
    sealed = type(sealed)(**{**vars(sealed), "n_train": 50_000})  # so that a run has rungs, as on MNIST
    store, ends = Store(home), []
    with Path(os.devnull).open("w") as nowhere, LiveScreen(Console(file=nowhere, force_terminal=True)) as screen:
        request = Request("no-op", load("cnn"), "optuna", trials, sampler=sampler, precision="float32")
        began = time.monotonic()
        screen.begin_search(Beginning("no-op", trials, [], 2, None))

        def hear(event: object) -> None:
            if type(event).__name__ == "Finished":
                ends.append(time.monotonic() - began)

        search(request, sealed, store, Echo, [screen, hear])
    store.close()
    return ends


def alone(sampler: str, trials: int) -> float:
    """Seconds of Optuna alone: in memory, same sampler, its own pruner of the same rule, same values, one at a time."""
    space = load("cnn").space
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=rungs(50_000, 6)[0], reduction_factor=REDUCTION, bootstrap_count=0
    )
    study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](0), pruner=pruner)
    began = time.monotonic()
    for number in range(trials):
        trial = study.ask()
        config = space.walk(suggested(trial))
        marks = rungs(50_000, float(config["epochs"]))
        job = Job(number, None, config, number, "float32", tuple(marks))
        for place, mark in enumerate(marks):
            trial.report(value_at(job, (place + 1) / 4), mark)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, value_at(job, 1.0))
    return time.monotonic() - began


def no_op(folder: Path, trials: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for sampler in ("tpe", "random"):
        seconds: dict[str, list[float]] = {"bench": [], "Optuna": []}
        for turn, who in enumerate(("bench", "Optuna", "Optuna", "bench")):
            took = ours(folder / f"{sampler}-{turn}", sampler, trials)[-1] if who == "bench" else alone(sampler, trials)
            seconds[who].append(1000 * took / trials)
        above = statistics.median(seconds["bench"]) - statistics.median(seconds["Optuna"])
        found[sampler] = {
            **{f"{who}, ms a trial": [round(one, 2) for one in took] for who, took in seconds.items()},
            f"ms above ({OPTIONS['no-op']:.0f} at most)": round(above, 2),
        }
        print(sampler, json.dumps(found[sampler]), file=sys.stderr, flush=True)
    return found


def growth(folder: Path, trials: int) -> dict[str, object]:
    ends = ours(folder / "growth", "random", trials)
    first, last = ends[99] - ends[0], ends[-1] - ends[-100]
    return {
        "first 100, ms a trial": round(1000 * first / 99, 2),
        "last 100, ms a trial": round(1000 * last / 99, 2),
        f"last over first ({OPTIONS['growth']} at most)": round(last / first, 2),
    }


def parent(folder: Path, family: str, dataset: str, trials: int) -> dict[str, object]:
    import bench

    spent: dict[str, float] = {}
    run = LocalDriver.run

    def timed(self: LocalDriver, stored: object) -> bool:
        wall, own = time.monotonic(), time.process_time()
        reached = run(self, stored)  # type: ignore[arg-type]
        spent.update(wall=time.monotonic() - wall, own=time.process_time() - own)
        return reached

    LocalDriver.run = timed  # type: ignore[method-assign]
    bench.search(family, trials, dataset, home=folder / "parent", final=False)
    return {
        "wall seconds": round(spent["wall"], 1),
        "processor seconds of the parent": round(spent["own"], 2),
        f"share ({OPTIONS['parent']} at most)": round(spent["own"] / spent["wall"], 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*OPTIONS, []], default=[*OPTIONS])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--family", default="cnn")
    parser.add_argument("--trials", type=int, help="instead of 1,000, 10,000 and 50")
    options = parser.parse_args()
    figures: dict[str, object] = {
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}",
        "python": platform.python_version(),
        "optuna": optuna.__version__,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "no-op" in options.parts:
            figures["no-op"] = no_op(folder, options.trials or 1_000)
        if "growth" in options.parts:
            figures["growth"] = growth(folder, options.trials or 10_000)
        if "parent" in options.parts:
            figures["parent"] = parent(folder, options.family, options.dataset, options.trials or 50)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
