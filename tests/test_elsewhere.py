"""Homes that share a storage test a study once."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from bench import results
from bench.elsewhere import BEGUN_SECONDS, final_by_one
from bench.errors import RecordError, StudyLocked
from bench.finals import final_id
from bench.holdout import exam, ledger
from bench.records import Trial
from bench.store import Store
from bench.study import outcome
from tests.test_results import random_answers
from tests.test_results import store as stored_final

SETTINGS = {"id": "one", "family": "mlp", "dataset": "digits", "engine": "optuna"}
BENCH = [sys.executable, "-m", "bench"]


class Home:
    """One home on the storage, whose finals are made up and counted."""

    def __init__(self, path, storage):
        self.path, self.said, self.made, self.fault, self.meanwhile = path, [], 0, None, lambda: None
        self.store = Store(path, storage)
        if self.store.settings("digits-mlp") is None:
            self.store.create("digits-mlp", SETTINGS)
        self.found = replace(outcome(self.store, "digits-mlp"), trials=[Trial(0, "complete", {}, 0.9)])

    def noted(self):
        return self.store.noted("digits-mlp", f"final {final_id(self.found, 2)}")

    def final(self, seeds=2, joined=None):
        identity = final_id(self.found, seeds)

        def run(begins):
            there = [one for one in results.read_finals(self.path, "digits") if one.id == identity]
            if there:
                return there[0]
            self.meanwhile()
            begins()
            if self.fault is not None:
                raise self.fault
            self.made += 1
            return stored_final(self.path, "mlp", random_answers(0, seeds), identity, study_id="one")

        return final_by_one(
            self.store, self.path, "digits", self.found, seeds, joined, lambda: None, run, self.said.append
        )


@pytest.fixture
def homes(storage, tmp_path):
    found = [Home(tmp_path / name, storage) for name in ("a", "b")]
    yield found
    for home in found:
        home.store.close()


def test_a_final_that_another_home_made_is_said_and_not_made_again(homes):
    first, second = homes
    assert first.final() is not None
    assert second.final() is None
    (said,) = second.said
    assert f"was run by process {os.getpid()} on " in said and str(first.path) in said
    assert (first.made, second.made) == (1, 0)
    assert first.final() is not None and first.made == 1  # read back
    assert second.final(seeds=3) is not None  # another one
    assert first.final(seeds=3) is None


def test_a_final_that_is_copied_along_is_read_back(homes):
    first, second = homes
    first.final()
    shutil.copytree(first.path / "results", second.path / "results")
    assert second.final() is not None
    assert second.made == 0


def test_a_final_that_was_set_aside_is_made_anew(homes):
    first, second = homes
    first.final()
    shutil.rmtree(first.path / "results")
    assert second.final() is not None
    assert second.made == 1
    assert first.final() is None


def test_one_on_another_machine_cannot_be_looked_at_and_counts(homes, monkeypatch):
    first, second = homes
    with monkeypatch.context() as patch:
        patch.setattr("bench.elsewhere.socket.gethostname", lambda: "elsewhere")
        first.final()
    shutil.rmtree(first.path / "results")
    assert second.final() is None
    assert "on elsewhere; its results are in" in second.said[0]


def test_of_those_who_joined_one_makes_it_and_the_others_say_who(homes):
    first, second = homes
    leases = [home.store.leases("digits-mlp") for home in homes]
    try:
        assert leases[0].claim("final")
        assert second.final(joined=leases[1]) is None
        assert "is being run by process" in second.said[0]
        assert first.final(joined=leases[0]) is not None
        assert second.final(joined=leases[1]) is None
        assert "was run by process" in second.said[1]
    finally:
        for one in leases:
            one.close()


def test_an_exam_that_outlives_its_process_is_waited_for_at_home_and_not_begun_by_another(homes):
    first, second = homes
    first.fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        first.final()
    with exam._lock(first.path, final_id(first.found, 2)):
        assert second.final() is None
        first.fault = None
        assert first.final() is not None  # whose `run` waits for it
    assert "is being run by process" in second.said[0]
    assert second.final() is None and "was run by process" in second.said[1]


def test_what_an_exam_stored_after_its_process_was_gone_is_told_when_it_is_read_back(homes):
    first, second = homes
    first.fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        first.final()
    stored_final(first.path, "mlp", random_answers(0, 2), final_id(first.found, 2), study_id="one")
    assert first.noted()["done"] is False
    assert first.final() is not None and first.made == 0
    assert first.noted()["done"] is True
    assert second.final() is None


@pytest.mark.parametrize("deleted", [False, True])
def test_one_that_came_to_no_result_is_made_by_whoever_asks(homes, deleted):
    first, second = homes
    first.fault = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        first.final()
    if deleted:
        shutil.rmtree(first.path)
    assert second.final() is not None and second.made == 1


def test_an_exam_that_took_no_look_is_no_final(homes, monkeypatch):
    """Whatever it failed by; with a look it is one, and its own home's to go on with."""
    first, second = homes
    for looked in (False, True):
        first.fault = RecordError("The exam ended with no answer")
        if looked:
            ledger.record(first.path, {"event": "look", "manifest": final_id(first.found, 2)})
        with monkeypatch.context() as patch:
            patch.setattr("bench.elsewhere.socket.gethostname", lambda: "elsewhere")
            with pytest.raises(RecordError):
                first.final()
        if looked:
            assert second.final() is None and "is being run by process" in second.said[0]
        else:
            assert second.noted() is None
    with monkeypatch.context() as patch:
        later = time.time() + BEGUN_SECONDS + 1
        patch.setattr("bench.elsewhere.time.time", lambda: later)
        assert second.final() is not None, "another machine's that told of no end for long"


def test_whoever_comes_second_to_the_look_does_not_take_it(homes, monkeypatch):
    first, second = homes

    def begin():
        with monkeypatch.context() as patch:
            patch.setattr("bench.elsewhere.socket.gethostname", lambda: "elsewhere")
            assert first.final() is not None

    second.meanwhile = begin
    with pytest.raises(StudyLocked, match=r"was begun by process .* on elsewhere meanwhile.*was not opened here"):
        second.final()
    assert second.made == 0


@pytest.mark.slow
def test_bench_final_of_another_home_opens_no_test_set_again(tmp_path, storage):
    def bench(home, *arguments):
        command = [*BENCH, *arguments, "--dataset", "digits", "--seeds", "2", "--workers", "1", "--home", str(home)]
        environment = {**os.environ, "BENCH_STORAGE": storage}
        run = subprocess.run([*command, "--json"], capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout), run.stderr

    a, b = tmp_path / "a", tmp_path / "b"
    first, _ = bench(a, "search", "mlp", "--trials", "2", "--range", "epochs=1:3")
    assert first["final"] is not None
    for command in (["final", "mlp"], ["search", "mlp", "--trials", "2", "--range", "epochs=1:3"]):
        second, said = bench(b, *command)
        assert second["final"] is None and second["trials"]["total"] == 2
        assert "The final of 'digits-mlp' was run by process" in said and str(a) in said
    assert not (b / "ledger.jsonl").exists() and not (b / "results").exists()
    again, _ = bench(a, "final", "mlp")
    assert again["final"] == first["final"]
    assert len((a / "ledger.jsonl").read_text().splitlines()) == 1
