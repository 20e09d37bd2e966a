"""`bench compare-engines` on real digits: two pairs and the baseline, two seeds, a kill in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from bench import cli
from bench.commands.compare_engines import Meter, _check_rungs
from bench.comparison import charged
from bench.errors import FrozenStudy
from bench.records import Finished, Reported, Shelved, Trial
from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
BUDGET = 16
ARGUMENTS = [
    *("compare-engines", "mlp", "--dataset", "digits", "--pairs", "optuna:tpe/asha,optuna:qmc/median"),
    *("--budget", str(BUDGET), "--repeats", "2", "--range", "epochs=2:4", "--range", "width=32:64"),
    *("--precision", "float32", "--workers", "2", "--quiet", "--json"),
]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--pairs", "optuna:tpee"], "no sampler 'tpee'. Did you mean tpe?"),
        (["--pairs", "rai:tpe"], "no engine 'rai'"),
        (["--budget", "3"], "one trial of mlp may train for 15 epochs"),
        (["--repeats", "0"], "at least 1"),
        (["-o", "no/such/folder/page.html"], "no folder no/such/folder"),
    ],
)
def test_bad_input_is_one_line_before_anything_runs(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["compare-engines", "mlp", "--dataset", "digits", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "runs" / "bench.db").exists()


def run(home, *more, code=0):
    done = subprocess.run([*BENCH, *ARGUMENTS, "--home", str(home), *more], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if not code else done.stderr


def test_the_budget_is_used_by_trials_that_wait_at_a_rung_too_and_by_each_once():
    stored = [Trial(0, "complete", {}, 0.9, 400, elapsed=1.0), Trial(1, "running", {}, 0.5, 100)]  # 1 is paused
    meter = Meter([*stored, Trial(2, "running", {}, curve=((100, 0.5),))], 1000)
    assert (meter.left, meter.finished) == (400, 1)
    meter(Reported(2, 0, 100, 0.5))  # run again
    meter(Shelved(2, 0, Trial(2, "running", {}, 0.5, 110)))
    assert meter.left == 390
    meter(Finished(Trial(1, "complete", {}, 0.9, 300, elapsed=2.0)))
    meter(Finished(Trial(2, "pruned", {}, 0.5, 110, elapsed=2.0)))
    assert (meter.left, meter.finished) == (190, 3)
    meter(Reported(3, 0, 190, 0.5))
    assert meter.used_up


def test_searches_whose_rungs_judged_something_else_are_not_compared_with_new_ones(tmp_path, capsys):
    with closing(Store(tmp_path)) as store:
        store.create("digits-mlp-compare-optuna-random-none-0", {"precision": "float32"})
    arguments = ["--dataset", "digits", "--pairs", "optuna:tpe/asha", "--repeats", "1", "--home", str(tmp_path)]
    assert cli.main(["compare-engines", "mlp", *arguments, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "'digits-mlp-compare-optuna-random-none-0' judged last weights (1 of 2 searches)" in said
    assert "trains now judges mean of trained weights. Search all of them anew with --study NAME." in said
    with closing(Store(tmp_path)) as store:
        assert len(store.studies()) == 1, "nothing was searched"


@pytest.mark.parametrize(
    ("rungs", "budget", "fits"),
    [
        (["mean of trained weights", "mean of trained weights"], 100, True),
        (["mean of trained weights", "missing"], 100, True),
        ([None, "mean of trained weights"], 100, False),
        (["missing", "last weights"], 100, False),
        ([None, "last weights"], 100, True),  # nothing is left to train
        ([None, "last weights"], 200, False),
    ],
)
def test_a_comparison_is_of_one_kind_of_rungs(rungs, budget, fits):
    settings = {f"s{n}": {"rungs": judged} if judged else {} for n, judged in enumerate(rungs) if judged != "missing"}
    trials = [Trial(0, "complete", {}, 0.9, 150, elapsed=1.0)]
    session = SimpleNamespace(store=SimpleNamespace(settings=settings.get, trials=lambda study: trials))
    if fits:
        _check_rungs(session, ["s0", "s1"], budget)
    else:
        with pytest.raises(FrozenStudy, match="rungs judge the same"):
            _check_rungs(session, ["s0", "s1"], budget)


@pytest.mark.slow
def test_a_comparison_that_was_killed_goes_on_and_takes_no_look(tmp_path):
    home, page = tmp_path / "runs", tmp_path / "page.html"
    killed = subprocess.Popen(
        [*BENCH, *ARGUMENTS, "--home", str(home)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    before = {}
    for _ in range(1200):
        time.sleep(0.1)
        if (home / "bench.db").exists():
            with closing(Store(home)) as store:
                before = {name: store.trials(name) for name in store.studies()}
            if len(before) >= 2 and any(trial.state != "running" for trial in [*before.values()][-1]):
                break
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert 2 <= len(before) < 6, "it was to be killed in the middle"

    found = run(home, "-o", str(page))
    pairs = ["optuna:random/none", "optuna:tpe/asha", "optuna:qmc/median"]
    assert [row["pair"] for row in found["pairs"]] == pairs
    assert found["budget"] == {"epochs": BUDGET, "samples": BUDGET * found["train_images"]}
    assert found["seeds"] == [0, 1] and found["precision"] == "float32"
    assert "plotly" in page.read_text() and len(page.read_text()) > 1_000_000
    with closing(Store(home)) as store:
        settings = store.studies()
        after = {name: store.trials(name) for name in settings}
    assert sorted(after) == sorted(study for row in found["pairs"] for study in row["studies"])
    for name, trials in after.items():
        assert settings[name]["purpose"] == "comparison" and name.startswith("digits-mlp-compare-optuna-")
        assert charged(trials) >= found["budget"]["samples"], "the budget is used"
        assert trials[0].params == after["digits-mlp-compare-optuna-random-none-0"][0].params
    for name, trials in before.items():  # what was finished before the kill is what it was
        kept = {trial.number: trial for trial in after[name]}
        assert all(kept[trial.number] == trial for trial in trials if trial.state != "running")
    for row in found["pairs"]:
        assert all(0.5 < best <= 1 for best in row["best"])
        assert row["against_samples"][-1]["at"] == found["budget"]["samples"]

    assert run(home)["pairs"] == found["pairs"], "nothing is left to do"
    with closing(Store(home)) as store:
        assert {name: len(store.trials(name)) for name in store.studies()} == {n: len(t) for n, t in after.items()}
    assert not (home / "ledger.jsonl").exists() and not (home / "results").exists()
    for command in (["leaderboard", "--validation"], ["leaderboard"]):
        board = subprocess.run([*BENCH, *command, "--home", str(home), "--json"], capture_output=True, text=True)
        assert json.loads(board.stdout)["rows"] == []
    refused = [*BENCH, "final", "mlp", "--dataset", "digits", "--study", next(iter(after)), "--home", str(home)]
    said = subprocess.run(refused, capture_output=True, text=True)
    assert said.returncode == 2 and "come to no final" in said.stderr


@pytest.mark.slow
def test_more_budget_and_more_repeats_add_to_what_is_there(tmp_path):
    only = ["--pairs", "optuna:random/none"]
    first = run(tmp_path, *only, "--repeats", "1", "--budget", "8")
    second = run(tmp_path, *only, "--repeats", "2", "--budget", "12")
    (before,), (after,) = first["pairs"], second["pairs"]
    assert after["studies"][0] == before["studies"][0] and len(after["best"]) == 2
    assert after["trials"] >= before["trials"] and after["best"][0] >= before["best"][0]
    again = run(tmp_path, *only, "--repeats", "1", "--budget", "8")
    assert again["pairs"][0]["best"] == before["best"], "a smaller budget is read from what is there"
    said = run(tmp_path, *only, "--range", "width=32:48", code=2)
    assert "frozen" in said and "--study" in said


@pytest.mark.slow
def test_hyperband_searches_on_no_credit(tmp_path):
    only = ["--pairs", "keras-tuner:hyperband/none", "--range", "epochs=1:27", "--budget", "30", "--repeats", "1"]
    found = run(tmp_path, *only)
    budget = found["budget"]["samples"]
    with closing(Store(tmp_path)) as store:
        trials = store.trials(found["pairs"][1]["studies"][0])
    assert any(trial.paused for trial in trials)
    used = sum(trial.samples or (trial.curve[-1][0] if trial.curve else 0) for trial in trials)
    assert budget <= used < budget + 3 * found["train_images"]  # two trials, of one epoch each, were under way
    assert run(tmp_path, *only) == found


BROKEN = '''"""A family that builds its reference alone."""
from bench.family import Family
from bench.space import Float, Int, SearchSpace


def build(config, image_shape, classes):
    import keras

    if config["rate"] != 0.5:
        raise RuntimeError("a bug in build")
    return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten(), keras.layers.Dense(classes)])


SPACE = SearchSpace({"rate": Float(0.0, 1.0), "epochs": Int(1, 2)})
FAMILY = Family("broken", SPACE, build, {"rate": 0.5, "epochs": 1})
'''


@pytest.mark.slow
def test_a_search_whose_trials_do_not_train_comes_to_an_end(tmp_path):
    family = tmp_path / "broken.py"
    family.write_text(BROKEN)
    command = [*BENCH, "compare-engines", str(family), "--dataset", "digits", "--pairs", "optuna:random/none"]
    options = ["--budget", "3", "--repeats", "1", "--precision", "float32", "--workers", "1", "--json"]
    home = tmp_path / "runs"
    done = subprocess.run([*command, *options, "--home", str(home)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["pairs"]
    assert row["complete"] == 1


@pytest.mark.slow
def test_pairs_of_every_engine_use_the_same_budget_and_are_compared(tmp_path):
    pairs = ["optuna:random/none", "ray:tpe/asha", "keras-tuner:bayesian/asha", "keras-tuner:hyperband/none"]
    only = ["--pairs", ",".join(pairs[1:]), "--range", "epochs=2:9", "--budget", "30"]
    found = run(tmp_path, *only)
    assert [row["pair"] for row in found["pairs"]] == pairs
    with closing(Store(tmp_path)) as store:
        settings = store.studies()
        trials = {name: store.trials(name) for name in settings}
    for row in found["pairs"]:
        for study in row["studies"]:
            assert settings[study]["engine"] == row["engine"] and settings[study]["purpose"] == "comparison"
            assert charged(trials[study]) >= found["budget"]["samples"]
            assert trials[study][0].params == trials[found["pairs"][0]["studies"][0]][0].params
        assert row["trials"] > 1 and all(0.5 < best <= 1 for best in row["best"])
        assert row["verdict"] in (None, "better", "worse", "no difference resolved")
        assert len(row["against_samples"]) == 80
    assert run(tmp_path, *only)["pairs"] == found["pairs"], "nothing is left to do"
