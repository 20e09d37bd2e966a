"""The exam on real digits and real models: its order, and the faults that it must not let pass."""

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import carried, results
from bench.boards import make_board
from bench.errors import RecordError, SealError
from bench.family import load
from bench.files import sha256
from bench.holdout import exam, ledger
from bench.holdout.seal import ensure
from tests.test_results import MANIFEST

FAMILY = load("mlp")


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return ensure(tmp_path_factory.mktemp("home"), "digits", None, lambda line: None)


@pytest.fixture(scope="module")
def models(tmp_path_factory, sealed):
    import keras

    paths = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        paths.append(tmp_path_factory.mktemp("models") / f"{seed}.keras")
        FAMILY.build(FAMILY.reference, sealed.image_shape, sealed.classes).save(paths[-1])
    return paths


def sit(home, sealed, models, family=FAMILY, **changes):
    hashes = tuple(sha256(model) for model in models)
    config = family.reference
    manifest = replace(MANIFEST, data_checksum=sealed.checksum, config=config, model_sha256=hashes, **changes)
    digest = results.write_manifest(home, manifest)
    folder = results.folder(home, "digits", "mlp", manifest.id)
    return exam.sit(home, folder, digest, sealed, models, family, time.time()), folder


OF_ITS_OWN = """
import keras
from bench.family import Family
from bench.space import Int, SearchSpace

class Times(keras.layers.Layer):
    def call(self, inputs):
        print("so much", end="")
        return inputs * 2

def build(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    outputs = keras.layers.Dense(classes)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, Times()(outputs))

FAMILY = Family("own", SearchSpace({"epochs": Int(1, 2)}), build, {"epochs": 1})
"""


def test_the_exam_stores_what_the_models_predict_and_notes_one_look(tmp_path, sealed, models):
    import keras

    final, folder = sit(tmp_path, sealed, models)
    with np.load(folder / "predictions.npz") as stored, np.load(sealed.test_path) as test:
        assert stored["probabilities"].shape == (2, sealed.n_test, sealed.classes)
        np.testing.assert_allclose(stored["probabilities"].sum(axis=2), 1.0, atol=1e-5)
        logits = keras.models.load_model(models[1])(test["x"] / np.float32(255), training=False)
        assert (np.asarray(logits).argmax(axis=1) == test["y"]).mean() == pytest.approx(final.seed_accuracies[1])
        assert (stored["labels"].dtype, stored["labels"].shape) == (np.int32, (sealed.n_test,))
        np.testing.assert_array_equal(stored["labels"], test["y"])
    read = results.read_predictions(tmp_path, final)
    np.testing.assert_array_equal(read.probabilities.argmax(axis=2) == read.labels, read.correct)
    np.testing.assert_array_equal(read.correct, results.read_correct(tmp_path, final))
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 1
    assert results.read_finals(tmp_path, "digits") == [final]
    assert (folder / "model.keras").read_bytes() == models[0].read_bytes()


def test_two_seeds_that_are_the_same_model_fail_loudly_and_take_no_look(tmp_path, sealed, models):
    twin = tmp_path / "twin.keras"
    shutil.copyfile(models[0], twin)
    with pytest.raises(SealError, match="Seeds 1 and 2 are the same model to the last bit"):
        sit(tmp_path, sealed, [models[0], twin])
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0
    assert results.read_finals(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "change", "opened"),
    [
        (OF_ITS_OWN, ("inputs * 2", "inputs * 3"), False),
        (OF_ITS_OWN, ("inputs * 2", "inputs * 2"), True),
        (OF_ITS_OWN.replace("Times()(outputs)", "outputs"), ("inputs * 2", "inputs * 3"), True),  # all in its file
    ],
)
def test_models_with_layers_of_the_familys_own_are_tested_with_the_code_that_trained_them(
    tmp_path, sealed, text, change, opened
):
    import keras

    path, models = tmp_path / "own.py", []
    path.write_text(text)
    family = load(str(path))
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        models.append(tmp_path / f"{seed}.keras")
        family.build(family.reference, sealed.image_shape, sealed.classes).save(models[-1])
    path.write_text(text.replace(*change))
    if opened:
        sit(tmp_path, sealed, models, family)
    else:
        with pytest.raises(SealError, match=r"own\.py is not what it was when its models were trained"):
            sit(tmp_path, sealed, models, family)
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == opened


