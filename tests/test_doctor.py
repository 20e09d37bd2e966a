"""The doctor says what is there, and ends with 1 only where the main job would not run."""

import json
import subprocess
import sys

import pytest

from bench.doctor import precision
from bench.holdout.seal import ensure

BENCH = [sys.executable, "-m", "bench"]


def doctor(home, *arguments, environment=None):
    command = [*BENCH, "doctor", "--json", "--home", str(home), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, {(row["part"], row["name"]): row for row in json.loads(run.stdout)["rows"]}


@pytest.mark.slow
def test_a_machine_that_runs_the_main_job_is_well(tmp_path):
    code, rows = doctor(tmp_path / "home")
    assert code == 0
    assert not (tmp_path / "home").exists(), "a doctor leaves no trace"
    assert rows["versions", "tensorflow"]["state"] == "ok"
    assert rows["devices", "worker"]["said"].startswith("starts, and tensorflow trains on ")
    assert "ms in float32" in rows["devices", "precision"]["said"]
    assert {name for part, name in rows if part == "engines"} >= {"optuna", "ray", "keras-tuner"}
    assert all(row["remedy"] for row in rows.values() if row["state"] == "problem")


def a_file_in_place_of_the_home(folder):
    (folder / "home").write_text("")
    return ("storage", "home"), []


def a_storage_that_is_none(folder):
    (folder / "home").mkdir()
    (folder / "home" / "bench.db").write_text("not a database at all " * 50)
    return ("storage", "storage"), []


def a_url_that_nobody_answers(folder):
    return ("storage", "storage"), ["--storage", "postgresql://u:secret@127.0.0.1:1/x"]


def a_data_dir_that_is_none(folder):
    return ("data", "data dir"), ["--data-dir", str(folder / "nowhere")]


@pytest.mark.parametrize(
    "fault", [a_file_in_place_of_the_home, a_storage_that_is_none, a_url_that_nobody_answers, a_data_dir_that_is_none]
)
def test_what_stands_in_the_way_is_a_problem_with_a_remedy_and_exit_1(tmp_path, fault, monkeypatch):
    monkeypatch.setattr("bench.doctor.imports", lambda: [])
    monkeypatch.setattr("bench.commands.doctor._precision", lambda: [])
    from bench import cli

    where, arguments = fault(tmp_path)
    printed = []
    monkeypatch.setattr("bench.commands.doctor.print_json", printed.append)
    code = cli.main(["doctor", "--json", "--home", str(tmp_path / "home"), *arguments])
    rows = {(row["part"], row["name"]): row for row in printed[0]["rows"]}
    assert code == 1
    assert rows[where]["state"] == "problem"
    assert rows[where]["remedy"]
    assert "secret" not in json.dumps(printed)


def test_a_worker_that_cannot_even_be_started_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    sealed = ensure(tmp_path / "home", "digits", None, lambda line: None)
    (row,) = precision(sealed, tmp_path / "logs", lambda pool: (1.0, 1.0, "float32"))
    assert (row.name, row.state) == ("worker", "problem")
    assert "abacus" in row.said


def test_a_package_that_does_not_import_is_named(tmp_path, monkeypatch):
    from bench import doctor as checks

    (tmp_path / "psutil.py").write_text("raise ImportError('a library of the system is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (broken,) = checks.imports()
    assert (broken.name, broken.state) == ("import psutil", "problem")
    assert "a library of the system is missing" in broken.said


@pytest.mark.slow
def test_a_dry_run_measures_both_ends_and_makes_no_study(tmp_path):
    command = [*BENCH, "search", "mlp", "--dataset", "digits", "--trials", "20", "--dry-run", "--json"]
    run = subprocess.run([*command, "--home", str(tmp_path)], capture_output=True, text=True)
    plan = json.loads(run.stdout)
    smallest, largest = plan["measured"]
    assert smallest["parameters"] < largest["parameters"]
    assert all(model["epoch_seconds"] > 0 and model["worker_bytes"] > 1e8 for model in plan["measured"])
    low, middle, high = plan["search_seconds"]
    assert 0 < low <= middle <= high
    assert plan["trials"] == {"target": 20, "finished": 0, "left": 20}
    assert plan["images"]["train"] + plan["images"]["validation"] + plan["images"]["test"] == 1797
    studies = subprocess.run([*BENCH, "studies", "--json", "--home", str(tmp_path)], capture_output=True, text=True)
    assert json.loads(studies.stdout)["rows"] == []


@pytest.mark.slow
def test_a_dry_run_of_a_broken_family_says_what_is_broken(tmp_path):
    family = tmp_path / "broken.py"
    family.write_text(
        '"""Never works."""\n'
        "from bench.family import Family\n"
        "from bench.space import Int, SearchSpace\n\n"
        "def build(config, image_shape, classes):\n"
        "    raise RuntimeError('no model today')\n\n"
        'FAMILY = Family("broken", SearchSpace({"epochs": Int(1, 9)}), build)\n'
    )
    command = [*BENCH, "search", str(family), "--dataset", "digits", "--dry-run", "--home", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 3
    assert "no model today" in run.stderr
    assert "Traceback" not in run.stderr
