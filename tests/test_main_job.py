"""The main job from the command line, on real digits: search, final, leaderboard, and doing it again."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from bench.data.sealed import sealed_in
from tests.command_line import BENCH, bench, document
from tests.waiting import wait_for_trials


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which mlp was searched and tested."""
    folder = tmp_path_factory.mktemp("home")
    folder.joinpath("first.json").write_text(
        bench(folder, "search", "mlp", "--trials", "5", "--dataset", "digits", "--seeds", "2", "--json").stdout
    )
    return folder


@pytest.fixture(scope="module")
def first(home):
    return json.loads((home / "first.json").read_text())


def test_the_document_of_a_search_keeps_the_contract(first):
    assert first["schema"] == 1
    assert (first["study"], first["family"], first["dataset"]) == ("digits-mlp", "mlp", "digits")
    trials = first["trials"]
    assert trials["total"] == 5 == trials["complete"] + trials["pruned"] + trials["failed"]
    assert 0.5 < first["best"]["val_accuracy"] <= 1.0
    row = first["final"]
    assert 0.5 < row["test_accuracy"] <= 1.0
    assert row["ci95"][0] < row["test_accuracy"] < row["ci95"][1]
    assert (row["seeds"], row["test_looks"], row["rank"]) == (2, 1, 1)


def test_trial_zero_is_the_reference(home):
    from bench.family import load

    rows = document(home, "trials", "mlp", "--dataset", "digits")["rows"]
    assert rows[0]["params"] == load("mlp").reference
    assert {row["state"] for row in rows} <= {"complete", "pruned", "failed"}
    assert set(rows[0]["seconds"]) == {"build", "trace", "train", "eval", "wait"}


def test_the_same_command_again_trains_nothing_and_takes_no_second_look(home, first):
    def worker_logs():
        return {path.name: path.stat().st_mtime_ns for path in (home / "logs").iterdir()}

    before = worker_logs()
    again = document(home, "search", "mlp", "--trials", "5", "--dataset", "digits", "--seeds", "2")
    assert worker_logs() == before
    assert again["final"] == first["final"]
    assert len((home / "ledger.jsonl").read_text().splitlines()) == 1


def test_the_leaderboard_says_what_the_predictions_say(home):
    row = document(home, "leaderboard", "--dataset", "digits")["rows"][0]
    (path,) = home.glob("results/digits/mlp/*/predictions.npz")
    (sealed,) = sealed_in(home)
    with np.load(path) as predictions, np.load(sealed.test_path) as test:
        correct = predictions["probabilities"].argmax(axis=2) == test["y"]
        np.testing.assert_array_equal(correct, predictions["correct"])
    assert row["test_accuracy"] == pytest.approx(correct.mean(), abs=1e-12)
    assert row["errors"] == pytest.approx((~correct).sum(axis=1).mean())


def test_the_board_after_the_whole_budget_is_the_search_as_it_stands(home, first):
    (row,) = document(home, "leaderboard", "--dataset", "digits", "--at", "5")["rows"]
    assert (row["trials"], row["trial"], row["val_accuracy"]) == (
        5, first["best"]["number"], first["best"]["val_accuracy"],
    )  # fmt: skip
    trials = document(home, "trials", "mlp", "--dataset", "digits")["rows"]
    assert row["device_seconds"] == pytest.approx(sum(sum(trial["seconds"].values()) for trial in trials))
    (manifest,) = home.glob("results/digits/mlp/*/manifest.json")
    frozen = json.loads(manifest.read_text())
    assert (frozen["samples"], frozen["device_seconds"]) == (row["samples"], pytest.approx(row["device_seconds"]))
    assert (row["test_accuracy"] is not None) == (frozen["trial"] == row["trial"])
    (early,) = document(home, "leaderboard", "--dataset", "digits", "--at", "1")["rows"]
    assert early["trials"] == 1
    (curve,) = document(home, "leaderboard", "--dataset", "digits", "--curves")["curves"]
    assert curve["points"][-1]["val_accuracy"] == first["best"]["val_accuracy"]


