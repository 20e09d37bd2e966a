"""The exam: `python -m bench.holdout.exam`, with a ticket on its standard input; only here does a model see test.npz.

It runs once a manifest, in a process of its own. The order is the point: the manifest's hash is checked, the sealed
files are held against their checksum, the models are checked against the manifest, loaded and told apart, the first is
kept, the look goes into the ledger, the images are read, every seed's probabilities are written, and only then are the
labels read. An exam that dies after the look has still been one. The result and the comparisons with other families are
written here too, so that a look is never spent without its result being kept, even when the parent dies meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from bench import carried, duels, failpoints, models, references, results, seeds, statistics
from bench.data.sealed import Sealed
from bench.disk import patiently
from bench.errors import BenchError, Interrupted, RecordError, SealError
from bench.family import Family
from bench.files import sha256, write_atomic, write_json
from bench.holdout import ledger
from bench.holdout.seal import checksum_of
from bench.records import Final
from bench.training import backend
from bench.training.imports import only_what_is_needed
from bench.workers import orphans

BATCH = 500
AGAIN = "Run `bench final` again, which trains the seeds anew."
SERVING_SECONDS = 60  # a measurement that takes longer is given up


def sit(
    home: Path,
    folder: Path,
    manifest_sha256: str,
    sealed: Sealed,
    models: Sequence[Path],
    family: Family,
    began: float,
    wait_for_room: Callable[[], None] = lambda: None,
) -> Final:
    """Examine one trained model a seed, in a process of its own; result.json is there when this returns.

    Args:
        folder: holds the frozen manifest.json; predictions, result and the first seed's model go there too.
        models: one file a seed, in the manifest's order; then as many of the reference, if the manifest names them.
        family: as its models were trained; it may have layers of its own.
        began: when the final began, seconds since the epoch.
        wait_for_room: called every second; says where the disk is full, for which the examiner waits too.

    Raises:
        SealError: the manifest, a model or the sealed data changed, a model cannot be loaded safely, or two seeds are
            the same model. No look is taken.
        RecordError: the examiner died.
    """
    ticket = {
        "home": str(home),
        "folder": str(folder),
        "manifest_sha256": manifest_sha256,
        "sealed": str(sealed.folder),
        "models": [str(model) for model in models],
        "family": carried.to_json(carried.pack(family)),
        "code": family.code,
        "began": began,
        "command": ledger.command(),
    }
    environment = orphans.environment(**backend.environment(backend.chosen(), None, None, home))
    log = home / "logs" / "exam.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        run = subprocess.Popen(
            [sys.executable, "-m", "bench.holdout.exam"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,  # Ctrl-C shall not cut a look in two
        )
    ask: bytes | None = json.dumps(ticket).encode()
    while True:
        try:
            said, _ = run.communicate(ask, timeout=1.0)
            break
        except subprocess.TimeoutExpired:
            ask = None  # it has that already
        wait_for_room()
    try:
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        raise RecordError(f"The exam ended with exit code {run.returncode} and no answer; see {log}.") from None
    if "error" in answer:
        raise SealError(answer["error"])
    return results.read_final(folder)


def wait_for(home: Path, manifest_id: str, say: Callable[[str], object], stop_asked: Callable[[], bool]) -> None:
    """Return when no exam of this manifest is under way: one whose parent was killed goes on to its end alone.

    Raises:
        Interrupted: a stop was asked for meanwhile.
    """
    if not under_way(home, manifest_id):
        return
    say("An exam that was begun earlier is still being sat; waiting for its result.")
    while under_way(home, manifest_id):
        if stop_asked():
            raise Interrupted("Stopped while an earlier exam is being sat; its result is kept, and asked for again.")
        time.sleep(0.2)


def under_way(home: Path, manifest_id: str) -> bool:
    """Whether this manifest's exam is being sat now."""
    if not (home / "locks" / f"exam-{manifest_id}.lock").exists():
        return False
    lock = _lock(home, manifest_id)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False  # nobody can hold it in a home that cannot be written
    lock.release()
    return False


