"""`bench final`: confirm, freeze, retrain over seeds, test once."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import bench
from bench import frozen, hardware, references, results
from bench.budgets import spent
from bench.confirmation import Confirmed, Stages, confirm, samples_of, train
from bench.data.sealed import Sealed
from bench.disk import RESERVE, wait_for_room
from bench.engines.fixed import Run
from bench.engines.interface import seed_of
from bench.errors import NoTrialSucceeded
from bench.family import Family
from bench.files import sha256, unique_slug, write_json
from bench.holdout import exam
from bench.records import WINNER, Final, Manifest, Trial
from bench.space import fingerprint
from bench.study import Outcome
from bench.training import backend
from bench.workers.pool import Pool

SCHEMA = 1


def final_id(outcome: Outcome, seeds: int) -> str:
    """Names what a final rests on: the study as it stands and the number of seeds. Asked again, the same."""
    basis = {
        "study": outcome.study,
        "settings": outcome.settings,
        "trials": [(t.number, t.state, t.val_accuracy) for t in outcome.trials if t.state != "running"],
        "seeds": seeds,
    }
    return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:12]


def final(
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    home: Path,
    seeds: int,
    pool: Callable[[], Pool],
    stages: Stages,
    stop_asked: Callable[[], bool] = lambda: False,
    with_reference: bool = False,
    still_ours: Callable[[], None] = lambda: None,
) -> Final:
    """The family's tested winner; what is stored is returned, else it is made.

    Args:
        seeds: how often the winner is trained again, at least 1.
        pool: called only when there is something to train.
        with_reference: test the reference too, in the same look. A final that is stored without it stays so: to add it
            would be another look.
        still_ours: called right before the exam; raises where another process has taken the final over.

    Raises:
        FrozenStudy: the family's file is not the one that was searched.
        NoTrialSucceeded: no complete trial to choose from.
        UsageError: the reference is asked for, and its trial is not over.
        SealError: the exam found something changed.
        Interrupted: a stop was asked for; nothing is stored, and the test set was not opened.
    """
    identity = final_id(outcome, seeds)
    _wait_for_exam(home, identity, stages, stop_asked)
    for stored in results.read_finals(home, sealed.name):
        if stored.id == identity:
            return stored
    frozen.check(outcome.study, outcome.settings, {"backend": backend.chosen(), "source": frozen.code_of(family)})
    if outcome.best is None:
        raise NoTrialSucceeded(f"Study {outcome.study!r} has no complete trial; run `bench search` for more trials.")
    reference = references.reference_of(outcome.trials) if with_reference else None
    began = time.time()
    # By study, whose lock is held: a final that was killed leaves its models here until the next one.
    work = home / "work" / unique_slug(outcome.study)
    shutil.rmtree(work, ignore_errors=True)
    try:
        confirmed = confirm(outcome, family, sealed, pool(), stages, stop_asked)
        # Not trained twice where it has won.
        beside = [reference] if reference and reference.params != confirmed.winner.params else []
        each = 5 * (confirmed.winner.parameters or 0) + 5 * sealed.n_test * sealed.classes
        runs = (1 + len(beside)) * seeds
        halves = len(pool()) - 1 if runs > len(pool()) else 0  # seeds that wait half-trained
        needed = RESERVE + runs * each + halves * 12 * (confirmed.winner.parameters or 0)
        wait_for_room(home, stages.message, stop_asked, needed)
        room = partial(wait_for_room, home, stages.message, stop_asked)
        trained = _retrain(confirmed, beside, outcome, family, sealed, pool(), work, seeds, stages, stop_asked, room)
        manifest = _freeze(
            identity, confirmed, reference, outcome, family, sealed, work, trained, seeds, pool().device_of(0)
        )
        still_ours()
        return _examine(manifest, sealed, family, home, work, trained, stages, began, room)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _wait_for_exam(home: Path, identity: str, stages: Stages, stop_asked: Callable[[], bool]) -> None:
    waited = False

    def say(text: str) -> None:
        nonlocal waited
        waited = True
        stages.message(text)
        stages.begin_stage("exam begun earlier", 1, "exam")

    exam.wait_for(home, identity, say, stop_asked)
    if waited:
        stages.end_stage()


def _retrain(
    confirmed: Confirmed,
    beside: Sequence[Trial],
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    pool: Pool,
    work: Path,
    seeds: int,
    stages: Stages,
    stop_asked: Callable[[], bool],
    room: Callable[[], None],
) -> list[Trial]:
    """One run a seed on train + validation, for exactly the configured epochs; no seed is dropped.

    The winner's come first, then those of what is tested beside it, over the same seeds.
    """
    winner = confirmed.winner
    runs = [
        Run(
            trial.params,
            seed_of(outcome.settings["seed"], winner.number, f"final {k}"),
            place * seeds + k,
            samples_of(trial, sealed.n_train + sealed.n_validation),
            retrain=True,
            save_to=_model(work, place * seeds + k),
        )
        for place, trial in enumerate((winner, *beside))
        for k in range(seeds)
    ]
    what = f"{family.name} and its reference" if beside else family.name
    stages.begin_stage(f"retrain {what}, {seeds} seeds", len(runs), "seed")
    trained = train(runs, outcome, family, pool, stages, stop_asked, room)
    stages.end_stage()
    return trained


def _freeze(
    identity: str,
    confirmed: Confirmed,
    reference: Trial | None,
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    work: Path,
    trained: Sequence[Trial],
    seeds: int,
    device: str,
) -> Manifest:
    used = spent(outcome.trials)
    winners, beside = trained[:seeds], trained[seeds:]
    models = [_model(work, t.number) for t in trained]
    return Manifest(
        id=identity,
        schema=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        study=outcome.study,
        dataset=sealed.name,
        data_id=sealed.data_id,
        data_checksum=sealed.checksum,
        split_fingerprint=sealed.split_fingerprint,
        family=family.name,
        engine=outcome.settings["engine"],
        trial=confirmed.winner.number,
        config=dict(confirmed.winner.params),
        space_fingerprint=fingerprint(outcome.settings["space"]),  # as searched, not as the family's file has it now
        precision=outcome.settings["precision"],
        seeds=tuple(int(t.seed or 0) for t in winners),
        val_accuracy=confirmed.val_accuracy,
        confirm=confirmed.entries,
        trials=outcome.finished,
        pruned=outcome.count("pruned"),
        failed=outcome.count("failed"),
        search_seconds=outcome.seconds,
        parameters=trained[0].parameters or 0,
        versions=frozen.versions(outcome.settings["engine"]),
        device=device,
        code_version=bench.__version__,
        warnings=(
            *sealed.warnings,
            *(f"seed {t.seed}: {t.detail}" for t in winners if t.detail),
            *(f"reference, seed {t.seed}: {t.detail}" for t in beside if t.detail),
        ),
        purpose=outcome.settings.get("purpose", WINNER),
        study_id=outcome.settings.get("id"),
        model_sha256=tuple(map(sha256, models[:seeds])),
        samples=used.samples,
        device_seconds=used.device_seconds,
        reference_run=references.frozen(reference, winners[0], beside, models[seeds:]) if reference else None,
        hardware=hardware.described(),
    )


def _examine(
    manifest: Manifest,
    sealed: Sealed,
    family: Family,
    home: Path,
    work: Path,
    trained: Sequence[Trial],
    stages: Stages,
    began: float,
    room: Callable[[], None],
) -> Final:
    folder = results.folder(home, sealed.name, family.name, manifest.id)
    manifest_sha256 = results.write_manifest(home, manifest)
    winners = trained[: len(manifest.seeds)]
    write_json(folder / "curves.json", [{"seed": t.seed, "samples_and_loss": t.curve} for t in winners])
    models = [_model(work, t.number) for t in trained]
    stages.begin_stage(f"exam: {sealed.n_test:,} test images", 1, "exam")
    stored = exam.sit(home, folder, manifest_sha256, sealed, models, family, began, room)
    stages.end_stage()
    return stored


def _model(work: Path, number: int) -> Path:
    """Where the model of one seed waits for its exam."""
    return work / f"seed-{number}.keras"
