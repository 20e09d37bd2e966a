"""The stored results on disk: results/<dataset>/<family>/<id>/ with manifest.json, result.json, predictions.npz,
curves, model and serving.json. What is read is held against its hash; printing reads stored numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.errors import RecordError
from bench.files import sha256, slug, write_json
from bench.records import WINNER, Final, Manifest, Trial

SCHEMA = 1
KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}


def folder(home: Path, dataset: str, family: str, identity: str) -> Path:
    """Where one final lives."""
    return home / "results" / slug(dataset) / slug(family) / identity


def write_manifest(home: Path, manifest: Manifest) -> str:
    """Freeze a manifest; returns the SHA-256 (hex) of its file."""
    path = folder(home, manifest.dataset, manifest.family, manifest.id) / "manifest.json"
    write_json(path, manifest.to_json())
    return sha256(path)


def write_final(home: Path, final: Final) -> None:
    write_json(folder(home, final.dataset, final.family, final.id) / "result.json", final.to_json())


def read_final(where: Path) -> Final:
    """The result in one folder, its manifest checked against the hash that the result holds.

    Raises:
        RecordError: it does not read back, it or its manifest is of another schema, or its manifest changed.
    """
    path = where / "result.json"
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, this version reads {SCHEMA}")
        document.setdefault("findings", ())
        for name in ("ci95", "seeds", "seed_accuracies", "warnings", "findings"):
            document[name] = tuple(document[name])
        document.setdefault("purpose", WINNER)  # older records are of winners only
        for name in ("study_id", "samples", "device_seconds", "reference", "split_fingerprint"):
            document.setdefault(name, None)
        for field in fields(Final):
            if not isinstance(document[field.name], KINDS.get(str(field.type), object)):
                raise ValueError(f"{field.name} must be {field.type}, not {document[field.name]!r}")
        final = Final(**document)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} does not read back: {error}. Move {where} away and run `bench final` again."
        ) from None
    manifest = where / "manifest.json"
    if not manifest.is_file() or sha256(manifest) != final.manifest_sha256:
        raise RecordError(
            f"{manifest} is not the one that this result was made with. Restore it, or move {where} away and run "
            "`bench final` again, which adds a look."
        )
    frozen = read_manifest(where)
    if frozen.get("schema") != SCHEMA:
        raise RecordError(
            f"{manifest} is of schema {frozen.get('schema')}, made by bench {frozen.get('code_version')}; this version "
            f"reads {SCHEMA}. Read it with that one, or move {where} away and run `bench final` again, which adds a "
            "look."
        )
    if final.split_fingerprint is None:  # a result of a version that left it to its manifest
        return replace(final, split_fingerprint=frozen["split_fingerprint"])
    return final


def read_manifest(where: Path) -> dict[str, Any]:
    """The manifest in one folder, as it stands there; `read_final` is what checks it.

    Raises:
        RecordError: it does not read back.
    """
    try:
        document: dict[str, Any] = json.loads((where / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{where / 'manifest.json'} does not read back: {error}. Move {where} away and run `bench final` again."
        ) from None
    return document


def read_beside(where: Path, name: str) -> Any:
    """A JSON document that stands beside a result and that no number rests on; None where there is none.

    Raises:
        RecordError: it does not read back.
    """
    try:
        return json.loads((where / name).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RecordError(f"{where / name} does not read back: {error}. Delete it; no result rests on it.") from None


def read_finals(home: Path, dataset: str | None = None) -> list[Final]:
    """Every stored final, of one data set or of all, oldest first."""
    pattern = f"{slug(dataset) if dataset else '*'}/*/*/result.json"
    finals = [read_final(path.parent) for path in (home / "results").glob(pattern)]
    return sorted(finals, key=lambda final: (final.created, final.id))


def sound(home: Path, dataset: str, replaced: bool = False) -> tuple[list[Final], list[str]]:
    """The finals of a data set whose files are as they were written, oldest first, and what is wrong with each other.

    Where a study's newest final does not read back, or its predictions changed, none of the study is there: an older
    one is no substitute.

    Args:
        replaced: look at the predictions of those that a newer one has replaced too, since something of them is shown.
    """
    finals, broken = _readable(home, dataset)
    wrong = []
    for where, why in broken.items():
        older = _older(where, finals)
        finals = [final for final in finals if final not in older]
        wrong.append(f"{why} No older final of its study stands in for it." if older else why)
    last = newest(finals)
    looked_at = finals if replaced else last
    gone: list[Final] = []
    for one, fault in zip(looked_at, _faults(home, looked_at), strict=True):
        if fault is not None:
            wrong.append(str(fault))
            gone += [final for final in finals if place_of(final) == place_of(one)] if one in last else [one]
    return [final for final in finals if final not in gone], wrong


def _readable(home: Path, dataset: str) -> tuple[list[Final], dict[Path, str]]:
    """The finals of a data set that read back, oldest first; of each other its folder, and what is wrong with it."""
    finals, wrong = [], {}
    for path in sorted((home / "results").glob(f"{slug(dataset)}/*/*/result.json")):
        try:
            finals.append(read_final(path.parent))
        except RecordError as error:
            wrong[path.parent] = str(error)
    return sorted(finals, key=lambda final: (final.created, final.id)), wrong


def _older(where: Path, finals: Sequence[Final]) -> list[Final]:
    """Those that the final in this folder replaced, as its result or its manifest says; else all of its family."""
    for name in ("result.json", "manifest.json"):
        try:
            said = json.loads((where / name).read_bytes())
            place = (said["family"], said["engine"], said["study"], said.get("study_id") or "")
            return [final for final in finals if place_of(final) == place and final.created < said["created"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return [final for final in finals if slug(final.family) == where.parent.name]


def _faults(home: Path, finals: Iterable[Final]) -> list[RecordError | None]:
    """What is wrong with the predictions of each; hashed side by side, since hundreds of finals hold hundreds of MB."""
    from concurrent.futures import ThreadPoolExecutor

    def look(final: Final) -> RecordError | None:
        try:
            checked_predictions(home, final)
        except RecordError as error:
            return error
        return None

    with ThreadPoolExecutor() as pool:
        return list(pool.map(look, finals))


def of_study(
    home: Path, finals: Iterable[Final], study: str, settings: Mapping[str, Any], trials: Iterable[Trial]
) -> list[Final]:
    """Those of the finals that this very study led to: another one of its name may have been here before, or may be
    in another storage.

    Studies and finals of older versions have no id. Such a final is a study's if it was made later, of the same data,
    and its configuration is that of the trial it names.

    Args:
        settings, trials: the study's, as the store gives them.
    """
    params = {trial.number: dict(trial.params) for trial in trials}

    def own(final: Final) -> bool:
        if final.study != study or final.family != settings.get("family"):
            return False
        if final.study_id is not None or "id" in settings:
            return final.study_id == settings.get("id")
        if final.data_checksum != settings.get("data_checksum") or final.created < settings.get("created", ""):
            return False
        manifest = read_manifest(folder(home, final.dataset, final.family, final.id))
        return bool(params.get(manifest["trial"]) == manifest["config"])

    return [final for final in finals if own(final)]


def trial_of(home: Path, final: Final) -> int:
    """The number of the trial that this final trained again."""
    return int(read_manifest(folder(home, final.dataset, final.family, final.id))["trial"])


def newest(finals: Iterable[Final]) -> list[Final]:
    """The newest final of each study, oldest first; `finals` come oldest first too."""
    latest: dict[tuple[str, ...], Final] = {}
    for final in finals:
        latest.pop(place_of(final), None)  # a dict keeps the place of a key that is only assigned anew
        latest[place_of(final)] = final
    return list(latest.values())


def place_of(final: Final) -> tuple[str, ...]:
    """What a leaderboard has one row of: a study, known by its id, since two storages may hold one of the same name."""
    return final.family, final.engine, final.study, final.study_id or ""


def drop_models(home: Path, dataset: str) -> None:
    """Delete the weights that nothing refers to: those of finals that a newer one of their study has replaced.

    Their manifests, results and predictions stay, as does all that is damaged: `bench fsck` tells of it.
    """
    finals, _ = _readable(home, dataset)
    kept = {final.id for final in newest(finals)}
    for final in finals:
        if final.id not in kept:
            (folder(home, final.dataset, final.family, final.id) / "model.keras").unlink(missing_ok=True)


@dataclass(frozen=True)
class Predictions:
    """What the models of a final said of the test images.

    Attributes:
        probabilities: float32, shape (seeds, images, classes).
        correct: bool, shape (seeds, images).
        labels: int32, shape (images,); None in a file of a version that did not keep them.
        reference_probabilities, reference_correct: the same of the reference; None where it was not tested beside.
    """

    probabilities: Any
    correct: Any
    labels: Any
    reference_probabilities: Any = None
    reference_correct: Any = None


def read_predictions(home: Path, final: Final) -> Predictions:
    """The stored predictions of a final.

    Raises:
        RecordError: they are not those that the result was made from.
    """
    names = ("labels", "reference_probabilities", "reference_correct")
    stored = _predictions(home, final, "probabilities", "correct", *names)
    return Predictions(stored["probabilities"], stored["correct"], *map(stored.get, names))


def read_correct(home: Path, final: Final) -> Any:
    """The stored bool matrix, shape (seeds, images), of a final.

    Raises:
        RecordError: the predictions are not those that the result was made from, or of other seeds or images.
    """
    correct = _predictions(home, final, "correct")["correct"]
    if correct.shape != (len(final.seeds), final.test_images):
        where = folder(home, final.dataset, final.family, final.id)
        raise RecordError(
            f"{where / 'predictions.npz'} holds answers of shape {correct.shape}, but its result is of "
            f"{len(final.seeds)} seeds and {final.test_images} test images. Restore both, or move {where} away and run "
            "`bench final` again, which adds a look."
        )
    return correct


def checked_predictions(home: Path, final: Final) -> Path:
    """Where the predictions of a final stand.

    Raises:
        RecordError: they are not those that the result was made from.
    """
    path = folder(home, final.dataset, final.family, final.id) / "predictions.npz"
    if not path.is_file() or sha256(path) != final.predictions_sha256:
        raise RecordError(
            f"{path} is not what the result was made from. Restore it, or move {path.parent} away and run "
            "`bench final` again, which adds a look."
        )
    return path


def _predictions(home: Path, final: Final, *names: str) -> dict[str, Any]:
    """Those of the named arrays that the file holds, read only if its hash is the result's."""
    import numpy as np

    path = checked_predictions(home, final)
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in names if name in stored}
