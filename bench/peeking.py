"""`bench peek`: a study's best configurations again, judged after every epoch, on validation images alone.

A trial stores how many validation images it got right, not which; so that what the habit pretends needs new runs. They
go to the warm workers as a confirmation does, over fresh seeds, and their answers are kept below peeks/: the same
command again continues, or trains nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import frozen
from bench.confirmation import Stages, samples_of, train
from bench.data.sealed import Sealed
from bench.disk import RESERVE, wait_for_room
from bench.engines.fixed import Run
from bench.engines.interface import seed_of
from bench.errors import InputError, Interrupted, NoTrialSucceeded, RecordError
from bench.family import Family
from bench.files import own_folder
from bench.optimism import HALVINGS, LEAST_IMAGES, METHOD, Answers, optimism
from bench.records import Trial
from bench.study import Outcome
from bench.training import backend
from bench.training.answers import unpacked
from bench.training.budget import epoch_marks
from bench.workers.pool import Pool

SCHEMA = 1


@dataclass(frozen=True)
class Seen:
    """One configuration, and its answers: bool, shape (seeds, looks, validation images); its last look is its end."""

    trial: Trial
    answers: Answers


def peek(
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    home: Path,
    seeds: int,
    configs: int,
    pool: Callable[[], Pool],
    stages: Stages,
    stop_asked: Callable[[], bool] = lambda: False,
) -> list[Seen]:
    """Train the best `configs` configurations over fresh seeds, and see their answers after every epoch.

    Args:
        pool: called only when there is something to train.

    Raises:
        FrozenStudy: the family's file is not the one that was searched.
        NoTrialSucceeded: no complete trial to choose from.
        InputError: too few validation images, or nothing to choose among.
        Interrupted: a stop was asked for; the runs that were done are kept.
    """
    frozen.check(outcome.study, outcome.settings, {"backend": backend.chosen(), "source": frozen.code_of(family)})
    if sealed.n_validation < LEAST_IMAGES:
        raise InputError(
            f"Halving takes {LEAST_IMAGES} validation images or more; {sealed.name!r} has {sealed.n_validation}."
        )
    chosen = _best(outcome, configs)
    looks = {trial.number: _looks(trial, sealed) for trial in chosen}
    if len(chosen) == 1 and len(looks[chosen[0].number]) == 1:
        raise InputError(
            f"One configuration of one epoch is one look, and leaves nothing to choose; let {outcome.study!r} complete "
            "more trials, or more epochs."
        )
    runs = [
        _run(trial, k, place * seeds + k, looks[trial.number], outcome, family, sealed, home)
        for place, trial in enumerate(chosen)
        for k in range(seeds)
    ]
    missing = [run for run in runs if not _path(run).exists()]
    if missing:
        stages.begin_stage(f"look at {family.name} after every epoch", len(missing), "run")
        room = partial(wait_for_room, home, stages.message, stop_asked, RESERVE)
        try:
            train(missing, outcome, family, pool(), stages, stop_asked, room)
        except Interrupted:
            raise Interrupted("Stopped; what was seen is kept, and the same command continues.") from None
        stages.end_stage()
    stored = [_read(run, sealed.n_validation) for run in runs]
    return [Seen(trial, np.array(stored[k * seeds : (k + 1) * seeds])) for k, trial in enumerate(chosen)]


def document(outcome: Outcome, sealed: Sealed, found: Sequence[Seen]) -> dict[str, Any]:
    """Everything that is printed, JSON-ready; accuracies and what is pretended are fractions."""
    ends = np.stack([one.answers[:, -1] for one in found], axis=1)
    everything = np.concatenate([one.answers for one in found], axis=1)
    choices = {"epoch": found[0].answers, "configuration": ends, "both": everything}
    if len(found) == 1 or everything.shape[1] == len(found):  # one configuration, or one look at each: nothing is both
        del choices["both"]
    return {
        "schema": SCHEMA,
        "study": outcome.study,
        "family": outcome.settings["family"],
        "dataset": sealed.name,
        "validation_images": sealed.n_validation,
        "halves": [sealed.n_validation - sealed.n_validation // 2, sealed.n_validation // 2],
        "seeds": len(found[0].answers),
        "diverged": sum(not one.any() for seen in found for one in seen.answers[:, -1]),
        "halvings": HALVINGS,
        "method": METHOD,
        "configurations": [
            {"trial": one.trial.number, "params": dict(one.trial.params), "looks": one.answers.shape[1]}
            for one in found
        ],
        "habits": [
            {"choice": choice, **asdict(optimism(answers))}
            for choice, answers in choices.items()
            if answers.shape[1] > 1
        ],
    }


def _best(outcome: Outcome, count: int) -> list[Trial]:
    """The complete trials of the highest validation accuracy, no configuration twice."""
    complete = [t for t in outcome.trials if t.state == "complete" and t.val_accuracy is not None]
    if not complete:
        raise NoTrialSucceeded(f"Study {outcome.study!r} has no complete trial; run `bench search` for more trials.")
    ordered = sorted(complete, key=lambda t: (-(t.val_accuracy or 0.0), t.number))
    different = [t for place, t in enumerate(ordered) if all(t.params != other.params for other in ordered[:place])]
    return different[:count]


def _looks(trial: Trial, sealed: Sealed) -> tuple[int, ...]:
    """Nominal samples after each epoch, and at the end."""
    marks = epoch_marks(sealed.n_train, float(trial.params.get("epochs", 1)))
    end = samples_of(trial, sealed.n_train)
    return (*(mark for mark in marks if mark < end), end)


def _run(
    trial: Trial,
    k: int,
    number: int,
    looks: tuple[int, ...],
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    home: Path,
) -> Run:
    """One configuration with its k-th seed; its answers have a name that says all they rest on."""
    seed = seed_of(outcome.settings["seed"], trial.number, f"peek {k}")
    rests_on = [
        sealed.checksum, sealed.split_fingerprint, frozen.code_of(family), frozen.build_of(family),
        outcome.settings["precision"], outcome.settings.get("id"), frozen.versions(outcome.settings["engine"]),
        backend.chosen(), dict(trial.params), seed, looks,
    ]  # fmt: skip
    key = hashlib.sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()[:16]
    path = own_folder(home, "peeks", outcome.study, outcome.settings) / f"{key}.bits"
    return Run(trial.params, seed, number, looks[-1], save_to=path, looks=looks)


def _path(run: Run) -> Path:
    assert run.save_to is not None
    return run.save_to


def _read(run: Run, images: int) -> Answers:
    path = _path(run)
    try:
        return unpacked(path.read_bytes(), (len(run.looks), images))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path} does not read back: {error}. Delete it; the same command makes it anew.") from None
