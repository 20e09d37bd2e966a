"""`bench fsck` sees every change to what was stored, mends what can be mended, and sets the rest aside."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from bench import duels, results, studies
from bench.files import sha256
from bench.holdout import fsck, ledger
from tests.test_results import random_answers, store

BENCH = [sys.executable, "-m", "bench"]


def bench(home, *arguments):
    run = subprocess.run([*BENCH, *arguments, "--home", str(home)], capture_output=True, text=True)
    assert "Traceback" not in run.stderr, run.stderr
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("made")
    options = ["--dataset", "digits", "--trials", "2", "--seeds", "2", "--workers", "1", "--range", "epochs=1:12"]
    run = bench(home, "search", "mlp", *options)
    assert run.returncode == 0, run.stderr
    return home


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home")


def one(home, pattern):
    (path,) = home.glob(pattern)
    return path


def test_a_home_as_it_was_made_is_clean(home):
    run = bench(home, "fsck")
    assert run.returncode == 0
    assert [line.split()[-1] for line in run.stdout.splitlines()] == ["ok"] * 5


def truncate_the_storage(home):
    path = home / "bench.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:9000])


def put_something_else_in_place_of_the_storage(home):
    (home / "bench.db").write_text("not a database at all, " * 100)


def change_a_manifest(home):
    path = one(home, "results/digits/mlp/*/manifest.json")
    path.write_text(path.read_text().replace('"precision"', '"precision "'))


def change_a_result(home):
    path = one(home, "results/digits/mlp/*/result.json")
    document = json.loads(path.read_text())
    document["test_accuracy"] = 0.999
    path.write_text(json.dumps(document))


def cut_the_predictions(home):
    path = one(home, "results/digits/mlp/*/predictions.npz")
    path.write_bytes(path.read_bytes()[:-40])


def lose_the_model(home):
    one(home, "results/digits/mlp/*/model.keras").unlink()


def swap_the_model(home):
    one(home, "results/digits/mlp/*/model.keras").write_bytes(b"another model")


def change_a_sealed_image(home):
    path = one(home, "cache/*/train.npz")
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)


def break_a_seal(home):
    one(home, "cache/*/seal.json").write_text("{")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "part", "gone"),
    [
        (truncate_the_storage, "storage", "bench.db"),
        (put_something_else_in_place_of_the_storage, "storage", "bench.db"),
        (change_a_manifest, "results", "results/digits/mlp/*/manifest.json"),
        (change_a_result, "results", "results/digits/mlp/*/manifest.json"),
        (cut_the_predictions, "results", "results/digits/mlp/*/manifest.json"),
        (lose_the_model, "results", "results/digits/mlp/*/manifest.json"),
        (swap_the_model, "results", "results/digits/mlp/*/manifest.json"),
        (change_a_sealed_image, "sealed data", "cache/*/seal.json"),
        (break_a_seal, "sealed data", "cache/*/seal.json"),
    ],
)
def test_damage_is_seen_then_set_aside_and_the_home_works_again(home, damage, part, gone):
    damage(home)
    seen = bench(home, "fsck", "--json")
    assert seen.returncode == 3
    assert part in {row["part"] for row in json.loads(seen.stdout)["rows"]}
    assert list(home.glob(gone)), "a check alone must change nothing"
    bench(home, "fsck", "--repair")
    assert not list(home.glob(gone))
    assert list((home / "quarantine").glob(f"*/{gone}"))
    assert bench(home, "fsck").returncode == 0
    assert bench(home, "leaderboard", "--dataset", "digits").returncode == 0
    assert bench(home, "studies").returncode == 0


def test_a_torn_ledger_line_is_closed_off_and_a_broken_one_is_left_to_the_user(home):
    path = home / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "lo')
    assert bench(home, "fsck", "--repair").returncode == 0
    assert path.read_bytes().startswith(whole)
    assert bench(home, "fsck").returncode == 0
    broken = b'{"event": "lo\n' + whole
    path.write_bytes(broken)
    run = bench(home, "fsck", "--repair")
    assert run.returncode == 3
    assert "restore it from a copy" in run.stdout
    assert path.read_bytes() == broken


def test_a_final_whose_look_is_not_in_the_ledger_is_named(home):
    (home / "ledger.jsonl").write_text("")
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert "no look is noted" in run.stdout


def test_a_ledger_of_which_a_line_was_changed_or_that_is_gone_is_named(home):
    path = home / "ledger.jsonl"
    ledger.record(home, {"event": "note", "text": "another line"})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"seeds": 2', b'"seeds": 3'))
    (problem,) = fsck._ledger(home)
    assert "line 2 does not follow from those before it" in problem.what and problem.repair is None
    path.unlink()
    assert any("no look is noted" in problem.what for problem in fsck._ledger(home))


def test_leftovers_of_a_kill_are_removed_but_not_what_may_be_under_way(home):
    old, new = home / "results" / ".result.json.abc.tmp", home / "results" / ".result.json.def.tmp"
    models = home / "work" / "digits-mlp"
    models.mkdir(parents=True)
    (models / "seed-0.keras").write_bytes(b"weights")
    for path in (old, new):
        path.write_text("{")
    then = time.time() - 3600
    os.utime(old, (then, then))
    bench(home, "fsck", "--repair")
    assert (old.exists(), new.exists(), models.exists()) == (False, True, False)


def test_a_database_of_a_newer_schema_is_refused_with_the_way_out(home):
    with sqlite3.connect(home / "bench.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.9.a'")
    connection.close()
    for command in (["studies"], ["search", "mlp", "--dataset", "digits", "--trials", "3"], ["fsck"]):
        run = bench(home, *command)
        assert run.returncode == 3
        assert "--home" in run.stderr + run.stdout


def test_what_a_final_under_way_has_written_is_left_alone(home):
    """A manifest without a result, while its exam or its study is at work, is no leftover."""
    from filelock import FileLock

    from bench import lock

    (folder,) = home.glob("results/digits/mlp/*")
    (folder / "result.json").unlink()
    for held in (FileLock(home / "locks" / f"exam-{folder.name}.lock"), lock.hold(home, "digits-mlp")):
        with held:
            assert bench(home, "fsck", "--repair").returncode in (0, 3)
            assert folder.is_dir()
    bench(home, "fsck", "--repair")
    assert not folder.exists()


def test_data_that_is_being_sealed_is_left_alone(home):
    from filelock import FileLock

    break_a_seal(home)
    with FileLock(home / "cache" / ".lock"):
        assert bench(home, "fsck", "--repair").returncode == 0
        assert list(home.glob("cache/*/seal.json"))
    bench(home, "fsck", "--repair")
    assert not list(home.glob("cache/*/seal.json"))


def test_a_home_that_cannot_be_written_is_not_called_broken(home):
    """Mounted read-only, as an archive would be; permissions would not bind root."""
    place = home.parent / "read-only"
    place.mkdir()
    mounted = subprocess.run(["mount", "--bind", str(home), str(place)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        shown = bench(place, "fsck")
        assert shown.returncode == 3
        assert "quarantine" not in shown.stdout and "Read-only file system" in shown.stdout
        assert bench(place, "leaderboard", "--dataset", "digits").returncode == 0
        for command, code in (
            (["studies"], 1),
            (["search", "mlp", "--dataset", "digits"], 2),
            (["fsck", "--repair"], 3),
        ):
            run = bench(place, *command)
            assert run.returncode == code
            assert "not writable" in run.stderr or "Read-only" in run.stderr + run.stdout
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert bench(home, "fsck").returncode == 0


@pytest.mark.parametrize("name", ["ledger.jsonl", "locks", "cache", "bench.db.lock", "bench.db", "results"])
def test_a_file_in_the_way_or_a_folder_is_named_without_a_traceback(home, name):
    path = home / name
    was_folder = path.is_dir()
    shutil.rmtree(path) if was_folder else path.unlink()
    path.write_text("in the way") if was_folder else path.mkdir()
    options = ["--dataset", "digits", "--trials", "2", "--seeds", "2", "--range", "epochs=1:12"]
    run = bench(home, "search", "mlp", *options)
    assert run.returncode in (1, 2, 3)
    assert name in run.stderr.strip().splitlines()[-1]


def test_a_home_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    for command in (["studies"], ["trials", "mlp", "--dataset", "digits"], ["fsck"], ["search", "mlp"]):
        run = bench(path, *command)
        assert run.returncode in (1, 2)
        assert "file" in run.stderr


def test_a_trial_that_another_program_put_there_stops_the_search_with_the_way_out(home):
    import optuna

    url = f"sqlite:///{home / 'bench.db'}"
    optuna.load_study(study_name="digits-mlp", storage=url).enqueue_trial({"width": 128})
    options = ["--dataset", "digits", "--trials", "3", "--range", "epochs=1:12", "--no-final"]
    run = bench(home, "search", "mlp", *options)
    assert run.returncode == 3
    assert "Trial 2" in run.stderr and "--study NAME" in run.stderr
    assert bench(home, "trials", "mlp", "--dataset", "digits").returncode == 0
    assert "another program" in bench(home, "fsck").stdout


def test_a_broken_study_is_an_error_by_name_and_can_be_deleted(home):
    with sqlite3.connect(home / "bench.db") as connection:
        connection.execute("UPDATE study_user_attributes SET value_json = '\"{\"' WHERE key = 'bench'")
    connection.close()
    run = bench(home, "search", "mlp", "--dataset", "digits", "--trials", "3", "--range", "epochs=1:12")
    assert run.returncode == 3
    assert "does not read back" in run.stderr and "bench studies rm digits-mlp" in run.stderr
    listed = bench(home, "studies")
    assert (listed.returncode, "digits-mlp: not listed" in listed.stderr) == (0, True)
    assert bench(home, "studies", "rm", "digits-mlp", "--yes").returncode == 0
    assert bench(home, "fsck").returncode == 0


def test_a_study_is_deleted_with_its_files_only_when_that_is_said(home):
    asked = bench(home, "studies", "rm", "digits-mlp")
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert "Did you mean digits-mlp?" in bench(home, "studies", "rm", "digits-mpl").stderr
    looks = (home / "ledger.jsonl").read_bytes()
    assert bench(home, "studies", "rm", "digits-mlp", "--yes").returncode == 0
    assert json.loads(bench(home, "studies", "--json").stdout)["rows"] == []
    assert json.loads(bench(home, "leaderboard", "--dataset", "digits", "--json").stdout)["rows"] == []
    assert not list(home.glob("results/digits/mlp/*/model.keras"))
    assert (home / "ledger.jsonl").read_bytes() == looks
    assert bench(home, "fsck").returncode == 0


def test_the_state_of_a_study_is_listed(home):
    from bench.store import Store

    (row,) = json.loads(bench(home, "studies", "--json").stdout)["rows"]
    assert row["state"] == "tested"
    store = Store(home)
    settings = store.settings("digits-mlp")
    store.create("other", settings)
    store.close()
    states = {row["study"]: row["state"] for row in json.loads(bench(home, "studies", "--json").stdout)["rows"]}
    assert states == {"digits-mlp": "tested", "other": "searched"}


def test_stored_probabilities_are_what_the_result_was_made_from(home):
    """A repacked file has another hash, whatever it holds."""
    path = one(home, "results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays)
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert "is not what the result was made from" in run.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda labels: labels[:-1], "labels have shape"), (lambda labels: (labels + 1) % 10, "do not say which")],
)
def test_labels_that_do_not_belong_to_the_predictions_are_seen(home, change, said):
    """The hash is made to fit, so that only what the file says can give it away."""
    path = one(home, "results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "labels": change(arrays["labels"])})
    result = json.loads(path.with_name("result.json").read_text())
    path.with_name("result.json").write_text(json.dumps({**result, "predictions_sha256": sha256(path)}))
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert said in run.stdout


@pytest.mark.slow
def test_a_study_that_was_searched_anew_has_no_final_of_the_one_before(home):
    """The storage is lost and mended, then a study of the same name is made: what was tested is another's."""
    put_something_else_in_place_of_the_storage(home)
    bench(home, "fsck", "--repair")
    (tested,) = results.read_finals(home)
    anew = ["--dataset", "digits", "--trials", "2", "--seed", "7", "--set", "epochs=2", "--workers", "1", "--no-final"]
    assert bench(home, "search", "mlp", *anew).returncode == 0
    shown = json.loads(bench(home, "show", "mlp", "--dataset", "digits", "--json").stdout)
    assert (shown["final"], shown["other_final"], shown["confusion"]["source"]) == (None, None, "validation")
    (row,) = json.loads(bench(home, "studies", "--json").stdout)["rows"]
    assert row["state"] == "searched"
    assert studies(home=home)["digits-mlp"].final is None
    said = bench(home, "studies", "rm", "digits-mlp", "--yes").stderr
    assert "not of this study stay: 1" in said
    assert results.read_finals(home) == [tested]


