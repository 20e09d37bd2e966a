"""`bench search --engine keras-tuner` on digits: real oracles, real training, real kills."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.engines.oracle import OracleProposer
from bench.family import load
from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
OPTIONS = ["--engine", "keras-tuner", "--dataset", "digits", "--no-final", "--workers", "2", "--precision", "float32"]
STUDY = "digits-mlp-keras-tuner"
pytestmark = pytest.mark.slow


def command(home, *arguments):
    return [*BENCH, "search", "mlp", *OPTIONS, *arguments, "--home", str(home)]


def search(home, *arguments):
    run = subprocess.run(command(home, "--json", *arguments), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout), run.stderr


def trials_of(home):
    store = Store(home)
    try:
        return store.trials(STUDY)
    finally:
        store.close()


def check_files(home):
    """Nothing of KerasTuner's, and no state that nobody needs."""
    names = {path.name for path in home.rglob("*")}
    assert not [name for name in names if name.startswith(("trial", "oracle", "tuner"))]
    assert not (home / "states").exists() or not list((home / "states").rglob("*.npz"))


def search_until(condition, home, *arguments):
    """Search, and SIGKILL the parent once the stored trials are as wanted; returns them as they then are."""
    process = subprocess.Popen(command(home, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if (home / "bench.db").exists() and condition(_peek(home)):
            break
        time.sleep(0.3)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return trials_of(home)


def _peek(home):
    try:
        return trials_of(home)
    except KeyError:
        return []  # the study is not made yet


def test_a_search_that_is_killed_goes_on_to_its_target_with_every_trial_once(tmp_path):
    arguments = ["--sampler", "bayesian", "--trials", "8", "--range", "epochs=2:8"]
    before = search_until(lambda trials: sum(t.state != "running" for t in trials) >= 3, tmp_path, *arguments)
    document, _ = search(tmp_path, *arguments)
    trials = trials_of(tmp_path)
    assert [trial.number for trial in trials] == list(range(8))
    assert document["trials"]["total"] == 8
    assert trials[0].params["width"] == 512  # the reference
    finished = [trial for trial in before if trial.state != "running"]
    assert [trials[trial.number] for trial in finished] == finished
    assert [trials[trial.number].params for trial in before] == [trial.params for trial in before]
    check_files(tmp_path)


def test_past_its_random_beginning_the_bayesian_oracle_is_asked_for_its_gaussian_processs_optimum(tmp_path):
    """Of one parameter KerasTuner draws three at random; each later one follows from what was told before it."""
    fixed = {
        "depth": "1", "width": "128", "batch_norm": "False", "batch_size": "64", "optimizer": "adam",
        "weight_decay": "0", "cooldown": "0", "epochs": "5",
    }  # fmt: skip
    settings = [f"--set={name}={value}" for name, value in fixed.items()]
    search(tmp_path, "--sampler", "bayesian", "--trials", "9", *settings, "--workers", "1")
    trials = trials_of(tmp_path)
    family = load("mlp").overridden(load("mlp").space.override(fixed))

    def proposer(number, random):
        asked = OracleProposer(family.space, "bayesian", 0, dict(family.reference) if family.reference else None)
        asked._oracle.num_initial_points = 99 if random else None
        asked.resume(trials[:number])
        return asked

    first = int(family.reference is not None)
    for number in range(first, 9):
        asked = proposer(number, random=False)
        assert asked.ask(number) == trials[number].params
        by_model = number - first >= 3
        assert hasattr(asked._oracle.gpr, "X_train_") == by_model
        assert (proposer(number, random=True).ask(number) != trials[number].params) == by_model
        if by_model:
            assert len(asked._oracle.gpr.X_train_) == number - first


def test_promotions_of_hyperband_continue_one_trial_also_over_a_kill(tmp_path):
    """Nine configurations: three go on from one epoch to three, one of them to nine."""
    arguments = ["--sampler", "hyperband", "--trials", "10", "--range", "epochs=1:9"]
    before = search_until(lambda trials: sum(t.paused for t in trials) >= 4, tmp_path, *arguments)
    paused = [trial for trial in before if trial.paused]
    saved = {int(path.stem) for path in (tmp_path / "states" / STUDY).glob("*/*.npz")}
    assert saved >= {trial.number for trial in paused}
    document, said = search(tmp_path, *arguments)
    assert document["trials"]["failed"] == 0
    assert "cut short" not in said  # 1 + 9 fit
    trials = trials_of(tmp_path)
    assert [trial.number for trial in trials] == list(range(10))
    n = trials[0].curve[-1][0] // trials[0].params["epochs"]
    ends = sorted((len(trial.curve), trial.state) for trial in trials[1:])
    assert ends == [(1, "pruned")] * 6 + [(2, "pruned")] * 2 + [(3, "complete")]
    winner = max(trials[1:], key=lambda trial: len(trial.curve))
    assert [samples for samples, _ in winner.curve] == [n, 3 * n, 9 * n]
    assert [samples for samples, _ in winner.losses] == [n, 3 * n, 9 * n]
    assert winner.samples >= 9 * n > max(t.samples for t in trials[1:] if t is not winner)
    for trial in paused:
        assert trials[trial.number].curve[0] == trial.curve[0]
        assert trials[trial.number].seconds.build >= trial.seconds.build
    check_files(tmp_path)


def test_a_paused_trial_ends_as_one_that_was_never_left_and_a_lost_state_is_made_anew(tmp_path):
    """The same study with every state lost in the middle: the same curves, since a seed repeats a run exactly."""
    arguments = ["--sampler", "hyperband", "--trials", "10", "--range", "epochs=1:9", "--workers", "1"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    search(whole, *arguments)
    search_until(lambda trials: sum(t.paused for t in trials) >= 8, broken, *arguments)
    states = sorted((broken / "states" / STUDY).glob("*/*.npz"))
    for place, path in enumerate(states):
        if place % 2:
            path.unlink()
        else:
            path.write_bytes(b"torn")
    search(broken, *arguments)
    for kept, anew in zip(trials_of(whole), trials_of(broken), strict=True):
        assert (kept.params, kept.state, kept.samples) == (anew.params, anew.state, anew.samples)
        np.testing.assert_allclose([v for _, v in kept.curve], [v for _, v in anew.curve], atol=0.01)
    assert "is run again from its start" in (broken / "logs" / "worker-0.log").read_text()


def test_studies_rm_and_fsck_know_the_states(tmp_path):
    arguments = ["--sampler", "hyperband", "--trials", "10", "--range", "epochs=1:9"]
    search_until(lambda trials: sum(t.paused for t in trials) >= 2, tmp_path, *arguments)
    (folder,) = (tmp_path / "states" / STUDY).iterdir()
    (folder / "0.npz").write_bytes(b"of the reference, which is over")
    kept = len(list(folder.glob("*.npz"))) - 1
    run = subprocess.run([*BENCH, "fsck", "--repair", "--home", str(tmp_path)], capture_output=True, text=True)
    assert "the state of a trial that is over" in run.stdout
    assert len(list(folder.glob("*.npz"))) == kept
    run = subprocess.run([*BENCH, "studies", "rm", STUDY, "--yes", "--home", str(tmp_path)], capture_output=True)
    assert run.returncode == 0
    assert not folder.exists()


def test_what_hyperband_cannot_do_is_said_before_anything_is_made(tmp_path):
    wrong = [["--sampler", "hyperband", "--pruner", "asha"], ["--sampler", "hyperband", "--set", "epochs=1"]]
    for arguments, said in zip(wrong, ["Leave --pruner out", "at most 1. Use another sampler"], strict=True):
        run = subprocess.run(command(tmp_path, *arguments), capture_output=True, text=True)
        assert run.returncode == 2
        assert said in run.stderr.replace("\n", " ")
        assert "Traceback" not in run.stderr
    document, said = search(tmp_path, "--sampler", "hyperband", "--trials", "3", "--range", "epochs=1:4")
    assert document["trials"]["total"] == 3
    assert "cut short" in said
