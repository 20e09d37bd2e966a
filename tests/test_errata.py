"""`bench mistakes`: its document, what is printed of it, the gallery, and what it leaves in the ledger."""

import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench import cli, results
from bench.data.sealed import sealed_in
from bench.errata import Examined, document
from bench.errors import SealError, ShapeError
from bench.files import sha256
from bench.holdout import gallery, ledger
from bench.records import Final
from bench.terminal.mistakes import draw
from tests.test_disagreement import CLASSES, drawn, said
from tests.test_results import FINAL, MANIFEST

GOLDEN = Path(__file__).parent / "golden"
NAMES = ["zero", "one", "two", "three"]


def examined(answers):
    final = replace(
        FINAL, id=f"id-{answers.name}", family=answers.name, study=f"digits-{answers.name}",
        seeds=tuple(range(len(answers.correct))), errors=float((~answers.correct).sum(axis=1).mean()),
        test_accuracy=float(answers.correct.mean()),
    )  # fmt: skip
    return Examined(final, answers)


def made(seeds=5, names=("cnn", "mlp"), class_names=NAMES):
    labels = np.arange(2_000) % CLASSES
    errors, other_errors = np.full(2_000, 0.01), np.full(2_000, 0.02)
    errors[:6], other_errors[:6] = 1.0, 1.0  # no family gets these right, and both are sure
    other_errors[100:130:2], errors[200:206:2] = 1.0, 1.0
    other_errors[labels == 2] += 0.04
    one, other = (examined(drawn(name, rates, seeds, labels, seed))
                  for seed, (name, rates) in enumerate(zip(names, (errors, other_errors), strict=True)))  # fmt: skip
    return document("digits", class_names, [one, other], (one, other), ["A note."])


def test_the_document_is_json_and_names_the_classes():
    found = json.loads(json.dumps(made(), allow_nan=False))
    assert (found["schema"], found["dataset"], found["test_images"], found["models"]) == (1, "digits", 2_000, 10)
    assert {row["image"] for row in found["unsolved"]} >= set(range(6))
    assert found["unsolved"][0]["said_name"] == NAMES[(NAMES.index(found["unsolved"][0]["name"]) + 1) % 4]
    assert {row["image"] for row in found["likely_label_errors"]} == {row["image"] for row in found["unsolved"]}
    pair = found["against"]
    assert (pair["family"], pair["other"]) == ("cnn", "mlp")
    assert pair["difference"] == pytest.approx((pair["other_errors"] - pair["errors"]) / 2_000)
    assert 0 < pair["difference_ci95"][0] < pair["difference"] < pair["difference_ci95"][1]
    assert pair["fixed"] - pair["broken"] == pytest.approx(pair["other_errors"] - pair["errors"])
    assert {row["image"] for row in pair["images_fixed"]} >= set(range(100, 130, 2))
    assert {row["image"] for row in pair["images_broken"]} >= set(range(200, 206, 2))
    assert [row["verdict"] for row in pair["classes"]][2] == "better"


def test_one_family_alone_is_compared_with_nobody():
    alone = examined(said([0, 1, 3, 3, 0, 1]))
    found = document("digits", NAMES, [alone], None)
    assert (found["against"], len(found["unsolved"])) == (None, 1)
    assert "every model of the family is wrong" in render(found, 80)


