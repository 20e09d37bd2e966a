"""`bench fsck`: does everything in a home still say what it said when it was written?

Checks only read. What can be mended without loss is mended by `repair`; what cannot is moved, whole, to
<home>/quarantine, so that the next command makes it anew and nothing is thrown away.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from filelock import FileLock, Timeout

from bench import duels, lock, results
from bench.data.sealed import Sealed
from bench.errors import BenchError
from bench.files import own_folder, sha256, unique_slug
from bench.holdout import exam, ledger, recount
from bench.holdout.seal import checksum_of
from bench.store import Store
from bench.verdicts import Comparisons

FRESH_SECONDS = 60.0  # a temporary file younger than this may be somebody's write


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written.

    Attributes:
        where: the file, folder, or study.
        what: the rule and what was seen.
        remedy: what `repair` does about it, or what the user can do.
        repair: mends it, or None where only the user can.
    """

    where: str
    what: str
    remedy: str
    repair: Callable[[], object] | None = None


def check(home: Path) -> Iterator[tuple[str, list[Problem]]]:
    """(part of the home, its problems), part by part, so that a long check can be followed."""
    yield "storage", list(_storage(home))
    yield "ledger", list(_ledger(home))
    yield "results", list(_results(home))
    yield "sealed data", list(_seals(home))
    yield "leftovers", list(_leftovers(home))


def quarantine(home: Path, *paths: Path) -> None:
    """Move paths of this home below <home>/quarantine, under their old names and the time."""
    target = home / "quarantine" / time.strftime("%Y%m%d-%H%M%S")
    for path in paths:
        if path.exists():
            place = target / path.relative_to(home)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)


# --- storage


def _storage(home: Path) -> Iterator[Problem]:
    path = home / "bench.db"
    if not path.exists():
        return
    broken = _sqlite_problem(path)
    if broken:
        # The log first: beside a new database SQLite would play it back.
        files = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "")]
        remedy = "moved to quarantine; what its studies found in finals stays on the leaderboard"
        yield Problem(str(path), broken, remedy, partial(quarantine, home, *files))
        return
    try:
        store = Store(home)
    except (BenchError, OSError) as error:
        yield Problem(str(path), f"it cannot be checked: {error}", "mend that, or give this home another storage")
        return
    with closing(store):
        for study in store.names():
            yield from _study(store, study)


def _sqlite_problem(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.OperationalError:
        return None  # not to be opened here and now, which says nothing about what is in it; Store will say why
    except sqlite3.DatabaseError as error:
        return f"SQLite cannot read it: {error}"
    return None if answer == "ok" else f"SQLite finds it damaged: {answer}"


def _study(store: Store, study: str) -> Iterator[Problem]:
    remove = f"`bench studies rm {study}`, or restore the storage from a copy"
    try:
        if store.settings(study) is None:
            yield Problem(study, "a study that bench did not make, or was killed while making", f"none, or {remove}")
            return
        trials = store.trials(study)
    except BenchError as error:
        yield Problem(study, str(error), remove)
        return
    foreign = [trial.number for trial in trials if trial.seed is None]
    if foreign:
        yield Problem(study, f"trial {foreign[0]} was put there by another program than bench", remove)
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(trials))):
        yield Problem(study, f"trials are numbered {numbers[:5]}..., not 0, 1, 2, ...", remove)
    for trial in trials:
        value = trial.val_accuracy
        if trial.state == "complete" and (value is None or not 0 <= value <= 1):
            yield Problem(study, f"trial {trial.number} is complete with a validation accuracy of {value}", remove)


# --- ledger


