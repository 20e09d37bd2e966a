"""Stored results: read back, tampered with, never mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench import results
from bench.errors import RecordError
from bench.files import sha256
from bench.records import Final, Manifest

MANIFEST = Manifest(
    id="abc", schema=1, created="2026-01-01T00:00:00+00:00", study="digits-mlp", dataset="digits", data_id="digits-1",
    data_checksum="c1", split_fingerprint="s", family="mlp", engine="optuna", trial=3, config={"epochs": 3},
    space_fingerprint="f", precision="float32", seeds=(1, 2), val_accuracy=0.9, confirm=(), trials=5, pruned=1,
    failed=0, search_seconds=10.0, parameters=100, versions={}, device="CPU", code_version="0",
)  # fmt: skip


def store(home, family, correct, identity=None, checksum="c1", study=None, created="2026-01-01T00:00:00+00:00"):
    """Write a final with these answers, as an exam would."""
    identity = identity or f"id-{family}"
    study = study or f"digits-{family}"
    manifest = replace(MANIFEST, id=identity, family=family, data_checksum=checksum, study=study, created=created)
    digest = results.write_manifest(home, manifest)
    path = results.folder(home, "digits", family, identity) / "predictions.npz"
    np.savez(path, correct=correct)
    final = Final(
        schema=1, id=identity, manifest_sha256=digest, predictions_sha256=sha256(path), dataset="digits",
        data_checksum=checksum, study=study, family=family, engine="optuna", created=created,
        test_accuracy=float(correct.mean()), ci95=(0.5, 1.0), method="m", seeds=tuple(range(len(correct))),
        seed_accuracies=tuple(correct.mean(axis=1).tolist()), test_images=correct.shape[1],
        errors=float((~correct).sum(axis=1).mean()), val_accuracy=0.9, trials=5, pruned=1, failed=0,
        search_seconds=10.0, final_seconds=5.0, parameters=100,
    )  # fmt: skip
    results.write_final(home, final)
    return final


def random_answers(seed, seeds=3, images=200, accuracy=0.9):
    return np.random.default_rng(seed).random((seeds, images)) < accuracy


def test_a_final_reads_back_as_it_was_written(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    assert results.read_finals(tmp_path, "digits") == [final]
    assert results.read_finals(tmp_path) == [final]
    assert results.read_finals(tmp_path, "mnist") == []


def test_a_changed_manifest_is_detected(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "manifest.json"
    path.write_text(path.read_text().replace('"trial": 3', '"trial": 4'))
    with pytest.raises(RecordError, match=r"manifest\.json is not the one that this result was made with"):
        results.read_finals(tmp_path, "digits")


def test_changed_predictions_are_detected_before_they_are_compared(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    store(tmp_path, "cnn", random_answers(1))
    np.savez(results.folder(tmp_path, "digits", "mlp", final.id) / "predictions.npz", correct=random_answers(2))
    with pytest.raises(RecordError, match=r"predictions\.npz is not what the result was made from"):
        results.update_comparisons(tmp_path, "digits")


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"schema": 99})])
def test_a_broken_result_is_named_with_what_to_do(tmp_path, text):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"result\.json does not read back.*bench final"):
        results.read_finals(tmp_path, "digits")


def test_every_pair_of_newest_finals_of_the_same_data_is_compared(tmp_path):
    store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    for seed, family in enumerate(("mlp", "cnn", "other")):
        store(tmp_path, family, random_answers(seed))
    store(tmp_path, "elsewhere", random_answers(9, images=50), checksum="c2")
    results.update_comparisons(tmp_path, "digits")
    pairs = results.read_comparisons(tmp_path, "digits")
    assert {frozenset(pair.split()) for pair in pairs} == {
        frozenset(pair) for pair in (("id-mlp", "id-cnn"), ("id-mlp", "id-other"), ("id-cnn", "id-other"))
    }
    assert all(0 <= pair["p_value"] <= pair["p_holm"] <= 1 for pair in pairs.values())


def test_a_broken_comparison_file_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "results" / "digits" / "comparisons.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RecordError, match="Delete it"):
        results.read_comparisons(tmp_path, "digits")