@pytest.mark.slow
def test_deleting_a_study_of_another_storage_leaves_the_finals_of_its_namesake(home, tmp_path):
    url = f"sqlite:///{tmp_path / 'other.db'}"
    anew = ["--dataset", "digits", "--trials", "1", "--storage", url, "--workers", "1", "--no-final"]
    assert bench(home, "search", "mlp", *anew).returncode == 0
    before = results.read_finals(home)
    assert bench(home, "studies", "rm", "digits-mlp", "--storage", url, "--yes").returncode == 0
    assert results.read_finals(home) == before != []
    assert json.loads(bench(home, "studies", "--json").stdout)["rows"][0]["state"] == "tested"
    assert bench(home, "studies", "rm", "digits-mlp", "--yes").returncode == 0
    assert results.read_finals(home) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ci95", [0.9, 0.91]),
        ("method", "Wilson"),
        ("val_accuracy", 0.999),
        ("trials", 50),
        ("failed", 1),
        ("search_seconds", 1.0),
        ("parameters", 12),
        ("created", "2020-01-01T00:00:00+00:00"),
        ("warnings", ["made up"]),
        ("findings", ["seeds 1 and 2 are alike"]),
        ("split_fingerprint", "another"),
        ("study", "digits-other"),
        ("family", "cnn"),
    ],
)
def test_a_printed_number_that_was_changed_is_seen_and_written_as_it_was(home, name, value):
    path = one(home, "results/digits/mlp/*/result.json")
    whole = path.read_bytes()
    path.write_text(json.dumps({**json.loads(whole), name: value}))
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert f"{name} is" in run.stdout
    bench(home, "fsck", "--repair")
    assert path.read_bytes() == whole
    assert bench(home, "fsck").returncode == 0


