"""`bench final`: confirm, freeze, retrain over seeds, test once."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import bench
from bench import frozen, results
from bench.budgets import spent
from bench.carried import pack
from bench.data.sealed import Sealed
from bench.disk import RESERVE, wait_for_room
from bench.engines.fixed import Run, run_all
from bench.engines.interface import seed_of
from bench.errors import Interrupted, NoTrialSucceeded
from bench.family import Family
from bench.files import sha256, unique_slug, write_json
from bench.holdout import exam
from bench.records import WINNER, Event, Final, Manifest, Trial
from bench.space import fingerprint
from bench.study import Outcome
from bench.workers.pool import Pool

CANDIDATES = 2
ROUNDS = 2
MARGIN = 0.001  # validation accuracies closer than a tenth of a point are as good as equal
SCHEMA = 1


class Stages(Protocol):
    """Who wants to hear how a final proceeds: the screen."""

    def begin_stage(self, title: str, target: int, unit: str = ...) -> None: ...

    def end_stage(self) -> None: ...

    def message(self, text: str) -> None: ...

    def __call__(self, event: Event) -> None: ...


@dataclass(frozen=True)
class Confirmed:
    """The race's winner, and what every candidate scored: number -> validation accuracies over fresh seeds."""

    winner: Trial
    val_accuracy: float
    entries: tuple[Mapping[str, Any], ...]


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
) -> Final:
    """The family's tested winner; what is stored is returned, else it is made.

    Args:
        seeds: how often the winner is trained again, at least 1.
        pool: called only when there is something to train.

    Raises:
        FrozenStudy: the family's file is not the one that was searched.
        NoTrialSucceeded: no complete trial to choose from.
        SealError: the exam found something changed.
        Interrupted: a stop was asked for; nothing is stored, and the test set was not opened.
    """
    identity = final_id(outcome, seeds)
    _wait_for_exam(home, identity, stages, stop_asked)
    for stored in results.read_finals(home, sealed.name):
        if stored.id == identity:
            return stored
    frozen.check(outcome.study, outcome.settings, {"source": frozen.code_of(family)})
    if outcome.best is None:
        raise NoTrialSucceeded(f"Study {outcome.study!r} has no complete trial; run `bench search` for more trials.")
    began = time.time()
    # By study, whose lock is held: a final that was killed leaves its models here until the next one.
    work = home / "work" / unique_slug(outcome.study)
    shutil.rmtree(work, ignore_errors=True)
    try:
        confirmed = confirm(outcome, family, sealed, pool(), stages, stop_asked)
        needed = RESERVE + seeds * (5 * (confirmed.winner.parameters or 0) + 5 * sealed.n_test * sealed.classes)
        wait_for_room(home, stages.message, stop_asked, needed)
        room = partial(wait_for_room, home, stages.message, stop_asked)
        trained = _retrain(confirmed, outcome, family, sealed, pool(), work, seeds, stages, stop_asked, room)
        manifest = _freeze(identity, confirmed, outcome, family, sealed, work, trained, pool().device_of(0))
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


def confirm(
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    pool: Pool,
    stages: Stages,
    stop_asked: Callable[[], bool] = lambda: False,
) -> Confirmed:
    """Train the best few again over fresh seeds, on validation, and take the highest mean.

    A race: a round gives every candidate one more seed. It ends when the leader is ahead by more than two standard
    errors; when the two differ by less than MARGIN, where either will do; or after ROUNDS. The value that a trial had
    in the search does not count: it was selected for it. Where the study tried one configuration and completed it once,
    nothing was selected: its own value stands, and nothing is trained again.
    """
    complete = [t for t in outcome.trials if t.state == "complete" and t.val_accuracy is not None]
    if len(complete) == 1 and all(t.params == complete[0].params for t in outcome.trials):
        return Confirmed(complete[0], complete[0].val_accuracy or 0.0, ())
    best = sorted(complete, key=lambda t: (-(t.val_accuracy or 0.0), t.number))[:CANDIDATES]
    scores: dict[int, list[float]] = {t.number: [] for t in best}
    rounds = ROUNDS if len(best) > 1 else 1
    stages.begin_stage(f"confirm {len(best)} candidates", rounds * len(best), "trial")
    for round_number in range(rounds):
        runs = [
            Run(
                t.params,
                seed_of(outcome.settings["seed"], t.number, f"confirm {round_number}"),
                t.number,
                _samples(t, sealed.n_train),
            )
            for t in best
        ]
        for trial, done in zip(best, _runs(runs, outcome, family, pool, stages, stop_asked), strict=True):
            scores[trial.number].append(done.val_accuracy or 0.0)
        if _settled(list(scores.values()), sealed.n_validation):
            break
    stages.end_stage()
    winner = min(best, key=lambda t: (-_mean(scores[t.number]), t.number))
    entries = tuple(
        {"trial": t.number, "val_accuracies": scores[t.number], "search_val_accuracy": t.val_accuracy} for t in best
    )
    return Confirmed(winner, _mean(scores[winner.number]), entries)