def test_the_manifest_was_written_before_the_predictions_and_its_hash_is_in_the_ledger(home):
    (manifest,) = home.glob("results/digits/mlp/*/manifest.json")
    assert manifest.stat().st_mtime_ns < manifest.with_name("predictions.npz").stat().st_mtime_ns
    from bench.files import sha256

    (look,) = map(json.loads, (home / "ledger.jsonl").read_text().splitlines())
    assert (look["event"], look["manifest_sha256"]) == ("look", sha256(manifest))
    assert look["command"].startswith("bench search mlp --trials 5 --dataset digits")
    frozen = json.loads(manifest.read_text())
    assert frozen["hardware"]["cores"] >= 1 and frozen["hardware"]["processor"]
    assert frozen["samples"] > 0 and frozen["device_seconds"] > 0
    assert frozen["seeds"] == sorted(set(frozen["seeds"]), key=frozen["seeds"].index)
    assert {len(entry["val_accuracies"]) for entry in frozen["confirm"]} <= {1, 2}


def test_the_stored_model_loads_with_stock_keras_and_scores_what_is_stored(home):
    import keras

    (path,) = home.glob("results/digits/mlp/*/model.keras")
    (sealed,) = sealed_in(home)
    with np.load(sealed.test_path) as test, np.load(path.with_name("predictions.npz")) as predictions:
        model = keras.models.load_model(path, safe_mode=True)
        found = np.asarray(model(test["x"] / np.float32(255), training=False)).argmax(axis=1)
        assert (found == predictions["probabilities"][0].argmax(axis=1)).mean() > 0.99


def test_other_settings_for_a_study_exit_2_naming_both_values_and_the_way_out(home):
    for option, before, now in (("--sampler", "tpe", "random"), ("--seed", "0", "7"), ("--pruner", "asha", "median")):
        run = bench(home, "search", "mlp", "--dataset", "digits", "--trials", "9", option, now, check=False)
        assert run.returncode == 2
        assert [option.removeprefix("--"), before, now] in [line.split() for line in run.stderr.splitlines()]
        assert "--study" in run.stderr


def test_a_dry_run_refuses_what_the_search_would(home):
    run = bench(home, "search", "mlp", "--dataset", "digits", "--trials", "9", "--seed", "7", "--dry-run", check=False)
    assert run.returncode == 2 and "--study" in run.stderr


def test_trials_of_a_study_are_those_of_its_family(home):
    run = bench(home, "trials", "cnn", "--study", "digits-mlp", check=False)
    assert run.returncode == 2 and "Study 'digits-mlp' searched 'mlp', not 'cnn'." in run.stderr


def test_a_changed_space_exits_2_naming_the_parameter(home):
    run = bench(home, "search", "mlp", "--dataset", "digits", "--trials", "9", "--set", "depth=2", check=False)
    assert run.returncode == 2
    assert "space of depth  1 to 3         2 (fixed)" in run.stderr


def test_no_rows_is_not_an_error(tmp_path):
    assert document(tmp_path, "leaderboard", "--dataset", "digits")["rows"] == []
    assert bench(tmp_path, "leaderboard").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", "cnnn"], 2, "Did you mean cnn"),
        (["search", "mlp", "--dataset", "mnits"], 2, "Did you mean mnist"),
        (["search", "mlp", "--dataset", "nowhere.npz"], 2, "nowhere.npz"),
        (["search", "mlp", "--trials", "0"], 2, "at least 1"),
        (["search", "mlp", "--dataset", "digits", "--set", "widht=3"], 3, "Did you mean width"),
        (["search", "mlp", "--dataset", "digits", "--range", "width=9:1"], 3, "low must not exceed high"),
        (["trials", "mlp", "--dataset", "digits"], 3, "bench search"),
        (["final", "mlp", "--dataset", "digits"], 3, "bench search"),
    ],
)
def test_bad_input_gets_one_clear_error_and_its_exit_code(tmp_path, arguments, code, said):
    run = bench(tmp_path, *arguments, check=False)
    assert run.returncode == code, run.stderr
    assert said in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""