def _ledger(home: Path) -> Iterator[Problem]:
    path = home / ledger.NAME
    try:
        entries = ledger.read(home)
    except BenchError as error:
        yield Problem(str(path), str(error), "restore it from a copy; looks are never made up")
        return
    changed = ledger.first_changed(home)
    if changed is not None:
        what = f"line {changed} does not follow from those before it: one was changed, put in or taken out"
        yield Problem(str(path), what, "restore it from a copy; looks are never made up")
    if path.exists() and not path.read_bytes().endswith(b"\n"):
        note = {"event": "note", "text": "fsck found a line that a kill tore"}
        yield Problem(str(path), "its last line was torn by a kill", "closed off", partial(ledger.record, home, note))
    finals = {path.parent.name for path in (home / "results").glob("*/*/*/result.json")}
    looked = {entry.get("manifest") for entry in entries if entry.get("event") == "look"}
    for identity in sorted(finals - looked):
        yield Problem(str(path), f"no look is noted for the final {identity}", "restore the ledger from a copy")


# --- results


def _results(home: Path) -> Iterator[Problem]:
    broken: dict[str, bool] = {}  # by data set
    looks = _looks_by_manifest(home)
    at_work = _studies_at_work(home)
    for folder in sorted(path for path in (home / "results").glob("*/*/*") if path.is_dir()):
        if exam.under_way(home, folder.name) or _study_of(folder) in at_work:
            continue  # half of a final is what a final under way looks like
        problem, dataset = _final_problem(home, folder, looks), folder.parent.parent.name
        broken[dataset] = broken.get(dataset, False) or problem is not None
        if problem is not None:
            remedy = "moved to quarantine; `bench final` makes it anew, which adds a look"
            yield Problem(str(folder), problem, remedy, partial(quarantine, home, folder))
        else:
            yield from _wrong_result(home, folder)
    for dataset, with_broken in broken.items():
        what = "was made with finals that are broken" if with_broken else _comparisons_problem(home, dataset)
        if what:
            path = home / "results" / dataset / duels.NAME
            yield Problem(str(path), what, "made anew", partial(path.unlink, missing_ok=True))


def _final_problem(home: Path, folder: Path, looks: dict[str, set[str]]) -> str | None:
    if not (folder / "result.json").exists():
        return "a final that never came to its result"
    try:
        final = recount.copied(results.read_final(folder), results.read_manifest(folder))
        if looks.get(final.id) and final.manifest_sha256 not in looks[final.id]:
            return "the ledger noted another manifest for this final"
        stored = results.read_predictions(home, final)
    except (BenchError, BadZipFile, OSError, ValueError, KeyError) as error:
        return str(error)
    problem = recount.problem_of(stored, final)
    if problem:
        return problem
    wrong = recount.differences(final, recount.counted(final, stored.correct))
    if wrong:
        return f"result.json does not say what its predictions say: {'; '.join(wrong)}"
    return _model_problem(folder) if final.id in _newest(home, final.dataset) else None


def _wrong_result(home: Path, folder: Path) -> Iterator[Problem]:
    """What a sound final's result says besides what is counted: all of it follows from what stands beside it."""
    stored, manifest = results.read_final(folder), results.read_manifest(folder)
    again = recount.copied(stored, manifest)
    again = recount.estimated(again, results.read_predictions(home, again), manifest)
    wrong = recount.differences(stored, again)
    if wrong:
        what, remedy = "; ".join(wrong), "written anew from its manifest and its predictions"
        yield Problem(str(folder / "result.json"), what, remedy, partial(results.write_final, home, again))


def _model_problem(folder: Path) -> str | None:
    model, frozen = folder / "model.keras", results.read_manifest(folder).get("model_sha256")
    if not model.is_file():
        return "model.keras is missing"
    if frozen and sha256(model) != frozen[0]:  # manifests of older versions name no model
        return "model.keras is not the model that was frozen"
    return None


def _newest(home: Path, dataset: str) -> set[str]:
    """Finals whose weights are kept."""
    try:
        return {final.id for final in results.newest(results.read_finals(home, dataset))}
    except BenchError:
        return set()


def _studies_at_work(home: Path) -> set[str]:
    names = {path.stem for path in (home / "locks").glob("*.json")}
    return {name for name in names if lock.holder(home, name) is not None}