def _settled(scores: Sequence[Sequence[float]], images: int) -> bool:
    """Whether the highest mean is ahead of the next by two binomial standard errors, or indifferent to it."""
    first, *others = sorted((_mean(values) for values in scores), reverse=True)
    if not others:
        return True
    variance = sum(mean * (1 - mean) / (images * len(scores[0])) for mean in (first, others[0]))
    return not MARGIN <= first - others[0] <= 2 * math.sqrt(variance)


def _runs(
    runs: Sequence[Run],
    outcome: Outcome,
    family: Family,
    pool: Pool,
    stages: Stages,
    stop_asked: Callable[[], bool],
    room: Callable[[], None] = lambda: None,
) -> list[Trial]:
    code, precision = frozen.code_of(family), outcome.settings["precision"]
    done = run_all(runs, pack(family), precision, pool, stages, stop_asked, code, room)
    if done is None:
        raise Interrupted("Stopped before the test set was opened; the same command continues.")
    return done


def _retrain(
    confirmed: Confirmed,
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
    """One run a seed on train + validation, for exactly the winner's epochs; no seed is dropped."""
    winner = confirmed.winner
    runs = [
        Run(
            winner.params,
            seed_of(outcome.settings["seed"], winner.number, f"final {k}"),
            k,
            _samples(winner, sealed.n_train + sealed.n_validation),
            retrain=True,
            save_to=_model(work, k),
        )
        for k in range(seeds)
    ]
    stages.begin_stage(f"retrain {family.name}, {seeds} seeds", seeds, "seed")
    trained = _runs(runs, outcome, family, pool, stages, stop_asked, room)
    stages.end_stage()
    return trained


def _freeze(
    identity: str,
    confirmed: Confirmed,
    outcome: Outcome,
    family: Family,
    sealed: Sealed,
    work: Path,
    trained: Sequence[Trial],
    device: str,
) -> Manifest:
    used = spent(outcome.trials)
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
        seeds=tuple(int(t.seed or 0) for t in trained),
        val_accuracy=confirmed.val_accuracy,
        confirm=confirmed.entries,
        trials=outcome.finished,
        pruned=outcome.count("pruned"),
        failed=outcome.count("failed"),
        search_seconds=outcome.seconds,
        parameters=trained[0].parameters or 0,
        versions=frozen.versions(),
        device=device,
        code_version=bench.__version__,
        warnings=(*sealed.warnings, *(f"seed {t.seed}: {t.detail}" for t in trained if t.detail)),
        purpose=outcome.settings.get("purpose", WINNER),
        study_id=outcome.settings.get("id"),
        model_sha256=tuple(sha256(_model(work, t.number)) for t in trained),
        samples=used.samples,
        device_seconds=used.device_seconds,
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
    write_json(folder / "curves.json", [{"seed": t.seed, "samples_and_loss": t.curve} for t in trained])
    models = [_model(work, t.number) for t in trained]
    stages.begin_stage(f"exam: {sealed.n_test:,} test images", 1, "exam")
    stored = exam.sit(home, folder, manifest_sha256, sealed, models, pack(family), began, room)
    stages.end_stage()
    return stored


def _model(work: Path, number: int) -> Path:
    """Where the model of one seed waits for its exam."""
    return work / f"seed-{number}.keras"


def _samples(trial: Trial, images: int) -> int:
    return round(float(trial.params.get("epochs", 1)) * images)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
