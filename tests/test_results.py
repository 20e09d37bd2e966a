"""Stored results: read back, tampered with, never mixed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench import duels, results
from bench.errors import RecordError
from bench.files import sha256
from bench.records import WINNER, Final, Manifest, Trial

MANIFEST = Manifest(
    id="abc", schema=1, created="2026-01-01T00:00:00+00:00", study="digits-mlp", dataset="digits", data_id="digits-1",
    data_checksum="c1", split_fingerprint="s", family="mlp", engine="optuna", trial=3, config={"epochs": 3},
    space_fingerprint="f", precision="float32", seeds=(1, 2), val_accuracy=0.9, confirm=(), trials=5, pruned=1,
    failed=0, search_seconds=10.0, parameters=100, versions={}, device="CPU", code_version="0",
)  # fmt: skip


def store(
    home, family, correct, identity=None, checksum="c1", study=None, created="2026-01-01T00:00:00+00:00",
    purpose=WINNER, study_id=None,
):  # fmt: skip
    """Write a final with these answers, as an exam would."""
    identity = identity or f"id-{family}"
    study = study or f"digits-{family}"
    manifest = replace(
        MANIFEST, id=identity, family=family, data_checksum=checksum, study=study, created=created, study_id=study_id
    )
    digest = results.write_manifest(home, manifest)
    path = results.folder(home, "digits", family, identity) / "predictions.npz"
    np.savez(path, correct=correct)
    final = Final(
        schema=1, id=identity, manifest_sha256=digest, predictions_sha256=sha256(path), dataset="digits",
        data_checksum=checksum, study=study, family=family, engine="optuna", created=created,
        test_accuracy=float(correct.mean()), ci95=(0.5, 1.0), method="m", seeds=tuple(range(len(correct))),
        seed_accuracies=tuple(correct.mean(axis=1).tolist()), test_images=correct.shape[1],
        errors=float((~correct).sum(axis=1).mean()), val_accuracy=0.9, trials=5, pruned=1, failed=0,
        search_seconds=10.0, final_seconds=5.0, parameters=100, purpose=purpose, study_id=study_id,
        split_fingerprint=manifest.split_fingerprint,
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
        duels.compared(tmp_path, results.read_finals(tmp_path, "digits"))
    duels.update(tmp_path, "digits")
    assert duels.read(tmp_path, "digits") == {}


def test_answers_of_another_length_than_the_result_says_are_named_with_what_to_do(tmp_path):
    final = replace(store(tmp_path, "mlp", random_answers(0)), test_images=199)
    results.write_final(tmp_path, final)
    with pytest.raises(RecordError, match=r"shape \(3, 200\), but its result is of 3 seeds and 199.*bench final"):
        results.read_correct(tmp_path, final)


def test_a_manifest_of_another_version_is_named_with_the_way_out(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    digest = results.write_manifest(tmp_path, replace(MANIFEST, id=final.id, schema=2, code_version="9.9"))
    results.write_final(tmp_path, replace(final, manifest_sha256=digest))
    with pytest.raises(RecordError, match=r"schema 2, made by bench 9\.9; this version reads 1.*bench final"):
        results.read_finals(tmp_path)


def test_a_result_of_a_version_that_left_the_split_to_its_manifest_has_it_from_there(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    document = json.loads(path.read_text())
    del document["split_fingerprint"], document["findings"]
    path.write_text(json.dumps(document))
    assert results.read_finals(tmp_path) == [final]


def test_the_newest_sound_finals_are_told_from_those_that_changed(tmp_path):
    sound, edited, swapped = (store(tmp_path, name, random_answers(seed)) for seed, name in enumerate("abc"))
    store(tmp_path, "c", random_answers(9), "older", created="2025-01-01T00:00:00+00:00")
    manifest = results.folder(tmp_path, "digits", "b", edited.id) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"trial": 3', '"trial": 4'))
    np.savez(results.folder(tmp_path, "digits", "c", swapped.id) / "predictions.npz", correct=random_answers(5))
    finals, wrong = results.sound(tmp_path, "digits")
    assert finals == [sound]
    assert sorted(why.split(" is not ")[0].rsplit("/", 3)[1] for why in wrong) == ["b", "c"]
    assert all("bench final" in why for why in wrong)


def test_predictions_of_a_version_that_kept_no_labels_still_read(tmp_path):
    answers, probabilities = random_answers(0), np.full((3, 200, 4), 0.25, np.float32)
    final = store(tmp_path, "mlp", answers)
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "predictions.npz"
    np.savez(path, correct=answers, probabilities=probabilities)
    final = replace(final, predictions_sha256=sha256(path))
    read = results.read_predictions(tmp_path, final)
    assert read.labels is None
    np.testing.assert_array_equal(read.correct, answers)
    np.testing.assert_array_equal(read.probabilities, probabilities)
    np.savez(path, correct=answers, probabilities=probabilities, labels=np.zeros(200, np.int32))
    with pytest.raises(RecordError, match="not what the result was made from"):
        results.read_predictions(tmp_path, final)


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"schema": 99})])
def test_a_broken_result_is_named_with_what_to_do(tmp_path, text):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    path.write_text(text)
    with pytest.raises(RecordError, match=r"result\.json does not read back.*bench final"):
        results.read_finals(tmp_path, "digits")


def test_a_result_without_a_purpose_is_a_winner(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    document = json.loads(path.read_text())
    del document["purpose"]
    path.write_text(json.dumps(document))
    assert results.read_finals(tmp_path) == [final]


@pytest.mark.parametrize(("name", "value"), [("test_accuracy", "high"), ("trials", 2.5), ("family", None)])
def test_a_field_of_the_wrong_type_is_named(tmp_path, name, value):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(RecordError, match=f"{name} must be"):
        results.read_finals(tmp_path)


def test_newest_finals_come_oldest_first():
    early, late = "2026-01-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"
    finals = [
        FINAL,
        replace(FINAL, id="b", family="cnn", created="2026-02-01T00:00:00+00:00"),
        replace(FINAL, id="c", created=late),
    ]
    assert FINAL.created == early
    assert [final.id for final in results.newest(finals)] == ["b", "c"]


FINAL = Final(
    schema=1, id="a", manifest_sha256="", predictions_sha256="", dataset="digits", data_checksum="c1", study="s",
    family="mlp", engine="optuna", created="2026-01-01T00:00:00+00:00", test_accuracy=0.9, ci95=(0.8, 1.0), method="m",
    seeds=(1, 2), seed_accuracies=(0.9, 0.9), test_images=200, errors=20.0, val_accuracy=0.9, trials=5, pruned=1,
    failed=0, search_seconds=1.0, final_seconds=1.0, parameters=10,
)  # fmt: skip


def test_only_the_weights_of_the_newest_final_of_a_study_are_kept_and_nothing_else_is_deleted(tmp_path):
    old = store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    new, other = store(tmp_path, "mlp", random_answers(1)), store(tmp_path, "cnn", random_answers(2))
    folders = [results.folder(tmp_path, "digits", final.family, final.id) for final in (old, new, other)]
    for folder in folders:
        (folder / "model.keras").write_bytes(b"weights")
    before = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    results.drop_models(tmp_path, "digits")
    after = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert after == [[name for name in before[0] if name != "model.keras"], before[1], before[2]]
    assert {final.id for final in results.read_finals(tmp_path)} == {old.id, new.id, other.id}


@pytest.mark.parametrize("damaged", [("result.json",), ("manifest.json",), ("result.json", "manifest.json")])
def test_an_older_final_is_no_substitute_for_one_that_does_not_read_back(tmp_path, damaged):
    store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    new, other = store(tmp_path, "mlp", random_answers(1)), store(tmp_path, "cnn", random_answers(2))
    for name in damaged:
        path = results.folder(tmp_path, "digits", "mlp", new.id) / name
        path.write_bytes(path.read_bytes()[:-20] if damaged != ("manifest.json",) else path.read_bytes() + b" ")
    finals, (why,) = results.sound(tmp_path, "digits")
    assert [final.id for final in finals] == [other.id]
    assert why.endswith("No older final of its study stands in for it.")


def test_one_that_was_replaced_and_does_not_read_back_takes_nothing_with_it(tmp_path):
    old = store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    new = store(tmp_path, "mlp", random_answers(1))
    (results.folder(tmp_path, "digits", "mlp", old.id) / "result.json").write_text("{")
    finals, (why,) = results.sound(tmp_path, "digits")
    assert [final.id for final in finals] == [new.id]
    assert "does not read back" in why


def test_weights_are_dropped_also_where_another_result_is_damaged_which_keeps_its_own(tmp_path):
    old = store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    new, broken = store(tmp_path, "mlp", random_answers(1)), store(tmp_path, "cnn", random_answers(2))
    folders = [results.folder(tmp_path, "digits", final.family, final.id) for final in (old, new, broken)]
    for folder in folders:
        (folder / "model.keras").write_bytes(b"weights")
    (folders[2] / "result.json").write_text("{")
    results.drop_models(tmp_path, "digits")
    assert [(folder / "model.keras").exists() for folder in folders] == [False, True, True]


def test_a_final_belongs_to_the_study_whose_id_its_manifest_names(tmp_path):
    trials = [Trial(3, "complete", {"epochs": 3})]
    finals = [store(tmp_path, "mlp", random_answers(0), "a", study_id="one"), store(tmp_path, "mlp", random_answers(1))]
    settings = {"family": "mlp", "data_checksum": "c1", "created": "2025-01-01T00:00:00+00:00"}

    def of(**changes):
        return [final.id for final in results.of_study(tmp_path, finals, "digits-mlp", settings | changes, trials)]

    assert of(id="one") == ["a"]
    assert of(id="two") == []
    assert of(id="one", family="cnn") == []
    assert results.of_study(tmp_path, finals, "digits-other", {**settings, "id": "one"}, trials) == []


def test_a_final_of_an_older_version_belongs_to_a_study_only_if_its_configuration_is_that_of_its_trial(tmp_path):
    final = store(tmp_path, "mlp", random_answers(0))
    path = results.folder(tmp_path, "digits", "mlp", final.id) / "result.json"
    document = json.loads(path.read_text())
    del document["study_id"]
    path.write_text(json.dumps(document))
    (final,) = results.read_finals(tmp_path)
    settings = {"family": "mlp", "data_checksum": "c1", "created": "2025-01-01T00:00:00+00:00"}

    def own(params, number=3, **changes):
        trials = [Trial(number, "complete", params)]
        return results.of_study(tmp_path, [final], "digits-mlp", settings | changes, trials) == [final]

    assert own({"epochs": 3})
    assert not own({"epochs": 2})
    assert not own({"epochs": 3}, number=4)
    assert not own({"epochs": 3}, created="2026-06-01T00:00:00+00:00")
    assert not own({"epochs": 3}, data_checksum="c2")
    assert not own({"epochs": 3}, id="new")


def test_of_two_studies_of_one_name_each_keeps_its_newest_final_and_its_weights(tmp_path):
    """As of two storages, or of a storage that was deleted and made anew."""
    late = "2026-02-01T00:00:00+00:00"
    finals = [
        store(tmp_path, "mlp", random_answers(0), "a", study_id="one"),
        store(tmp_path, "mlp", random_answers(1), "b", study_id="two"),
        store(tmp_path, "mlp", random_answers(2), "c", study_id="one", created=late),
    ]
    folders = [results.folder(tmp_path, "digits", "mlp", final.id) for final in finals]
    for folder in folders:
        (folder / "model.keras").write_bytes(b"weights")
    results.drop_models(tmp_path, "digits")
    assert [(folder / "model.keras").exists() for folder in folders] == [False, True, True]
    assert [final.id for final in results.newest(results.read_finals(tmp_path))] == ["b", "c"]
    duels.update(tmp_path, "digits")
    assert [set(pair.split()) for pair in duels.read(tmp_path, "digits")] == [{"b", "c"}]
