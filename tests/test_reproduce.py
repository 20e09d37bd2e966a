"""`bench reproduce` from the command line on digits: killed, continued, repeated, and apart from the leaderboard."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import lock, results
from bench.data.sealed import sealed_in
from bench.notebook import MODELS
from bench.records import NOTEBOOK
from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
OPTIONS = ["--dataset", "digits", "--seeds", "2"]


def bench(home, *arguments, code=0, cwd=None, **environment):
    command = [*BENCH, *arguments, "--home", str(home)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment}
    run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, cwd=cwd)
    assert code is None or run.returncode == code, run.stderr
    return run


def document(home, *arguments):
    return json.loads(bench(home, *arguments, "--json").stdout)


def looks(home):
    return [
        e["study"] for e in map(json.loads, (home / "ledger.jsonl").read_text().splitlines()) if e["event"] == "look"
    ]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with a winner of mlp, in which `reproduce` was killed in its run twice and before its exam, then ended."""
    folder = tmp_path_factory.mktemp("home")
    bench(folder, "search", "mlp", *OPTIONS, "--trials", "2", "--range", "epochs=1:15")
    folder.joinpath("board.json").write_text(bench(folder, "leaderboard", "--dataset", "digits", "--json").stdout)
    for point in ("store: after a rung", "store: after a rung", "files: after curves.json"):
        bench(folder, "reproduce", *OPTIONS, code=None, BENCH_FAILPOINT=point)
        assert looks(folder) == ["digits-mlp"], point
    folder.joinpath("first.json").write_text(bench(folder, "reproduce", *OPTIONS, "--json").stdout)
    return folder


@pytest.fixture(scope="module")
def first(home):
    return json.loads((home / "first.json").read_text())


@pytest.mark.slow
def test_a_run_that_was_lost_to_two_kills_was_run_again_and_one_look_a_model_was_taken(home):
    store = Store(home)
    trials = store.trials("digits-mlp-notebook")
    store.close()
    assert [(trial.state, trial.reason) for trial in trials] == [("failed", "killed"), ("complete", None)]
    assert looks(home) == ["digits-mlp", *(f"digits-{model.family}-notebook" for model in MODELS)]


@pytest.mark.slow
def test_the_leaderboard_is_what_it_was_but_for_the_look(home):
    before, now = json.loads((home / "board.json").read_text()), document(home, "leaderboard", "--dataset", "digits")
    (row,) = before["rows"]
    assert now == {**before, "rows": [{**row, "test_looks": row["test_looks"] + 1}]}
    validation = document(home, "leaderboard", "--validation", "--dataset", "digits")
    assert [row["study"] for row in validation["rows"]] == ["digits-mlp"]


@pytest.mark.slow
def test_the_document_holds_every_epoch_and_what_the_predictions_say(home, first):
    (sealed,) = sealed_in(home)
    assert (first["schema"], first["dataset"], first["seeds"], first["precision"]) == (1, "digits", 2, ["float32"])
    assert first["comparable"] is False
    for model, shown in zip(MODELS, first["models"], strict=True):
        assert shown["notebook"] is None
        assert [point["epoch"] for point in shown["curve"]] == list(range(1, model.epochs + 1))
        assert all(point["train_loss"] > 0 for point in shown["curve"])
        assert shown["curve"][0]["train_loss"] > shown["curve"][-1]["train_loss"]
        assert shown["val_accuracy"] == shown["curve"][-1]["val_accuracy"]
        best = max(point["val_accuracy"] for point in shown["curve"])
        assert shown["curve"][shown["habit"]["epoch"] - 1]["val_accuracy"] == best == shown["habit"]["val_accuracy"]
        assert shown["test_accuracy"] == pytest.approx(1 - shown["errors"] / sealed.n_test)
    by_family = {shown["family"]: shown for shown in first["models"]}
    for row in first["reductions"]:
        expected = 1 - by_family[row["family"]]["errors"] / by_family[row["against"]]["errors"]
        assert row["error_reduction"] == pytest.approx(expected)
        assert row["notebook"] is None
    assert [claim["verdict"] in ("supported", "not resolved", "contradicted") for claim in first["claims"]] == [
        True
    ] * 3
    assert any("none stands beside these of digits" in note for note in first["notes"])


@pytest.mark.slow
def test_its_finals_say_what_they_are_for_and_were_not_confirmed(home):
    finals = [final for final in results.read_finals(home, "digits") if final.purpose == NOTEBOOK]
    assert [final.family for final in finals] == [model.family for model in MODELS]
    for final, model in zip(finals, MODELS, strict=True):
        path = results.folder(home, "digits", final.family, final.id) / "manifest.json"
        manifest = json.loads(path.read_text())
        assert (manifest["purpose"], manifest["confirm"], manifest["config"]) == (NOTEBOOK, [], dict(model.config))
    bench(home, "fsck")


@pytest.mark.slow
def test_the_same_command_again_prints_what_is_stored_and_takes_no_look(home, first):
    def worker_logs():
        return {path.name: path.stat().st_mtime_ns for path in (home / "logs").iterdir()}

    before, seen = worker_logs(), looks(home)
    assert document(home, "reproduce", *OPTIONS) == first
    assert (worker_logs(), looks(home)) == (before, seen)


@pytest.mark.slow
def test_another_precision_is_refused_with_the_way_out(home):
    run = bench(home, "reproduce", *OPTIONS, "--precision", "bfloat16", code=2)
    assert ["precision", "float32", "bfloat16"] in [line.split() for line in run.stderr.splitlines()]
    assert "start another with --study NAME" in run.stderr


@pytest.mark.slow
def test_a_search_cannot_go_on_in_a_study_of_the_notebook(home):
    run = bench(home, "search", "mlp", *OPTIONS, "--study", "digits-mlp-notebook", "--trials", "5", code=2)
    assert ["purpose", "notebook", "winner"] in [line.split() for line in run.stderr.splitlines()]


@pytest.mark.parametrize(
    ("study", "options"), [("digits-mlp-notebook", []), ("again-mlp", ["--study", "again"])], ids=["default", "named"]
)
def test_a_study_that_somebody_holds_exits_75(tmp_path, study, options):
    with lock.hold(tmp_path, study):
        run = bench(tmp_path, "reproduce", *OPTIONS, *options, code=75)
    assert f"process {os.getpid()}" in run.stderr
    assert not (tmp_path / "ledger.jsonl").exists()


def test_a_family_of_ones_own_that_comes_first_is_no_model_of_the_notebook(tmp_path):
    spaces = tmp_path / "search_spaces"
    spaces.mkdir()
    spaces.joinpath("cnn.py").write_text(
        "from bench.family import Family\nfrom bench.space import Int, SearchSpace\n"
        "def build(config, image_shape, classes): ...\n"
        'FAMILY = Family("cnn", SearchSpace({"epochs": Int(1, 9)}), build, reference={"epochs": 5})\n'
    )
    run = bench(tmp_path / "home", "reproduce", *OPTIONS, code=2, cwd=tmp_path)
    assert "must be the notebook's model" in run.stderr
    assert "Traceback" not in run.stderr