def test_two_models_that_are_equally_sure_are_two(tmp_path, sealed, models):
    """Logits far apart make probabilities of exactly 0 and 1, which may be the same for both."""
    import keras

    steep = []
    for path, favourite in zip(models, (0, 0), strict=True):
        model = keras.models.load_model(path)
        last = model.layers[-1]
        kernel, bias = last.get_weights()
        bias[favourite] += 1e6
        last.set_weights([kernel, bias])
        steep.append(tmp_path / path.name)
        model.save(steep[-1])
    final, folder = sit(tmp_path, sealed, steep)
    with np.load(folder / "predictions.npz") as stored:
        np.testing.assert_array_equal(stored["probabilities"][0], stored["probabilities"][1])
    assert len(final.seeds) == 2
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_sealed_data_that_changed_open_nothing(tmp_path, sealed, models, part):
    copy = replace(sealed, folder=shutil.copytree(sealed.folder, tmp_path / "cache"))
    path = copy.train_path if part == "train" else copy.test_path
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(SealError, match="is not what was sealed"):
        sit(tmp_path, copy, models)
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0


def test_a_manifest_that_changed_after_it_was_frozen_opens_nothing(tmp_path, sealed, models):
    manifest = replace(MANIFEST, data_checksum=sealed.checksum)
    digest = results.write_manifest(tmp_path, manifest)
    folder = results.folder(tmp_path, "digits", "mlp", manifest.id)
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "trial": 9}))
    with pytest.raises(SealError, match="changed after it was frozen"):
        exam.sit(tmp_path, folder, digest, sealed, models, FAMILY, time.time())
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0


def test_a_manifest_for_other_data_opens_nothing(tmp_path, sealed, models):
    with pytest.raises(SealError, match="The manifest is for data"):
        digest = results.write_manifest(tmp_path, MANIFEST)
        folder = results.folder(tmp_path, "digits", "mlp", MANIFEST.id)
        exam.sit(tmp_path, folder, digest, sealed, models, FAMILY, time.time())
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0


def test_models_that_are_removed_once_the_look_is_taken_do_not_cost_its_result(tmp_path, sealed, models, monkeypatch):
    """As where a user stops a final whose exam waits for room on the disk."""
    mine = [Path(shutil.copy(model, tmp_path)) for model in models]
    first, record = mine[0].read_bytes(), ledger.record

    def record_and_lose(home, entry):
        record(home, entry)
        for model in mine:
            model.unlink()

    monkeypatch.setattr(ledger, "record", record_and_lose)
    hashes = tuple(map(sha256, mine))
    manifest = replace(MANIFEST, data_checksum=sealed.checksum, config=FAMILY.reference, model_sha256=hashes)
    digest, folder = results.write_manifest(tmp_path, manifest), results.folder(tmp_path, "digits", "mlp", manifest.id)
    exam.examine(
        {
            "home": str(tmp_path),
            "folder": str(folder),
            "manifest_sha256": digest,
            "sealed": str(sealed.folder),
            "models": list(map(str, mine)),
            "family": carried.to_json(FAMILY.source),
            "code": FAMILY.code,
            "began": time.time(),
            "command": "bench final mlp",
        }
    )
    assert [final.id for final in results.read_finals(tmp_path)] == [manifest.id]
    assert (folder / "model.keras").read_bytes() == first