@pytest.mark.slow
def test_final_refuses_a_study_of_other_data(tmp_path):
    path = tmp_path / "images.npz"

    def save(seed):
        generator = np.random.default_rng(seed)
        images = generator.integers(0, 256, (300, 6, 6), dtype=np.uint8)
        labels = np.arange(300) % 3
        np.savez(path, x_train=images[:240], y_train=labels[:240], x_test=images[240:], y_test=labels[240:])

    save(0)
    options = ["mlp", "--dataset", str(path)]
    bench(tmp_path, "search", *options, "--trials", "1", "--no-final", "--workers", "1", "--range", "epochs=1:15")
    save(1)
    run = bench(tmp_path, "final", *options, check=False)
    assert run.returncode == 2
    assert "searched other data" in run.stderr
    assert not (tmp_path / "ledger.jsonl").exists()


@pytest.mark.slow
def test_one_worker_and_one_seed_repeat_exactly(tmp_path):
    rows = []
    for name in ("one", "two"):
        home = tmp_path / name
        options = ["--dataset", "digits", "--workers", "1", "--seed", "5", "--no-final", "--trials", "14"]
        bench(home, "search", "mlp", *options, "--range", "epochs=5:9")
        found = document(home, "trials", "mlp", "--dataset", "digits")["rows"]
        rows.append([(r["number"], r["state"], r["params"], r["val_accuracy"], r["samples"]) for r in found])
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_a_space_that_is_all_tried_is_done_and_gets_its_final(tmp_path):
    fixed = [
        "depth=1", "width=16", "batch_size=64", "optimizer=adam", "learning_rate=0.001", "weight_decay=0",
        "cooldown=0", "epochs=1",
    ]  # fmt: skip
    options = ["--dataset", "digits", "--sampler", "grid", "--trials", "9", "--seeds", "2", "--json"]
    options += [word for pair in fixed for word in ("--set", pair)]
    run = bench(tmp_path, "search", "mlp", *options)
    found = json.loads(run.stdout)
    assert found["trials"]["total"] < 9
    assert found["final"]["seeds"] == 2
    assert f"The space holds no more than {found['trials']['total']} configurations" in run.stderr


def test_no_worker_may_open_any_sealed_set_or_what_was_set_aside(tmp_path, monkeypatch):
    from bench import chain
    from bench.options import Options
    from bench.workers import pool
    from bench.workers.stop import StopSignal

    made = []
    monkeypatch.setattr(pool, "Pool", lambda where, folder, forbidden, logs: made.extend(forbidden))
    other = tmp_path / "cache" / "other-1" / "test.npz"
    other.parent.mkdir(parents=True)
    other.touch()
    with StopSignal() as stop:
        session = chain.Session(Options(home=tmp_path, dataset="digits"), stop)
        session.pool()
        session.store.close()
    assert {session.sealed.test_path, other, tmp_path / "results", tmp_path / "quarantine"} <= set(made)


