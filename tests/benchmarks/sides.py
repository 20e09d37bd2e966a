"""Running a side of the benchmark as a user would: bench from its command line, a rival as a script of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ground import Task

from bench.data.sealed import Sealed
from bench.family import Family, load
from bench.records import Trial
from bench.space import Config, Value
from bench.store import Store
from bench.training import backend

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Setting:
    """What all parts of a run of the benchmark share.

    Args:
        sealed: the data set; sealed once, before anything is measured, for both sides read that.
        scratch: a folder for homes, removed at the end.
        precision: what bench chose on this device, float32 or bfloat16.
        workers: training processes that bench starts unless told.
        trials, epochs: None for each part's own.
    """

    sealed: Sealed
    dataset: str
    data_dir: Path | None
    scratch: Path
    families: Sequence[str]
    rivals: Sequence[str]
    variants: Sequence[str]
    precision: str
    workers: int
    seed: int
    repeats: int
    short: bool
    trials: int | None = None
    epochs: int | None = None

    @property
    def fresh_seeds(self) -> int:
        """Over how many of them a winner is looked at again."""
        return 1 if self.short else 3

    def family(self, name: str, fixed: Mapping[str, Value]) -> Family:
        family = load(name)
        return family.overridden(family.space.override(fixed)) if fixed else family

    def task(self, family: str, **told: Any) -> Task:
        return Task(str(self.sealed.folder), family, 0.0, **{"seed": self.seed, **told})


@dataclass(frozen=True)
class Ran:
    """One run of one side. All seconds are since its command began.

    Attributes:
        ends: (seconds, validation accuracy) of each trial that came to its end, in that order; of bench alone.
        best: `val_accuracy`, `params` and `seconds` of the winner, by the side's own account.
        lines: what a rival printed before that.
    """

    seconds: float
    best: Mapping[str, Any]
    lines: Sequence[Mapping[str, Any]] = ()
    trials: Sequence[Trial] = ()
    ends: Sequence[tuple[float, float]] = ()

    def reached(self, val_accuracy: float) -> float:
        """Seconds until the best trial so far was as good; infinity where none was."""
        return next((seconds for seconds, value in self.ends if value >= val_accuracy), float("inf"))


def environment(tuned: bool) -> dict[str, str]:
    """What a process finds. One that is tuned computes with the routines that bench's workers compute with."""
    path = [str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
    routines = {backend.ROUTINES: "1"} if tuned else {}
    return {**routines, **os.environ, "PYTHONPATH": os.pathsep.join(path), **quiet}


def search(setting: Setting, family: str, *arguments: str) -> Ran:
    """`bench search` in a home of its own, in which the data set is sealed already."""
    home = setting.scratch / f"home-{time.monotonic_ns()}"
    shutil.copytree(setting.sealed.folder, home / "cache" / setting.sealed.folder.name)
    command = [sys.executable, "-m", "bench", "search", family, "--dataset", setting.dataset, "--home", str(home)]
    command += ["--gpus", "none", "--no-final", "-q", "--json", *arguments]
    if setting.data_dir is not None:
        command += ["--data-dir", str(setting.data_dir)]
    began, clock = time.time(), time.monotonic()
    done = subprocess.run(command, env=environment(tuned=False), capture_output=True, text=True)
    seconds = time.monotonic() - clock
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    store = Store(home)
    (study,) = store.studies()
    trials = store.trials(study)
    rows = store._storage.get_all_trials(store._storage.get_study_id_from_name(study), deepcopy=False)
    moments = {row.number: row.datetime_complete.timestamp() - began for row in rows if row.datetime_complete}
    store.close()
    shutil.rmtree(home)
    complete = [trial for trial in trials if trial.state == "complete" and trial.val_accuracy is not None]
    ends = sorted((moments[trial.number], trial.val_accuracy or 0.0) for trial in complete)
    best = max(complete, key=lambda trial: (trial.val_accuracy or 0.0, -trial.number))
    winner = {"val_accuracy": best.val_accuracy, "params": dict(best.params), "seconds": moments[best.number]}
    return Ran(seconds, winner, trials=trials, ends=ends)


def rival(script: str, task: Task, *arguments: str) -> Ran:
    """A rival's script, with its task."""
    clock = time.monotonic()
    command = [sys.executable, str(HERE / f"{script}.py"), replace(task, began=clock).to_json(), *arguments]
    done = subprocess.run(command, env=environment(task.tuned), capture_output=True, text=True)
    seconds = time.monotonic() - clock
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    return Ran(seconds, last["best"], [*lines, last])


def tool(script: str, *arguments: str, told: str = "") -> Any:
    """The JSON that one of the scripts beside this one prints."""
    command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
    done = subprocess.run(command, env=environment(tuned=True), input=told, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def fixing(fixed: Mapping[str, Value]) -> list[str]:
    """`--set` for each of these."""
    return [part for name, value in fixed.items() for part in ("--set", f"{name}={value}")]


def trained(ran: Ran) -> list[Config]:
    """The configurations that a side trained, in the order of their numbers."""
    if ran.trials:
        return [dict(trial.params) for trial in ran.trials]
    return [line["params"] for line in ran.lines if "trial" in line]


def hold_equal(asked: Sequence[Config], runs: Sequence[Ran]) -> None:
    """Hold what each run trained against what all were to train."""
    for ran in runs:
        if trained(ran) != list(asked):
            raise SystemExit(f"The sides did not train the same: {trained(ran)} where {list(asked)} was asked for.")
