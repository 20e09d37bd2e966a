"""Finals as an exam leaves them, of models whose mistakes are drawn."""

import json
from dataclasses import replace

import numpy as np

from bench import results
from bench.data.sealed import Sealed
from bench.files import sha256
from bench.holdout import ledger, recount
from bench.records import Final
from tests.test_results import MANIFEST


def probabilities(seed, error, seeds, labels, classes):
    """Models that err on `error` of the images, and more on some that are hard for all; none errs where it is 0."""
    generator = np.random.default_rng(seed)
    hard = np.random.default_rng(99).random(len(labels)) < 0.02
    wrong = generator.random((seeds, len(labels))) < np.where(hard & (error > 0), 0.5, error)
    found = generator.random((seeds, len(labels), classes)).astype(np.float32) / 10
    np.put_along_axis(found, ((labels + wrong) % classes)[:, :, None], 1.0, axis=2)
    return found / found.sum(axis=2, keepdims=True)


def store(home, family, seed, error, seeds, beside=None, dataset="digits", classes=10, images=1_000, **changes):
    """Write a final, and its look into the ledger.

    Args:
        beside: error rate of a reference that was tested too, or None.
        changes: what its manifest says otherwise than that of `tests.test_results`.
    """
    labels = np.arange(images) % classes
    said = {"probabilities": probabilities(seed, error, seeds, labels, classes), "labels": labels.astype(np.int32)}
    run = None
    if beside is not None:
        said["reference_probabilities"] = probabilities(seed + 100, beside, seeds, labels, classes)
        run = {"trial": 0, "val_accuracy": 0.93, "parameters": 90, "is_winner": False, "config": {}, "model_sha256": []}
    for of in ("", "reference_"):
        if f"{of}probabilities" in said:
            said[f"{of}correct"] = said[f"{of}probabilities"].argmax(axis=2) == labels
    manifest = replace(
        MANIFEST,
        id=f"id-{seed}", family=family, dataset=dataset, study=f"{dataset}-{family}", seeds=tuple(range(seeds)),
        val_accuracy=round(1 - error, 3), reference_run=run, trials=50, pruned=35, samples=10_000, device_seconds=12.5,
        search_seconds=161.0,
    )  # fmt: skip
    manifest = replace(manifest, **changes)
    digest = results.write_manifest(home, manifest)
    path = results.folder(home, dataset, family, manifest.id) / "predictions.npz"
    np.savez(path, **said)
    kept = {name: getattr(manifest, name) for name in Final.__dataclass_fields__ if hasattr(manifest, name)}
    made = Final(
        **kept, manifest_sha256=digest, predictions_sha256=sha256(path), test_accuracy=0.0, ci95=(0.0, 1.0), method="",
        seed_accuracies=(), test_images=0, errors=0.0, final_seconds=1.0,
    )  # fmt: skip
    frozen = json.loads(json.dumps(manifest.to_json()))
    made = recount.estimated(recount.counted(made, said["correct"]), results.Predictions(**said), frozen)
    results.write_final(home, made)
    look = {"event": "look", "manifest": manifest.id, "manifest_sha256": digest, "family": family}
    ledger.record(home, {**look, "data_checksum": manifest.data_checksum})
    return made


def seal(home, dataset="digits", class_names=tuple("0123456789"), images=1_000, validation=300):
    """What seal.json says of data that nobody will open."""
    folder = home / "cache" / MANIFEST.data_id
    folder.mkdir(parents=True)
    for name in ("train.npz", "test.npz"):
        (folder / name).touch()
    Sealed(
        MANIFEST.data_id, dataset, MANIFEST.data_checksum, MANIFEST.split_fingerprint, (8, 8, 1), len(class_names),
        class_names, 500, validation, images, "uint8", 0, (),
        {"kind": "file", "path": None, "size": 0, "mtime_ns": 0}, 0, 0, folder,
    ).save()  # fmt: skip
