"""`bench show` from the command line, on a real search of digits with a final."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

BENCH = [sys.executable, "-m", "bench"]

pytestmark = pytest.mark.slow


def bench(home, *arguments, **variables):
    environment = {**os.environ, "LANG": "C.UTF-8", "COLUMNS": "80", **variables}
    run = subprocess.run([*BENCH, *arguments, "--home", str(home)], capture_output=True, text=True, env=environment)
    assert "Traceback" not in run.stderr, run.stderr
    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    options = ["--dataset", "digits", "--trials", "21", "--seeds", "2", "--range", "epochs=5:9"]
    run = bench(folder, "search", "mlp", *options, "-q")
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def document(home):
    run = bench(home, "show", "mlp", "--dataset", "digits", "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_the_confusion_is_that_of_the_stored_predictions(home, document):
    (path,) = home.glob("results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        predicted, labels = stored["probabilities"].argmax(axis=2), stored["labels"]
    expected = np.zeros((10, 10))
    for answers in predicted:
        np.add.at(expected, (labels, answers), 0.5)
    found = document["confusion"]
    assert (found["source"], found["seeds"], found["images"]) == ("test", 2, len(labels))
    np.testing.assert_allclose(found["matrix"], expected)
    for row in document["class_errors"]:
        assert row["rate"] == pytest.approx((predicted != labels)[:, labels == row["label"]].mean())
        assert row["ci95"][0] <= row["rate"] <= row["ci95"][1]


def test_the_document_holds_all_of_it(document):
    assert document["schema"] == 1
    assert (document["study"], document["trials"]["total"]) == ("digits-mlp", 21)
    assert document["final"]["trial"] == document["trial"]["number"]
    assert {row["name"] for row in document["configuration"]} >= {"depth", "width", "epochs"}
    assert document["curve"][-1]["val_accuracy"] == document["trial"]["val_accuracy"]
    assert document["curve"][-1]["epochs"] == pytest.approx(
        next(row["value"] for row in document["configuration"] if row["name"] == "epochs"), rel=0.01
    )
    assert len(document["loss_curves"]) == 2
    assert [entry["images"] for entry in document["serving"]["latency"]] == [1, 128]
    assert document["importance"]["problem"] or sum(
        row["share"] for row in document["importance"]["rows"]
    ) == pytest.approx(1)
    phases = document["timing"]["phases"]
    assert sum(phases.values()) == pytest.approx(
        max(document["timing"]["worker_seconds"], sum(phases.values()) - phases["other"])
    )


def test_another_trial_is_shown_on_its_validation_images(home, document):
    other = next(
        row["number"]
        for row in json.loads(bench(home, "trials", "mlp", "--dataset", "digits", "--json").stdout)["rows"]
        if row["state"] == "complete" and row["number"] != document["trial"]["number"]
    )
    found = json.loads(bench(home, "show", "mlp", "--dataset", "digits", "--trial", str(other), "--json").stdout)
    assert found["confusion"]["source"] == "validation"
    matrix = np.array(found["confusion"]["matrix"])
    assert np.trace(matrix) / matrix.sum() == pytest.approx(found["trial"]["val_accuracy"])
    for row in found["class_errors"]:
        expected = proportion_confint(row["errors"], row["images"], method="wilson")
        assert row["ci95"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_fits_the_terminal_without_a_colour_where_none_is_wanted(home, width):
    run = bench(home, "show", "mlp", "--dataset", "digits", "--timing", COLUMNS=str(width), NO_COLOR="1")
    assert run.returncode == 0, run.stderr
    for heading in ("Configuration", "Confusion", "Errors by class", "Importance", "Learning curve", "Time", "As code"):
        assert heading in run.stdout
    assert "\x1b" not in run.stdout
    before_code = run.stdout.partition("As code")[0]
    assert max(len(line.rstrip()) for line in before_code.splitlines()) <= width


def test_the_code_runs_as_it_is_printed_and_scores_what_the_trial_scored(home, document, tmp_path):
    path = tmp_path / "model.py"  # not code.py, a name of the standard library
    printed = bench(home, "show", "mlp", "--dataset", "digits", COLUMNS="160").stdout
    path.write_text(printed.partition("As code")[2].partition("\n")[2])
    assert path.read_text().split() == document["code"].split()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, path], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    found = float(run.stdout.rpartition("val_accuracy: ")[2].split()[0])
    assert found == pytest.approx(document["trial"]["val_accuracy"], abs=0.06)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["mpl"], 2, "Did you mean mlp"),
        (["cnn", "--dataset", "digits"], 3, "bench search"),
        (["mlp", "--dataset", "digits", "--study", "digits-mpl"], 3, "digits-mlp"),
        (["mlp", "--dataset", "digits", "--trial", "99"], 2, "no trial 99; its trials are 0 to 20"),
        (["mlp", "--dataset", "digits", "--trial", "x"], 2, "must be a whole number"),
        (["cnn", "--study", "digits-mlp"], 2, "searched 'mlp', not 'cnn'"),
    ],
)
def test_bad_input_gets_one_clear_error_and_its_exit_code(home, arguments, code, said):
    run = bench(home, "show", *arguments)
    assert (run.returncode, run.stdout) == (code, "")
    assert said in run.stderr


def test_what_was_not_measured_is_said_and_what_is_broken_is_named(home, tmp_path):
    copy = shutil.copytree(home, tmp_path / "home")
    (path,) = copy.glob("results/digits/mlp/*/serving.json")
    path.write_text("{")
    broken = bench(copy, "show", "mlp", "--dataset", "digits")
    assert broken.returncode == 3
    assert "serving.json does not read back" in broken.stderr
    path.unlink()
    assert "not measured" in bench(copy, "show", "mlp", "--dataset", "digits").stdout


def test_it_loads_no_framework(home):
    code = (
        "import sys; from bench.cli import main\n"
        "main(sys.argv[1:])\n"
        "heavy = {'keras', 'tensorflow', 'ray', 'keras_tuner', 'statsmodels'}\n"  # Optuna's importance has pandas
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "show", "mlp", "--dataset", "digits", "--home", str(home), "-q"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.stderr.strip().endswith("[]"), run.stderr