def _lock(home: Path, manifest_id: str) -> FileLock:
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"exam-{manifest_id}.lock")


def examine(ticket: dict[str, Any]) -> Any:
    """The examiner's own work; see the module's docstring for the order. Returns the first seed's model."""
    home, folder, sealed = Path(ticket["home"]), Path(ticket["folder"]), Sealed.load(Path(ticket["sealed"]))
    manifest = json.loads(_checked_manifest(folder / "manifest.json", ticket["manifest_sha256"]))
    if manifest["data_checksum"] != sealed.checksum:
        raise SealError(f"The manifest is for data {manifest['data_checksum'][:12]}, not for {sealed.checksum[:12]}.")
    if not _as_sealed(sealed):
        raise SealError(f"{sealed.folder} is not what was sealed; `bench fsck --repair` sets it aside. {AGAIN}")
    count, run = len(manifest["seeds"]), manifest.get("reference_run")
    trained = _load_models(ticket["models"][:count], ticket, manifest, sealed)
    beside = []
    if run is not None and not run["is_winner"]:
        beside = _load_models(ticket["models"][count:], ticket, {**manifest, **run}, sealed)
    write = partial(patiently, home, partial(print, file=sys.stderr))  # a full disk must not cost the look its result
    look = {
        "event": "look",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "manifest": manifest["id"],
        "manifest_sha256": ticket["manifest_sha256"],
        "command": ticket["command"],
        "dataset": sealed.name,
        "data_checksum": sealed.checksum,
        "family": manifest["family"],
        "study": manifest["study"],
        "seeds": count,
        "with_reference": bool(beside),
    }
    # Before the look: a final that is stopped while its exam waits for room has its models removed.
    model, model_sha256 = Path(ticket["models"][0]), manifest["model_sha256"][0]
    write(lambda: _keep_model(model, model_sha256, folder / "model.keras"))
    write(lambda: ledger.record(home, look))
    failpoints.reach("exam: after the look")
    with np.load(sealed.test_path, allow_pickle=False) as test:
        images = test["x"]
    arrays = {"probabilities": _predict(trained, images)}
    if beside:
        arrays["reference_probabilities"] = _predict(beside, images)
    path = folder / "predictions.npz"
    write(lambda: write_atomic(path, lambda file: np.savez_compressed(file, **arrays)))
    with np.load(sealed.test_path, allow_pickle=False) as test:
        labels = test["y"].astype(np.int32)
    arrays["labels"] = labels
    correct = arrays["correct"] = arrays["probabilities"].argmax(axis=2) == labels
    if beside:
        arrays["reference_correct"] = arrays["reference_probabilities"].argmax(axis=2) == labels
    reference = run and references.measured(run, correct, arrays.get("reference_correct"))
    write(lambda: write_atomic(path, lambda file: np.savez_compressed(file, **arrays)))
    _checked_manifest(folder / "manifest.json", ticket["manifest_sha256"])
    noticed = seeds.findings(manifest["seeds"], arrays["probabilities"], correct)
    final = replace(_record(manifest, ticket, correct, sha256(path), reference), findings=noticed)
    write(lambda: results.write_final(home, final))
    write(lambda: duels.update(home, manifest["dataset"]))
    results.drop_models(home, manifest["dataset"])
    return trained[0]


def _record(
    manifest: dict[str, Any], ticket: dict[str, Any], correct: Any, predictions_sha256: str, reference: Any
) -> Final:
    estimate = statistics.estimate(correct)
    kept = {name: manifest[name] for name in Final.__dataclass_fields__ if name in manifest}
    return Final(
        **{
            **kept,
            "manifest_sha256": ticket["manifest_sha256"],
            "predictions_sha256": predictions_sha256,
            "test_accuracy": estimate.mean,
            "ci95": estimate.ci95,
            "method": estimate.method,
            "seeds": tuple(manifest["seeds"]),
            "seed_accuracies": tuple(correct.mean(axis=1).tolist()),
            "test_images": correct.shape[1],
            "errors": float((~correct).sum(axis=1).mean()),
            "final_seconds": time.time() - ticket["began"],
            "warnings": tuple(manifest["warnings"]),
            "reference": reference,
        }
    )