def test_help_and_tables_load_nothing_heavy(home):
    code = (
        "import sys; from bench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = {'keras', 'tensorflow', 'optuna', 'ray', 'pandas', 'sklearn', 'keras_tuner', 'numpy', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    for arguments in (["--help"], ["families"], ["leaderboard", "--dataset", "digits"], ["datasets"]):
        rest = [*arguments, "--home", str(home)] if arguments != ["--help"] else arguments
        run = subprocess.run([sys.executable, "-c", code, *rest], capture_output=True, text=True, env=os.environ)
        assert run.stderr.strip().endswith("[]"), (arguments, run.stderr)


def test_other_versions_are_refused_until_accepted_and_kept_in_the_record(home, tmp_path):
    from bench.store import Store

    copy = shutil.copytree(home, tmp_path / "home")
    store = Store(copy)
    settings = store.settings("digits-mlp")
    old = {**settings["versions"], "keras": "3.0.0"}
    store.change("digits-mlp", {**settings, "versions": old})
    options = ["search", "mlp", "--dataset", "digits", "--no-final"]
    assert bench(copy, *options, "--trials", "5").returncode == 0, "nothing is left to train, so nothing is refused"
    refused = bench(copy, *options, "--trials", "6", check=False)
    assert refused.returncode == 2
    assert "--accept versions" in refused.stderr
    bench(copy, *options, "--trials", "6", "--accept", "versions")
    now = store.settings("digits-mlp")
    store.close()
    assert now["versions"] == settings["versions"]
    assert now["accepted"] == [{"versions": old, "trials": 5}]


SMALL = '''"""One layer."""
import time
from bench.family import Family
from bench.space import Int, SearchSpace


def build(config, image_shape, classes):
    import keras
    inputs = keras.Input(image_shape)
    x = keras.layers.Dense(WIDTH)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


FAMILY = Family("small", SearchSpace({"epochs": Int(1, 3000)}), build, {"epochs": 1})
'''


@pytest.mark.slow
def test_a_changed_build_is_refused_until_accepted_in_search_and_final(tmp_path):
    from bench.store import Store

    path = tmp_path / "small.py"
    path.write_text(SMALL.replace("WIDTH", "8"))
    options = [str(path), "--dataset", "digits", "--workers", "1"]
    bench(tmp_path, "search", *options, "--trials", "1", "--no-final", "--range", "epochs=1:2")
    path.write_text(SMALL.replace("WIDTH", "9"))
    more = ["search", *options, "--trials", "2", "--no-final", "--range", "epochs=1:2"]
    for command in (more, ["final", *options, "--seeds", "1"]):
        run = bench(tmp_path, *command, check=False)
        assert run.returncode == 2, run.stderr
        assert "source" in run.stderr and "--accept source" in run.stderr
    assert not (tmp_path / "ledger.jsonl").exists()
    bench(tmp_path, *more, "--accept", "source")
    bench(tmp_path, "final", *options, "--seeds", "1")
    store = Store(tmp_path)
    (accepted,) = store.settings("digits-small")["accepted"]
    store.close()
    assert accepted["trials"] == 1


@pytest.mark.slow
def test_a_family_file_that_is_edited_while_it_is_searched_ends_the_search_and_fails_no_trial(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(SMALL.replace("WIDTH", "8"))
    command = [*BENCH, "search", str(path), "--dataset", "digits", "--workers", "1", "--trials", "2", "--no-final"]
    process = subprocess.Popen([*command, "--home", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    wait_for_trials(tmp_path, 1, "digits-small")
    path.write_text(SMALL.replace("WIDTH", "9"))
    import psutil

    (worker,) = psutil.Process(process.pid).children()
    worker.kill()  # its successor reads the file anew
    _, said = process.communicate(timeout=90)
    assert process.returncode == 2
    assert "changed while it was searched" in said
    rows = document(tmp_path, "trials", str(path), "--dataset", "digits")["rows"]
    assert [row["state"] for row in rows] == ["complete", "running"]


def test_another_family_of_the_same_space_does_not_continue_a_study(home, tmp_path):
    from bench.family import load

    path = tmp_path / "mlp2.py"
    path.write_text(load("mlp").source.read_text().replace('"mlp"', '"mlp2"'))
    options = [str(path), "--dataset", "digits", "--study", "digits-mlp", "--trials", "9", "--no-final"]
    run = bench(home, "search", *options, check=False)
    assert run.returncode == 2
    assert ["family", "mlp", "mlp2"] in [line.split() for line in run.stderr.splitlines()]
