"""Studies that another program wrote to, that do not read back, or whose name somebody else has; and deleting them."""

import json
import sqlite3

import pytest
from homes import bench, replace_the_storage

from bench import results, studies

pytestmark = pytest.mark.slow  # the home that they change takes a search and a final


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


def test_a_study_with_a_broken_trial_hides_no_other(home):
    options = ["--dataset", "digits", "--trials", "1", "--set", "epochs=1", "--no-final", "--study", "other"]
    assert bench(home, "search", "mlp", *options).returncode == 0
    with sqlite3.connect(home / "bench.db") as connection:
        connection.execute(
            "UPDATE trial_user_attributes SET value_json = '\"{\"' WHERE key = 'bench' AND trial_id IN "
            "(SELECT trial_id FROM trials JOIN studies USING (study_id) WHERE study_name = 'digits-mlp')"
        )
    connection.close()
    listed = bench(home, "studies", "--json")
    assert (listed.returncode, "digits-mlp: not listed" in listed.stderr) == (0, True)
    assert [row["study"] for row in json.loads(listed.stdout)["rows"]] == ["other"]


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


def test_a_study_that_was_searched_anew_has_no_final_of_the_one_before(home):
    """The storage is lost and mended, then a study of the same name is made: what was tested is another's."""
    replace_the_storage(home)
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