@pytest.mark.parametrize(("name", "value"), [("errors", 1.0), ("seed_accuracies", [1.0, 1.0])])
def test_a_count_that_its_predictions_do_not_bear_out_is_seen(home, name, value):
    path = one(home, "results/digits/mlp/*/result.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    run = bench(home, "fsck")
    assert (run.returncode, f"{name} is" in run.stdout) == (3, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p_holm", 1e-9),
        ("difference", 0.5),
        ("log_ratio_ci95", [0.1, 0.2]),
        ("p_equivalence", 0.01),
        ("superiority", None),
    ],
)
def test_a_comparison_that_was_changed_is_seen_and_made_anew(tmp_path, name, value):
    for seed, family in enumerate(("mlp", "cnn")):
        final = store(tmp_path, family, random_answers(seed))
    duels.update(tmp_path, "digits")
    path = tmp_path / "results" / "digits" / "comparisons.json"
    whole = path.read_bytes()
    assert fsck._comparisons_problem(tmp_path, "digits") is None
    document = json.loads(whole)
    (pair,) = document["pairs"].values()
    pair[name] = value
    path.write_text(json.dumps(document))
    assert fsck._comparisons_problem(tmp_path, "digits") == "does not say what the predictions say"
    path.unlink()
    duels.complete(tmp_path, "digits", results.read_finals(tmp_path))
    assert path.read_bytes() == whole
    # Behind by one final, as a kill leaves it: that is no damage.
    store(tmp_path, "other", random_answers(2), created=final.created)
    assert fsck._comparisons_problem(tmp_path, "digits") is None
