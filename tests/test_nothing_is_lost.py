"""Kills, full disks and two processes at once: every acknowledged trial stays, once, and the same command goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.errors import NoTrialSucceeded
from bench.store import Store
from bench.workers.orphans import VARIABLE
from tests.waiting import wait_for

BENCH = [sys.executable, "-m", "bench"]
SOURCES = Path(__file__).parents[1] / "bench"
OPTIONS = ["--dataset", "digits", "--workers", "1", "--seeds", "2", "--range", "epochs=1:12"]


def start(home, *arguments, **environment):
    command = [*BENCH, "search", "mlp", *OPTIONS, *arguments, "--home", str(home)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup themselves
    )


def finished(home, study="digits-mlp"):
    """number -> trial of every finished trial in the storage."""
    if not (home / "bench.db").exists():
        return {}
    store = Store(home)
    try:
        trials = store.trials(study) if study in store.studies() else []
    finally:
        store.close()
    return {trial.number: trial for trial in trials if trial.state != "running"}


def leaderboard(home):
    command = [*BENCH, "leaderboard", "--dataset", "digits", "--json", "--home", str(home)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["rows"]


def workers_of(pid):
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(VARIABLE, "").startswith(f"{pid}:"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def acknowledged(said):
    """(number, state) of every trial that was reported as finished."""
    return {(int(n), state) for n, state in re.findall(r"^trial (\d+) (complete|pruned|failed)", said, re.MULTILINE)}


def literal_points():
    """Every failpoint that the sources name, so that a new one is tested without being listed here."""
    text = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    return sorted(set(re.findall(r'reach\("([^"{]+)"\)', text)))


SEALED = ["train.npz", "test.npz", "seal.json"]
FINAL = ["manifest.json", "curves.json", "predictions.npz", "model.keras", "result.json", "comparisons.jsonl"]
FIRST = ["store: before a study", "store: between a study and its settings"]  # reached in a new home only
# In the order in which a run comes to them: one that it is past already costs another trial, and a final with it.
SEARCHED = [
    "lock: before the holder",
    *(f"store: {when} a {what}" for what in ("trial", "rung", "record") for when in ("before", "after")),
    "store: before the seconds",
]


def around(names):
    return [f"files: {when} {name}" for name in names for when in ("before", "after")]


POINTS = [
    *around(SEALED),
    *FIRST,
    *SEARCHED,
    *sorted(set(literal_points()) - {*FIRST, *SEARCHED}),
    *around(["digits-mlp.json", *FINAL]),
]


@pytest.mark.slow
def test_a_kill_at_any_write_loses_nothing_that_was_reported_and_doubles_nothing(tmp_path):
    """One home goes through every kill in turn; each run continues what the one before left."""
    known, target = set(), 1
    for point in POINTS:
        while True:
            alone = ["--no-final"] if point in (*around(SEALED), *FIRST, *SEARCHED) else []
            process = start(tmp_path, "--trials", str(target), *alone, BENCH_FAILPOINT=point)
            _, said = process.communicate(timeout=120)
            known |= acknowledged(said)
            there = finished(tmp_path)
            assert known <= {(number, trial.state) for number, trial in there.items()}, point
            assert len(there) <= target, point
            assert workers_of(process.pid) == [], point
            assert "Traceback" not in said, said
            if process.returncode not in (0, NoTrialSucceeded.exit_code):
                by_child = "ended with exit code -9" in said  # its sealer, or its exam
                assert process.returncode == -signal.SIGKILL or by_child, said
                break
            target += 1  # everything was done already, or killed twice; with another trial the point is reached
            assert target < 3 * len(POINTS), f"{point} is never reached"
    last = start(tmp_path, "--trials", str(target))
    _, said = last.communicate(timeout=120)
    assert last.returncode == 0, said
    there = finished(tmp_path)
    assert sorted(there) == list(range(target))
    assert known <= {(number, trial.state) for number, trial in there.items()}
    assert_the_leaderboard_says_what_the_records_say(tmp_path)
    fsck = subprocess.run([*BENCH, "fsck", "--repair", "--home", str(tmp_path)], capture_output=True, text=True)
    assert fsck.returncode == 0, fsck.stdout
    assert_the_leaderboard_says_what_the_records_say(tmp_path)


def assert_the_leaderboard_says_what_the_records_say(home):
    (row,) = leaderboard(home)
    newest = max(home.glob("results/digits/mlp/*/result.json"), key=lambda path: path.stat().st_mtime_ns)
    with np.load(newest.with_name("predictions.npz")) as stored:
        assert row["test_accuracy"] == pytest.approx(stored["correct"].mean(), abs=1e-12)
    ledger = [json.loads(line) for line in (home / "ledger.jsonl").read_text().splitlines()]
    assert row["test_looks"] == sum(entry["event"] == "look" for entry in ledger)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_are_clean_stops(tmp_path, number):
    process = start(tmp_path, "--trials", "500", "--no-final")
    wait_for(lambda: len(finished(tmp_path)) >= 2)
    workers = workers_of(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command continues" in said
    assert workers
    assert psutil.wait_procs(workers, timeout=5)[1] == []


@pytest.mark.slow
def test_the_second_ctrl_c_ends_at_once_even_with_a_worker_that_does_not_listen(tmp_path):
    process = start(tmp_path, "--trials", "500", "--no-final")
    wait_for(lambda: len(finished(tmp_path)) >= 1)
    (worker,) = workers_of(process.pid)
    worker.suspend()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)  # of a search of 500 trials
    assert process.returncode == 130
    assert "Stopped at once" in said
    assert not worker.is_running()


@pytest.mark.slow
def test_a_killed_parent_leaves_no_worker_even_when_that_is_stopped(tmp_path):
    process = start(tmp_path, "--trials", "500", "--no-final")
    wait_for(lambda: len(finished(tmp_path)) >= 1)
    (worker,) = workers_of(process.pid)
    worker.suspend()
    process.kill()
    process.communicate()
    assert psutil.wait_procs([worker], timeout=5)[1] == []


@pytest.mark.slow
def test_what_outlived_its_bench_is_ended_by_the_next_one(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = subprocess.Popen(["sleep", "600"], env={**os.environ, VARIABLE: f"{gone.pid}:1.00:abcdef00"})
    _, said = start(tmp_path, "--trials", "1", "--no-final").communicate(timeout=90)
    assert left.wait(5) == -signal.SIGKILL, said


@pytest.mark.slow
def test_two_families_at_once_in_one_home(tmp_path):
    first = start(tmp_path, "--trials", "4")
    command = [*BENCH, "search", "mlp_dropout", *OPTIONS, "--trials", "4", "--home", str(tmp_path)]
    second = subprocess.run(command, capture_output=True, text=True)
    _, said = first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0), said + second.stderr
    assert len(finished(tmp_path)) == len(finished(tmp_path, "digits-mlp_dropout")) == 4
    assert {row["family"] for row in leaderboard(tmp_path)} == {"mlp", "mlp_dropout"}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB, which can really be full."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_a_full_disk_pauses_the_search_and_room_lets_it_go_on(small_disk, tmp_path):
    home, ballast = small_disk / "home", small_disk / "ballast"
    log = (tmp_path / "log").open("w+")
    command = [*BENCH, "search", "mlp", *OPTIONS, "--trials", "40", "--no-final", "--home", str(home)]
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    wait_for(lambda: len(finished(home)) >= 2)
    with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(65536))
            file.flush()
    said = wait_for(lambda: "is full" in (tmp_path / "log").read_text() and (tmp_path / "log").read_text())
    assert f"The disk of {home} is full: 16 MB are needed" in said
    before = acknowledged(said)
    time.sleep(2)
    assert process.poll() is None
    ballast.unlink()
    assert process.wait(120) == 0
    log.close()
    said = (tmp_path / "log").read_text()
    assert f"There is room in {home} again" in said
    there = {(number, trial.state) for number, trial in finished(home).items()}
    assert before <= acknowledged(said) == there
    assert len(there) == 40


@pytest.mark.slow
def test_a_disk_that_fills_while_models_are_saved_and_while_the_exam_is_sat_costs_nothing(small_disk, tmp_path):
    home, ballast = small_disk / "home", small_disk / "ballast"
    log = (tmp_path / "log").open("w+")
    space = ["--range", "width=128:130", "--range", "depth=1:1", "--set", "epochs=12"]
    options = ["--dataset", "digits", "--workers", "1", "--seeds", "2", "--trials", "2", *space]
    process = subprocess.Popen(
        [*BENCH, "search", "mlp", *options, "--home", str(home)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )

    def said():
        return (tmp_path / "log").read_text()

    for number, stage in enumerate(("begin: retrain", "begin: exam"), 1):
        wait_for(lambda stage=stage: stage in said(), 240)
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        wait_for(lambda number=number: said().count("is full") == number)
        time.sleep(12 if stage == "begin: exam" else 3)
        assert process.poll() is None, said()
        ballast.unlink()
    assert process.wait(120) == 0, said()
    log.close()
    (row,) = leaderboard(home)
    assert row["test_looks"] == 1
    assert not list(home.rglob(".*.tmp"))
    fsck = subprocess.run([*BENCH, "fsck", "--home", str(home)], capture_output=True, text=True)
    assert fsck.returncode == 0, fsck.stdout


@pytest.mark.slow
def test_a_search_under_nohup_outlives_its_terminal(tmp_path):
    command = [*BENCH, "search", "mlp", *OPTIONS, "--trials", "4", "--no-final", "--home", str(tmp_path)]
    process = subprocess.Popen(
        ["nohup", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )
    wait_for(lambda: len(finished(tmp_path)) >= 1)
    assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert len(finished(tmp_path)) == 4


def test_a_disk_without_room_is_said_before_anything_starts_and_a_stop_is_heard(small_disk):
    home = small_disk / "home"
    (small_disk / "ballast").write_bytes(bytes(20_000_000))
    process = start(home, "--trials", "2")
    said = process.stderr.readline()  # nothing is said before it
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"The disk of {home} is full" in said
    assert "Traceback" not in said