def _study_of(folder: Path) -> str | None:
    """Under which name a final's study is locked, where its manifest says."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return unique_slug(json.loads((folder / "manifest.json").read_bytes())["study"])
    return None


def _looks_by_manifest(home: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    try:
        for entry in ledger.read(home):
            if entry.get("event") == "look":
                found.setdefault(str(entry.get("manifest")), set()).add(str(entry.get("manifest_sha256")))
    except BenchError:
        return {}
    return found


def _comparisons_problem(home: Path, dataset: str) -> str | None:
    """Whether the stored comparisons read back, are of the finals that are there, and say what predictions say."""
    try:
        pairs, finals = duels.read(home, dataset), results.read_finals(home, dataset)
        if {identity for pair in pairs for identity in pair.split()} - {final.id for final in finals}:
            return "does not belong to the finals beside it"
        # Those that a kill left behind are made when they are asked for.
        if duels.are_complete(pairs, finals):
            made = duels.compared(home, finals)
            if pairs.verdicts != Comparisons.of(pairs).verdicts or not recount.same(pairs, made):
                return "does not say what the predictions say"
    except (BenchError, OSError, ValueError, KeyError, TypeError) as error:
        return str(error)
    return None


# --- sealed data


def _seals(home: Path) -> Iterator[Problem]:
    if _being_sealed(home):
        return
    for folder in sorted(path for path in (home / "cache").glob("*") if path.is_dir()):
        problem = _seal_problem(folder)
        if problem is not None:
            remedy = "moved to quarantine; the next command seals the data anew"
            yield Problem(str(folder), problem, remedy, partial(quarantine, home, folder))


def _being_sealed(home: Path) -> bool:
    path = home / "cache" / ".lock"
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # nobody can hold it in a home that cannot be written


def _seal_problem(folder: Path) -> str | None:
    try:
        sealed = Sealed.load(folder)
        if not sealed.intact:
            return "train.npz or test.npz is missing or has another size than was sealed"
        if checksum_of(sealed) != sealed.checksum:
            return f"the images or labels are not those that were sealed ({sealed.checksum[:12]})"
    except (BenchError, BadZipFile, OSError, ValueError, KeyError) as error:
        return str(error)
    return None


# --- leftovers


def _leftovers(home: Path) -> Iterator[Problem]:
    old = time.time() - FRESH_SECONDS
    for path in sorted(home.rglob(".*.tmp")):
        if path.stat().st_mtime < old and "quarantine" not in path.parts:
            yield Problem(str(path), "a write that was killed", "removed", path.unlink)
    for folder in sorted((home / "work").glob("*")):
        if lock.holder(home, folder.name) is None:
            yield Problem(str(folder), "models of a final that was killed", "removed", partial(shutil.rmtree, folder))
    yield from _states(home)
    for path in lock.stale(home):
        yield Problem(str(path), "names a process that is gone", "removed", path.unlink)


def _states(home: Path) -> Iterator[Problem]:
    """States of paused trials that are over; those of studies in another storage are not looked at."""
    folders = sorted((home / "states").glob("*"))
    if not folders or not (home / "bench.db").exists():
        return
    with suppress(BenchError, OSError), closing(Store(home)) as store:  # a broken storage was reported
        for study, settings in store.studies().items():
            folder = own_folder(home, "states", study, settings)
            if folder.parent not in folders or lock.holder(home, study) is not None:
                continue
            paused = {f"{trial.number}.npz" for trial in store.trials(study) if trial.state == "running"}
            for path in sorted(folder.glob("*.npz")):
                if path.name not in paused:
                    yield Problem(str(path), "the state of a trial that is over", "removed", path.unlink)


def to_json(found: list[tuple[str, list[Problem]]], repaired: bool) -> dict[str, Any]:
    rows = [
        {
            "part": part,
            "where": problem.where,
            "what": problem.what,
            "remedy": problem.remedy,
            "repaired": repaired and problem.repair is not None,
        }
        for part, problems in found
        for problem in problems
    ]
    return {"schema": 1, "rows": rows}