def _checked_manifest(path: Path, expected: str) -> bytes:
    if sha256(path) != expected:
        raise SealError(f"{path} changed after it was frozen; run `bench final` again for a new one.")
    return path.read_bytes()


def _load_models(paths: Sequence[str], ticket: dict[str, Any], manifest: dict[str, Any], sealed: Sealed) -> list[Any]:
    """Every seed's model, each checked against the manifest first, and told apart."""
    with only_what_is_needed():
        import keras

    hashes = manifest["model_sha256"]
    if not len(hashes) == len(manifest["seeds"]) == len(paths):
        raise SealError(
            f"The manifest names {len(hashes)} models for {len(manifest['seeds'])} seeds, and {len(paths)} came to the "
            f"exam. {AGAIN}"
        )
    for path, expected in zip(paths, hashes, strict=True):
        models.check(Path(path), expected, AGAIN)
    family = carried.unpack(carried.from_json(ticket["family"]))
    own = models.custom_objects_of(family, manifest["config"], sealed.image_shape, sealed.classes)
    # A model of Keras's own layers is all in its file; what the family's do stands in the family's.
    if family.code != ticket["code"] and (own or keras.saving.get_custom_objects()):
        raise SealError(
            f"{family.source} is not what it was when its models were trained, and holds what they compute. The test "
            "set was not opened. Put the file back, and run `bench final` again."
        )
    trained = [models.load(Path(path), own) for path in paths]
    for (one, seed), (other, another) in combinations(zip(trained, manifest["seeds"], strict=True), 2):
        if _same_weights(one, other):
            raise SealError(
                f"Seeds {seed} and {another} are the same model to the last bit: they were not trained apart."
            )
    return trained


def _keep_model(source: Path, expected_sha256: str, target: Path) -> None:
    """Copy the model that was examined; not one that took its place meanwhile."""
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        raise SealError(f"{source} changed during the exam. {AGAIN}")
    write_atomic(target, lambda file: file.write(content))


def _predict(trained: Sequence[Any], images: Any) -> Any:
    """Class probabilities of every seed's model, float32, shape (seeds, images, classes)."""
    scale = np.float32(1 / 255 if images.dtype == np.uint8 else 1.0)
    found = []
    for model in trained:
        parts = [
            np.asarray(model(images[i : i + BATCH].astype(np.float32) * scale, training=False), np.float32)
            for i in range(0, len(images), BATCH)
        ]
        outputs = np.concatenate(parts)
        found.append(outputs if models.ends_in_softmax(model) else _softmax(outputs))
    return np.stack(found)


def _softmax(logits: Any) -> Any:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def _as_sealed(sealed: Sealed) -> bool:
    """Whether the arrays are those that were sealed. Hashing them is no look."""
    try:
        return checksum_of(sealed) == sealed.checksum
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return False


def _same_weights(one: Any, other: Any) -> bool:
    """Whether two models would predict the same. Two that predict the same may be two: both right, and sure of it."""
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)


def main() -> None:
    ticket = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a family prints, the answer stands alone on stdout
    try:
        with _lock(Path(ticket["home"]), Path(ticket["folder"]).name):
            model = examine(ticket)
        answer: dict[str, Any] = {}
    except BenchError as error:
        answer = {"error": str(error)}
    with os.fdopen(out, "w") as stdout:
        print(json.dumps(answer), file=stdout)
    if "error" not in answer:
        _measure_serving(model, Path(ticket["folder"]))


def _measure_serving(model: Any, folder: Path) -> None:
    """Write serving.json. The answer has been given: whatever happens here, the result stands."""
    signal.alarm(SERVING_SECONDS)  # ends the process
    try:
        from bench.training.serving import measure

        write_json(folder / "serving.json", measure(model, folder / "model.keras"))
    except Exception:
        traceback.print_exc()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # all is written; the framework would take most of a second to put itself away, and the parent waits
