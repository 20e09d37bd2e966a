"""Whole searches on a real PostgreSQL server, or in one SQLite file: shared by several processes, or held by one."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from postgresql import PASSWORD

from bench.store import Store
from tests.waiting import wait_for

BENCH = [sys.executable, "-m", "bench"]
# Every trial takes seconds, so that a look from outside finds one under way.
OPTIONS = ["--dataset", "digits", "--workers", "1", "--seeds", "2", "--pruner", "none", "--range", "epochs=40:80"]
STUDY = "digits-mlp"


@pytest.fixture
def start(request):
    """Begin `bench search mlp` on a home; whatever is left of it ends with the test."""
    begun = []

    def begin(home, storage, *arguments):
        log = home.with_suffix(".log")
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*BENCH, "search", "mlp", *OPTIONS, *arguments, "--home", str(home)],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "BENCH_STORAGE": storage},
            )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def said(home):
    return home.with_suffix(".log").read_text()


def stored(tmp_path, storage):
    """The trials of the study so far; none while it is not made."""
    store = Store(tmp_path / "looks", storage)
    try:
        return store.trials(STUDY) if STUDY in store.studies() else []
    finally:
        store.close()


def finished(tmp_path, storage):
    return [trial for trial in stored(tmp_path, storage) if trial.state != "running"]


def trained_in(home):
    """Numbers of the trials that a process reports as its own: those with a worker. Its final trains some again."""
    searched = said(home).split("begin: confirm")[0]
    return {
        int(n) for n in re.findall(r"^trial (\d+) (?:complete|pruned|failed).*  worker 0  ", searched, re.MULTILINE)
    }


def check_shared(tmp_path, storage, homes, wanted):
    trials = stored(tmp_path, storage)
    assert [trial.number for trial in trials] == list(range(wanted))
    assert all(trial.state != "running" for trial in trials)
    assert len({json.dumps(dict(trial.params), sort_keys=True) for trial in trials}) == wanted
    parts = [trained_in(home) for home in homes]
    assert sum(map(len, parts)) == wanted  # each by one of them
    assert set().union(*parts) == set(range(wanted))
    return parts


# --- whole searches


@pytest.mark.slow
def test_two_homes_share_a_study_to_exactly_its_trials_and_no_password_is_left(tmp_path, url, start):
    homes = [tmp_path / "a", tmp_path / "b"]
    processes = [start(home, url, "--trials", "8", "--join") for home in homes]
    lines = set()
    while any(process.poll() is None for process in processes):
        for started in processes:
            with contextlib.suppress(psutil.Error):  # of a process that is over by now
                own = psutil.Process(started.pid)
                lines.add(f"{own.cmdline()}")
                lines |= {f"{child.cmdline()} {child.environ()}" for child in own.children(recursive=True)}
        time.sleep(0.2)
    assert [process.returncode for process in processes] == [0, 0], [said(home) for home in homes]
    parts = check_shared(tmp_path, url, homes, 8)
    assert all(parts), "one of them did everything"
    results = [list(home.glob("results/**/result.json")) for home in homes]
    assert sorted(map(len, results)) == [0, 1]  # the test set was opened once
    without = homes[[len(found) for found in results].index(0)]
    assert re.search("The final of 'digits-mlp' (is being|was) run by process", said(without))
    # The second time there is nothing to do, and the test set stays closed.
    for home in homes:
        assert start(home, url, "--trials", "8", "--join").wait(400) == 0, said(home)
    assert sum(len(list(home.glob("results/**/result.json"))) for home in homes) == 1
    assert any("bench.workers" in line for line in lines) and any("bench.holdout" in line for line in lines)
    assert PASSWORD not in "".join(lines)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.slow
@pytest.mark.parametrize("hit", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_trial_whose_process_is_gone_is_taken_over_by_another(tmp_path, url, start, hit):
    """SIGKILL is seen at once on this machine; SIGSTOP is as a host that does not answer: the lease runs out."""
    homes = [tmp_path / "a", tmp_path / "b"]
    first, second = (start(home, url, "--trials", "8", "--no-final", "--join") for home in homes)
    # Two are under way, so that one of them is the first one's.
    wait_for(lambda: trained_in(homes[0]) and sum(t.state == "running" for t in stored(tmp_path, url)) == 2)
    first.send_signal(hit)
    assert second.wait(400) == 0, said(homes[1])
    trials = stored(tmp_path, url)
    assert [(trial.number, trial.state != "running") for trial in trials] == [(number, True) for number in range(8)]
    taken = re.findall(r"trial (\d+) was left unfinished by another process", said(homes[1]))
    assert len(taken) == 1
    assert trials[int(taken[0])].attempts == 2
    if hit == signal.SIGSTOP:
        first.send_signal(signal.SIGCONT)
        assert first.wait(400) == 0, said(homes[0])
        assert f"trial {taken[0]} was taken over by another process" in said(homes[0])
        assert stored(tmp_path, url) == trials  # what it had in hand changed nothing
    assert trained_in(homes[0]) & trained_in(homes[1]) == set()


@pytest.mark.slow
def test_a_server_that_goes_and_comes_back_in_mid_search_costs_no_trial(tmp_path, server, url, start):
    home = tmp_path / "a"
    process = start(home, url, "--trials", "5", "--no-final")
    wait_for(lambda: len(finished(tmp_path, url)) >= 2)
    before = stored(tmp_path, url)
    server.stop()
    try:
        wait_for(lambda: "does not answer" in said(home))
        assert process.poll() is None
    finally:
        server.start()
    assert process.wait(400) == 0, said(home)
    assert "The storage answers again" in said(home)
    trials = stored(tmp_path, url)
    assert trials[:2] == before[:2]
    assert [(trial.number, trial.attempts) for trial in trials] == [(number, 1) for number in range(5)]
    assert trained_in(home) == set(range(5))
    assert PASSWORD not in said(home)


@pytest.mark.slow
def test_a_second_process_exits_75_other_settings_2_and_a_stop_without_a_server_says_what_is_lost(
    tmp_path,
    server,
    url,
    start,
):
    home, other = tmp_path / "a", tmp_path / "b"
    process = start(home, url, "--trials", "40", "--no-final")
    wait_for(lambda: finished(tmp_path, url))
    for join in ([], ["--join"]):
        refused = start(other, url, "--trials", "40", "--no-final", *join)
        assert refused.wait(120) == 75
        assert f"process {process.pid} on " in said(other)
    server.stop()
    try:
        wait_for(lambda: "does not answer" in said(home))
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130
        assert re.search(r"Stopped while the storage does not answer\. .*(written|run again|lost)", said(home))
        assert start(other, url, "--trials", "40").wait(120) == 2  # nothing answers there
        assert "--storage postgresql" in said(other)
    finally:
        server.start()
    settings = start(other, url, "--trials", "40", "--join", "--seed", "9", "--sampler", "random")
    assert settings.wait(120) == 2
    assert re.search(r"sampler +tpe +random", said(other)) and re.search(r"seed +0 +9", said(other))
    assert "Traceback" not in said(home) + said(other)
    assert PASSWORD not in said(home) + said(other)


@pytest.mark.slow
@pytest.mark.parametrize("homes", [("a", "a"), ("a", "b")])
def test_two_processes_share_a_study_in_one_sqlite_file(tmp_path, start, homes):
    """In one home, and in two that name one file."""
    file = tmp_path / "a" / "bench.db"
    logs = [tmp_path / homes[0], tmp_path / homes[1]]
    processes = []
    for home in logs:
        home.mkdir(exist_ok=True)
        processes.append(start(home, f"sqlite:///{file}", "--trials", "4", "--join"))
    assert [process.wait(400) for process in processes] == [0, 0], [said(home) for home in logs]
    trials = stored(tmp_path, f"sqlite:///{file}")
    assert [(trial.number, trial.state != "running") for trial in trials] == [(number, True) for number in range(4)]
    assert all(trial.attempts == 1 for trial in trials)
    show = [*BENCH, "show", "mlp", "--dataset", "digits", "--timing", "--json", "--home", str(logs[0])]
    show += ["--storage", f"sqlite:///{file}"]
    timing = json.loads(subprocess.run(show, capture_output=True, text=True, check=True).stdout)["timing"]
    assert timing["workers"] == 2
    assert timing["worker_seconds"] == pytest.approx(sum(timing["phases"].values()))
    assert timing["worker_seconds"] <= 2 * timing["wall_seconds"] + 1
    assert len(list(tmp_path.glob("*/results/**/result.json"))) == 1


def test_a_typed_password_is_warned_of(tmp_path):
    command = [*BENCH, "studies", "--home", str(tmp_path), "--storage", f"postgresql://u:{PASSWORD}@127.0.0.1:1/x"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "$BENCH_STORAGE" in run.stderr and PASSWORD not in run.stderr
    silent = {**os.environ, "BENCH_STORAGE": command[-1]}
    run = subprocess.run(command[:-2], capture_output=True, text=True, env=silent)
    assert run.returncode == 2
    assert "$BENCH_STORAGE" not in run.stderr and PASSWORD not in run.stderr