def render(found, width):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(draw(found, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_is_what_it_was_and_fits(width, update_golden):
    text = render(made(), width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    update_golden(GOLDEN / f"mistakes-{width}.txt", text)


def test_with_few_seeds_it_says_how_many_it_takes():
    assert "it takes 4 of each" in " ".join(render(made(seeds=3), 80).split())
    assert "not tested" in render(made(seeds=1), 80)


@pytest.mark.parametrize("width", [60, 160])
def test_hostile_names_are_text(width):
    hostile = "[red]x[/] \x1b[31m\r\n\u202e\x07"
    text = render(made(names=(hostile, "mlp"), class_names=[hostile, "猫猫猫猫猫猫猫猫猫", "2", "3"]), width)
    assert "[red]x[/]" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert all(cell_len(line) <= width for line in text.splitlines())


def test_nothing_missed_is_said():
    found = document("digits", NAMES, [examined(said([0, 1, 2, 3, 0, 1]))], None)
    assert "No family gets right: none" in render(found, 80)
    assert "Likely label errors: none" in render(found, 80)


# --- from the command line, on sealed digits


def store_final(home, family, predicted, labels, checksum, keep_labels=True, **changes):
    """A final as an exam would have written it, of models that give these answers."""
    known = {"study": f"digits-{family}", **changes}
    manifest = replace(MANIFEST, id=f"id-{family}", family=family, data_checksum=checksum, **known)
    digest = results.write_manifest(home, manifest)
    path = results.folder(home, "digits", family, manifest.id) / "predictions.npz"
    probabilities = np.full((*predicted.shape, 10), 0.002, np.float32)
    np.put_along_axis(probabilities, predicted[:, :, None], 0.982, axis=2)
    correct = predicted == labels
    arrays = {"probabilities": probabilities, "correct": correct, **({"labels": labels} if keep_labels else {})}
    np.savez(path, **arrays)
    final = Final(
        **{
            **{name: getattr(FINAL, name) for name in Final.__dataclass_fields__},
            **known, "id": manifest.id, "family": family, "data_checksum": checksum,
            "manifest_sha256": digest, "predictions_sha256": sha256(path), "seeds": tuple(range(len(correct))),
            "test_accuracy": float(correct.mean()), "errors": float((~correct).sum(axis=1).mean()),
            "test_images": len(labels), "seed_accuracies": tuple(correct.mean(axis=1).tolist()),
        }
    )  # fmt: skip
    results.write_final(home, final)


@pytest.fixture
def home(digits, tmp_path):
    """Sealed digits with finals of cnn and mlp; a kind of mistake each."""
    home = tmp_path / "home"
    shutil.copytree(digits.folder, home / "cache" / digits.folder.name)
    (sealed,) = sealed_in(home)
    with np.load(sealed.test_path) as test:
        labels = test["y"].astype(np.int32)
    wrong = (labels + 1) % 10
    for family, missed in (("cnn", [3, 7]), ("mlp", [3, 7, *range(20, 40)])):
        predicted = np.repeat(labels[None], 5, axis=0)
        predicted[:, missed] = wrong[missed]
        store_final(home, family, predicted, labels, sealed.checksum)
    return home


def run(capsys, home, *arguments):
    code = cli.main(["mistakes", "--dataset", "digits", "--home", str(home), *map(str, arguments), "-q"])
    return code, *capsys.readouterr()


def test_without_names_the_most_accurate_is_compared_with_mlp(home, capsys):
    code, out, _ = run(capsys, home, "--json")
    found = json.loads(out)
    assert (code, [row["image"] for row in found["unsolved"]]) == (0, [3, 7])
    assert (found["against"]["family"], found["against"]["other"]) == ("cnn", "mlp")
    assert [row["image"] for row in found["against"]["images_fixed"]] == list(range(20, 40))
    assert not (home / "ledger.jsonl").exists()


def test_two_names_are_compared_in_their_order(home, capsys):
    _, out, _ = run(capsys, home, "mlp", "cnn", "--json")
    pair = json.loads(out)["against"]
    assert (pair["family"], pair["fixed"], pair["broken"]) == ("mlp", 0.0, 20.0)
    assert pair["difference"] < 0


def test_the_gallery_is_a_png_and_stands_in_the_ledger_without_being_a_look(home, capsys, tmp_path):
    path = tmp_path / "mistakes.png"
    code, _, err = run(capsys, home, "-o", path)
    assert (code, err) == (0, "")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    assert width > 800
    assert height > 500
    (entry,) = ledger.read(home)
    assert entry["event"] == "shown"
    assert entry["images"] == [3, 7, 3, 7, *range(20, 40)]
    (sealed,) = sealed_in(home)
    assert ledger.looks(home, sealed.checksum, "cnn") == 0


def test_the_images_are_those_of_the_sealed_test_set(home):
    (sealed,) = sealed_in(home)
    with np.load(sealed.test_path) as test:
        expected = test["x"][[5, 2]].astype(np.float32) * (1 / 255 if test["x"].dtype == np.uint8 else 1)
    np.testing.assert_allclose(gallery.images(home, sealed, [5, 2]), expected, rtol=1e-6)
    with pytest.raises(ShapeError, match="no number 99999"):
        gallery.images(home, sealed, [99_999])


def test_sealed_data_that_changed_are_not_shown(home):
    (sealed,) = sealed_in(home)
    content = bytearray(sealed.test_path.read_bytes())
    content[len(content) // 2] ^= 1
    sealed.test_path.write_bytes(content)
    with pytest.raises(SealError, match="is not what was sealed"):
        gallery.images(home, sealed, [0])
    assert ledger.read(home) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["cnn"], 2, "compares two families, or takes no name; not cnn"),
        (["cnn", "cnn"], 2, "compares two families"),
        (["cnn", "mpl"], 3, "'mpl' has no final on digits. Did you mean mlp? There: cnn, mlp"),
        (["-o", "/nowhere/at/all.png"], 2, "there is no folder /nowhere/at"),
        (["-o", "/"], 2, "-o / is a folder; name a file in it."),
    ],
)
def test_bad_input_gets_one_clear_error(home, capsys, arguments, code, said):
    found, out, err = run(capsys, home, *arguments)
    assert (found, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_a_final_the_next_command_is_named(tmp_path, capsys):
    code, _, err = run(capsys, tmp_path / "nothing")
    assert code == 3
    assert "bench search cnn" in err
    assert not (tmp_path / "nothing").exists()


def test_without_the_sealed_images_there_is_no_gallery_and_labels_have_no_names(home, capsys, tmp_path):
    shutil.rmtree(home / "cache")
    assert run(capsys, home)[0] == 0
    code, _, err = run(capsys, home, "-o", tmp_path / "x.png")
    assert code == 3
    assert "sealed test images are gone" in err


def test_predictions_that_changed_are_detected(home, capsys):
    path = next(home.glob("results/digits/cnn/*/predictions.npz"))
    path.write_bytes(path.read_bytes()[:-1])
    code, _, err = run(capsys, home)
    assert code == 3
    assert "is not what the result was made from" in err


def test_a_final_that_kept_no_labels_is_left_out_by_name(home, capsys):
    (sealed,) = sealed_in(home)
    labels = np.zeros(sealed.n_test, np.int32)
    store_final(home, "old", np.zeros((2, sealed.n_test), np.int64), labels, sealed.checksum, keep_labels=False)
    code, out, _ = run(capsys, home, "--json")
    assert code == 0
    assert "Left out, tested by a version that kept no labels: old." in json.loads(out)["notes"]


def test_finals_of_two_studies_of_one_name_keep_their_own(home, capsys):
    """Two storages may each hold a study of this name."""
    (sealed,) = sealed_in(home)
    labels = np.zeros(sealed.n_test, np.int32)
    for family, known in (("wide", {"study_id": "1" * 32}), ("deep", {"study_id": "2" * 32})):
        store_final(home, family, labels[None].repeat(2, axis=0), labels, sealed.checksum, study="mine", **known)
    shutil.rmtree(home / "results" / "digits" / "cnn")
    shutil.rmtree(home / "results" / "digits" / "mlp")
    code, out, _ = run(capsys, home, "--json")
    assert (code, {one["name"] for one in json.loads(out)["families"]}) == (0, {"wide", "deep"})


def test_a_final_of_another_split_is_left_out_as_on_the_leaderboard(home, capsys):
    (sealed,) = sealed_in(home)
    with np.load(sealed.test_path) as test:
        labels = test["y"].astype(np.int32)
    known = {"split_fingerprint": "other", "created": "2027-01-01T00:00:00+00:00"}
    store_final(home, "new", labels[None].repeat(2, axis=0), labels, sealed.checksum, **known)
    found = json.loads(run(capsys, home, "--json")[1])
    assert [one["family"] for one in found["families"]] == ["new"]
    assert any("chosen on another split" in note and "mlp (digits-mlp)" in note for note in found["notes"])


def test_it_loads_no_framework(home):
    code = (
        "import sys; from bench.cli import main\n"
        "main(sys.argv[1:])\n"
        "heavy = {'keras', 'tensorflow', 'ray', 'keras_tuner', 'optuna', 'sklearn', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "mistakes", "--dataset", "digits", "--home", str(home), "-q"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.stderr.strip().endswith("[]"), found.stderr
