"""Searches that are killed, stopped, or met by another one."""

import signal
import subprocess

import pytest

from tests.command_line import BENCH, bench, document
from tests.waiting import wait_for_trials

pytestmark = pytest.mark.slow  # every test here searches in a process of its own


def start(home, *options):
    command = [*BENCH, "search", "mlp", "--dataset", "digits", "--no-final", "--home", str(home), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_search_keeps_its_finished_trials_and_the_same_command_reaches_the_target(tmp_path):
    process = start(tmp_path, "--trials", "12")
    before = wait_for_trials(tmp_path, 3)
    process.kill()
    process.communicate()
    bench(tmp_path, "search", "mlp", "--dataset", "digits", "--no-final", "--trials", "12")
    rows = document(tmp_path, "trials", "mlp", "--dataset", "digits")["rows"]
    assert [row["number"] for row in rows] == list(range(12))
    assert all(row["state"] != "running" for row in rows)
    for trial in before:
        assert rows[trial.number]["val_accuracy"] == trial.val_accuracy


def test_ctrl_c_saves_and_stops_and_leaves_no_worker(tmp_path):
    import psutil

    process = start(tmp_path, "--trials", "500")
    wait_for_trials(tmp_path, 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in said
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_second_search_of_a_study_exits_75_naming_the_holder(tmp_path):
    process = start(tmp_path, "--trials", "500")
    wait_for_trials(tmp_path, 1)
    run = bench(tmp_path, "search", "mlp", "--dataset", "digits", "--no-final", check=False)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert run.returncode == 75
    assert f"process {process.pid}" in run.stderr
