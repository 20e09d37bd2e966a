"""The stored results on disk: results/<dataset>/<family>/<id>/ with manifest.json, result.json, predictions.npz,
curves, model and serving.json; comparisons.json beside the families. Printing reads stored numbers; numpy compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

from filelock import FileLock

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
        RecordError: it does not read back, is of another schema, or its manifest changed.
    """
    path = where / "result.json"
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, this version reads {SCHEMA}")
        for name in ("ci95", "seeds", "seed_accuracies", "warnings"):
            document[name] = tuple(document[name])
        document.setdefault("purpose", WINNER)  # older records are of winners only
        for name in ("study_id", "samples", "device_seconds", "reference"):
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
    """The newest final of each (family, engine, study), oldest first; `finals` come oldest first too."""
    latest: dict[tuple[str, str, str], Final] = {}
    for final in finals:
        latest.pop(place_of(final), None)  # a dict keeps the place of a key that is only assigned anew
        latest[place_of(final)] = final
    return list(latest.values())


def place_of(final: Final) -> tuple[str, str, str]:
    """What a leaderboard has one row of: (family, engine, study)."""
    return final.family, final.engine, final.study


def drop_models(home: Path, dataset: str) -> None:
    """Delete the weights that nothing refers to: those of finals that a newer one of their study has replaced.

    Their manifests, results and predictions stay.
    """
    finals = read_finals(home, dataset)
    kept = {final.id for final in newest(finals)}
    for final in finals:
        if final.id not in kept:
            (folder(home, final.dataset, final.family, final.id) / "model.keras").unlink(missing_ok=True)


def read_comparisons(home: Path, dataset: str) -> dict[str, dict[str, Any]]:
    """'<id of a> <id of b>' -> the stored comparison of a with b, or an empty mapping."""
    path = home / "results" / slug(dataset) / "comparisons.json"
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_bytes())
        pairs: dict[str, dict[str, Any]] = document["pairs"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path} does not read back: {error}. Delete it; the next `bench final` makes it anew."
        ) from None
    return pairs


def complete_comparisons(home: Path, dataset: str, finals: Iterable[Final]) -> dict[str, dict[str, Any]]:
    """The stored comparisons of exactly the newest finals; made first where they are not those.

    So it is after a kill between result and comparisons, or when a final was moved away. Else nothing heavy is loaded.
    """
    try:
        pairs = read_comparisons(home, dataset)
    except RecordError:
        pairs = {"broken": {}}  # all of it follows from the finals
    if are_complete(pairs, finals):
        return pairs
    update_comparisons(home, dataset)
    return read_comparisons(home, dataset)


def are_complete(pairs: Iterable[str], finals: Iterable[Final]) -> bool:
    """Whether these are all pairs of newest finals that are compared, and no others."""
    wanted = {frozenset((a.id, b.id)) for a, b in combinations(newest(finals), 2) if group_of(a) == group_of(b)}
    return {frozenset(pair.split()) for pair in pairs} == wanted


def update_comparisons(home: Path, dataset: str) -> None:
    """Compare the newest finals of a data set pairwise, adjust after Holm over all pairs, and store it for printing.

    Finals of different data or purpose are never compared: each group has its own pairs and its own adjustment.
    """
    base = home / "results" / slug(dataset)
    with FileLock(base / ".comparisons.lock"):
        pairs = compared(home, read_finals(home, dataset))
        write_json(base / "comparisons.json", {"schema": SCHEMA, "pairs": pairs})


def compared(home: Path, finals: Iterable[Final]) -> dict[str, dict[str, Any]]:
    """Every comparison of the newest of these finals, made from their stored predictions; nothing is stored.

    Raises:
        RecordError: predictions are not those that a result was made from.
    """
    pairs: dict[str, dict[str, Any]] = {}
    latest = newest(finals)
    for group in dict.fromkeys(group_of(final) for final in latest):
        pairs |= _compare_all(home, [final for final in latest if group_of(final) == group])
    return pairs


def group_of(final: Final) -> tuple[str, str]:
    """What finals must have in common to be compared: (data checksum, purpose)."""
    return final.data_checksum, final.purpose


def _compare_all(home: Path, finals: list[Final]) -> dict[str, dict[str, Any]]:
    from bench import statistics

    correct = {final.id: read_correct(home, final) for final in finals}
    found = {(a, b): statistics.compare(correct[a], correct[b]) for a, b in combinations(correct, 2)}
    tested = [pair for pair, comparison in found.items() if comparison.tested]
    adjusted = dict(zip(tested, statistics.holm([found[pair].p_value for pair in tested]), strict=True))
    return {f"{a} {b}": {**asdict(found[a, b]), "p_holm": adjusted.get((a, b))} for a, b in found}


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
        RecordError: the predictions are not those that the result was made from.
    """
    return _predictions(home, final, "correct")["correct"]


def _predictions(home: Path, final: Final, *names: str) -> dict[str, Any]:
    """Those of the named arrays that the file holds, read only if its hash is the result's."""
    import numpy as np

    path = folder(home, final.dataset, final.family, final.id) / "predictions.npz"
    if not path.is_file() or sha256(path) != final.predictions_sha256:
        raise RecordError(
            f"{path} is not what the result was made from. Restore it, or move {path.parent} away and run "
            "`bench final` again, which adds a look."
        )
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in names if name in stored}