def test_labels_stand_in_the_last_write_only(tmp_path, sealed, models, monkeypatch):
    """A kill between the two writes leaves predictions that were made before the labels were read."""
    monkeypatch.setenv("BENCH_FAILPOINT", "files: after predictions.npz")
    with pytest.raises(RecordError):
        sit(tmp_path, sealed, models)
    (path,) = tmp_path.glob("results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        assert stored.files == ["probabilities"]


@pytest.mark.slow
def test_an_exam_that_crashed_counts_as_a_look_and_so_does_a_family_that_is_tested_again(
    tmp_path, sealed, models, monkeypatch
):
    monkeypatch.setenv("BENCH_FAILPOINT", "exam: after the look")
    with pytest.raises(RecordError):
        sit(tmp_path, sealed, models)
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 1
    assert results.read_finals(tmp_path) == []
    monkeypatch.delenv("BENCH_FAILPOINT")
    sit(tmp_path, sealed, models)
    sit(tmp_path, sealed, models, id="searched-again", study="digits-mlp-2")
    (first, second) = make_board(tmp_path, "digits", None).rows
    assert (first["test_looks"], second["test_looks"]) == (3, 3)
    entries = ledger.read(tmp_path)
    assert [entry["manifest"] for entry in entries] == [MANIFEST.id, MANIFEST.id, "searched-again"]
    assert all(entry["command"] and entry["at"] for entry in entries)
    assert ledger.first_changed(tmp_path) is None


def test_a_model_that_changed_after_it_was_frozen_opens_nothing(tmp_path, sealed, models):
    swapped = tmp_path / "swapped.keras"
    shutil.copyfile(models[1], swapped)
    frozen = [models[0], swapped]
    manifest = replace(
        MANIFEST, data_checksum=sealed.checksum, config=FAMILY.reference, model_sha256=tuple(map(sha256, frozen))
    )
    digest = results.write_manifest(tmp_path, manifest)
    shutil.copyfile(models[0], swapped)
    folder = results.folder(tmp_path, "digits", "mlp", manifest.id)
    with pytest.raises(SealError, match=r"swapped\.keras is not the model that was frozen"):
        exam.sit(tmp_path, folder, digest, sealed, frozen, FAMILY, time.time())
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0
    assert not (folder / "model.keras").exists()


def test_models_that_the_manifest_does_not_name_open_nothing(tmp_path, sealed, models):
    with pytest.raises(SealError, match="names 2 models for 2 seeds, and 1 came"):
        manifest = replace(MANIFEST, data_checksum=sealed.checksum, model_sha256=tuple(map(sha256, models)))
        digest = results.write_manifest(tmp_path, manifest)
        folder = results.folder(tmp_path, "digits", "mlp", manifest.id)
        exam.sit(tmp_path, folder, digest, sealed, models[:1], FAMILY, time.time())
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0


def reference_run(models):
    return {
        "trial": 0, "config": dict(FAMILY.reference), "val_accuracy": 0.5, "parameters": 100, "is_winner": False,
        "model_sha256": [sha256(model) for model in models],
    }  # fmt: skip


def test_the_reference_is_tested_in_the_same_look(tmp_path, sealed, models):
    ours, theirs = list(models), list(reversed(models))
    manifest = replace(
        MANIFEST, data_checksum=sealed.checksum, config=FAMILY.reference, model_sha256=tuple(map(sha256, ours)),
        reference_run=reference_run(theirs),
    )  # fmt: skip
    digest = results.write_manifest(tmp_path, manifest)
    folder = results.folder(tmp_path, "digits", "mlp", manifest.id)
    final = exam.sit(tmp_path, folder, digest, sealed, [*ours, *theirs], FAMILY, time.time())
    stored = results.read_predictions(tmp_path, final)
    np.testing.assert_array_equal(stored.reference_probabilities, stored.probabilities[::-1])
    np.testing.assert_array_equal(stored.reference_correct, stored.correct[::-1])
    assert final.reference["test_accuracy"] == pytest.approx(final.test_accuracy)
    assert final.reference["difference"] == pytest.approx(0.0)
    (look,) = ledger.read(tmp_path)
    assert (look["event"], look["seeds"], look["with_reference"]) == ("look", 2, True)
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 1


@pytest.mark.slow
def test_a_reference_that_is_not_what_was_frozen_opens_nothing(tmp_path, sealed, models):
    run = reference_run(models)
    for wrong, said in (
        ({**run, "model_sha256": run["model_sha256"][:1]}, "names 1 models for 2 seeds, and 2 came"),
        ({**run, "model_sha256": run["model_sha256"][::-1]}, "is not the model that was frozen"),
        ({**run, "model_sha256": run["model_sha256"][:1] * 2}, "is not the model that was frozen"),
    ):
        manifest = replace(
            MANIFEST, data_checksum=sealed.checksum, config=FAMILY.reference, model_sha256=tuple(map(sha256, models)),
            reference_run=wrong,
        )  # fmt: skip
        digest = results.write_manifest(tmp_path, manifest)
        folder = results.folder(tmp_path, "digits", "mlp", manifest.id)
        with pytest.raises(SealError, match=said):
            exam.sit(tmp_path, folder, digest, sealed, [*models, *models], FAMILY, time.time())
    assert ledger.looks(tmp_path, sealed.checksum, "mlp") == 0


def test_size_and_latency_are_measured_once_the_result_is_stored(tmp_path, sealed, models):
    _, folder = sit(tmp_path, sealed, models)
    found = json.loads((folder / "serving.json").read_text())
    assert found["model_bytes"] == models[0].stat().st_size
    assert [entry["images"] for entry in found["latency"]] == [1, 128]
    assert (folder / "serving.json").stat().st_mtime_ns > (folder / "result.json").stat().st_mtime_ns


def test_an_examiner_that_is_killed_while_it_measures_has_given_its_result(tmp_path, sealed, models, monkeypatch):
    monkeypatch.setenv("BENCH_FAILPOINT", "files: before serving.json")
    final, folder = sit(tmp_path, sealed, models)
    assert results.read_finals(tmp_path, "digits") == [final]
    assert not (folder / "serving.json").exists()


def test_what_cannot_be_measured_is_left_out_and_harms_nothing(tmp_path, sealed, models, monkeypatch):
    """A folder stands where the measurement would be written."""
    manifest_folder = results.folder(tmp_path, "digits", "mlp", MANIFEST.id)
    (manifest_folder / "serving.json").mkdir(parents=True)
    final, _ = sit(tmp_path, sealed, models)
    assert results.read_finals(tmp_path, "digits") == [final]
    assert "serving.json" in (tmp_path / "logs" / "exam.log").read_text()
