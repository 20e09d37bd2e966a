"""Faults of real worker processes become records with a reason, and the search goes on."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from bench.engines.local import LocalDriver
from bench.engines.plan import Plan
from bench.errors import SealError
from bench.records import Finished, Paused, Reported, Started, WorkerChanged
from bench.workers.messages import Done, Job, Size, Sized
from bench.workers.pool import Place, Pool

pytestmark = pytest.mark.slow  # every test here starts workers of its own


class Script:
    """A proposer that gives what it was given, and a stopper that never stops."""

    def __init__(self, *configs):
        self.configs = configs

    def resume(self, trials):
        pass

    def state_with(self, number):
        return {}

    def ask(self, number):
        return self.configs[number]

    def tell(self, trial):
        pass

    def marks(self, number):
        return None

    def judge(self, number, samples, val_accuracy):
        return "go"

    def dropped(self):
        return ()


def drive(
    digits, faulty, tmp_path, *faults, epochs=1, workers=1, forbidden=(), during=lambda event, pool: None, **plan
):
    """Run one trial a fault; returns the finished trials by number, and all events."""
    events = []
    configs = [{"fault": fault, "epochs": epochs} for fault in faults]
    with Pool([Place(1)] * workers, digits.folder, list(forbidden), tmp_path / "logs") as pool:

        def hear(event):
            events.append(event)
            during(event, pool)

        settings = {"target": len(configs), **plan}
        stop = settings.pop("stop", lambda: False)
        driver_plan = Plan(faulty, 0, "float32", digits.n_train, **settings)
        LocalDriver(driver_plan, Script(*configs), Script(), pool, hear, stop).run([])
    return {e.trial.number: e.trial for e in events if isinstance(e, Finished)}, events


def test_every_fault_has_its_reason_and_the_search_goes_on(digits, faulty, tmp_path):
    faults = ["none", "exit", "abort", "kill", "memory", "raise", "nan", "none", "tell"]
    trials, events = drive(digits, faulty, tmp_path, *faults, workers=2)
    assert [trials[n].state for n in range(8)] == ["complete", *["failed"] * 6, "complete"]
    reasons = [trials[n].reason for n in range(8)]
    assert reasons == [None, "crashed", "crashed", "killed", "out of memory", "error", "diverged", None]
    assert [trials[n].attempts for n in (1, 2, 3, 5)] == [2, 2, 2, 1]
    first, second = [event for event in events if isinstance(event, Started) and event.number == 1]
    assert (first.seed, first.params) == (second.seed, second.params)
    assert "a bug in build" in trials[5].detail
    # A family's garbage is collected, and the framework left alone.
    assert re.search("garbage is collected: True, but of [0-9]{6,} objects", trials[8].detail)
    assert all(trials[n].val_accuracy is None for n in range(1, 7))
    for trial in (trials[n] for n in range(8)):
        judged = sum(images for _, _, images in trial.confusion or ())
        assert judged == (digits.n_validation if trial.state == "complete" else 0)


@pytest.mark.parametrize(("what", "how"), [("test set", "open"), ("results", "try"), ("source", "try")])
def test_a_worker_that_opens_what_is_sealed_fails_loudly(digits, faulty, tmp_path, what, how):
    """Also where the family catches the error."""
    source = tmp_path / "source.npz"
    source.write_bytes(digits.train_path.read_bytes())
    result = tmp_path / "results" / "digits" / "predictions.npz"
    result.parent.mkdir(parents=True)
    result.write_bytes(digits.train_path.read_bytes())
    path = {"test set": digits.test_path, "results": result, "source": source}[what]
    forbidden = [digits.test_path, tmp_path / "results", source]
    seen = []
    faults = f"{how}:{path}", "none"
    with pytest.raises(SealError, match=f"tried to open {path}"):
        drive(digits, faulty, tmp_path, *faults, forbidden=forbidden, during=lambda e, _: seen.append(e))
    (finished,) = [event.trial for event in seen if isinstance(event, Finished)]
    assert (finished.state, finished.reason) == ("failed", "broke the seal")


def test_a_trial_that_takes_too_long_has_timed_out(digits, faulty, tmp_path):
    trials, _ = drive(digits, faulty, tmp_path, "none", epochs=100_000, trial_seconds=10.0)
    assert (trials[0].state, trials[0].reason) == ("failed", "timed out")
    assert trials[0].samples > 0


def test_a_worker_that_does_not_hear_a_time_out_is_replaced(digits, faulty, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.engines.local.GRACE_SECONDS", 1.0)
    trials, events = drive(digits, faulty, tmp_path, "hang", "none", trial_seconds=15.0)
    assert (trials[0].state, trials[0].reason) == ("failed", "timed out")
    assert trials[1].state == "complete"
    assert any(isinstance(event, WorkerChanged) and event.state == "lost" for event in events)


def test_a_worker_that_is_stopped_by_a_signal_is_replaced_and_its_trial_run_again(
    digits, faulty, tmp_path, monkeypatch
):
    monkeypatch.setattr("bench.workers.pool.STOPPED_SECONDS", 1.0)
    stopped = []

    def stop(event, pool):
        if isinstance(event, Reported) and not stopped:
            stopped.append(psutil.Process(pool._workers[event.worker].process.pid))
            stopped[0].suspend()

    trials, events = drive(digits, faulty, tmp_path, "none", epochs=40, during=stop)
    assert (trials[0].state, trials[0].attempts) == ("complete", 2)
    (lost,) = [event for event in events if isinstance(event, WorkerChanged) and event.state == "lost"]
    assert f"process {stopped[0].pid}) was stopped by a signal" in lost.detail
    assert not stopped[0].is_running()


def test_a_worker_that_hangs_is_replaced_and_named(digits, faulty, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.workers.pool.STOPPED_SECONDS", 1.0)
    monkeypatch.setattr("bench.workers.pool.SILENT_SECONDS", 3.0)
    trials, _ = drive(digits, faulty, tmp_path, "hang", "none")
    assert (trials[0].state, trials[0].reason, trials[0].attempts) == ("failed", "hung", 2)
    assert "said and computed nothing for 3 s" in trials[0].detail
    assert trials[1].state == "complete"


def test_what_a_family_started_ends_with_the_pool(digits, faulty, tmp_path):
    trials, _ = drive(digits, faulty, tmp_path, f"spawn:{tmp_path / 'pid'}")
    assert trials[0].state == "complete"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_worker_that_dies_and_leaves_a_fork_behind_is_found_dead(digits, faulty, tmp_path, monkeypatch):
    """The fork holds the other end of the pipe, which so does not close."""
    monkeypatch.setattr("bench.workers.pool.STOPPED_SECONDS", 1.0)
    trials, _ = drive(digits, faulty, tmp_path, f"fork:{tmp_path / 'pid'}", "none")
    assert (trials[0].state, trials[0].reason, trials[0].attempts) == ("failed", "crashed", 2)
    assert trials[1].state == "complete"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_worker_killed_from_outside_loses_its_trial_once(digits, faulty, tmp_path):
    killed = []

    def kill(event, pool):
        if isinstance(event, Reported) and not killed:
            killed.append(pool._workers[event.worker].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    trials, _ = drive(digits, faulty, tmp_path, "none", epochs=40, during=kill)
    assert (trials[0].state, trials[0].attempts) == ("complete", 2)


def test_a_stop_pauses_what_runs_within_seconds(digits, faulty, tmp_path):
    asked = []

    def ask(event, pool):
        if isinstance(event, Reported):
            asked.append(time.monotonic())

    trials, events = drive(digits, faulty, tmp_path, "none", epochs=100_000, during=ask, stop=lambda: bool(asked))
    assert trials == {}
    assert isinstance(events[-1], Paused)
    assert time.monotonic() - asked[0] < 10


def test_workers_ignore_ctrl_c_and_end_with_their_parent(digits, faulty, tmp_path):
    code = f"""
        import sys, time
        from pathlib import Path
        from bench.workers.pool import Place, Pool
        pool = Pool([Place(1)] * 2, Path({str(digits.folder)!r}), [], Path({str(tmp_path / "logs")!r}))
        while len(pool.idle) < 2:
            pool.poll(1.0)
        print(*[worker.process.pid for worker in pool._workers], flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert all(worker.is_running() for worker in workers)
    workers[0].suspend()  # even one that can do nothing for itself
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


def test_workers_that_cannot_start_end_the_search_with_the_log(faulty, tmp_path):
    from bench.errors import BenchError

    with (
        pytest.raises(BenchError, match=r"3 workers in a row ended before they were ready.*worker-0\.log"),
        Pool([Place(1)], tmp_path / "no data here", [], tmp_path / "logs") as pool,
    ):
        while True:
            pool.poll(1.0)


def test_the_time_between_two_searches_is_no_wait_of_the_second(digits, faulty, tmp_path):
    """Families that are searched one after the other share a pool; meanwhile the first one has its final."""
    other = tmp_path / "other.py"
    other.write_text(faulty.read_text().replace('"faulty"', '"other"'))

    def waited(pool, *families):
        for worker, family in enumerate(families):
            config = {"fault": "none", "epochs": 1}
            pool.submit(worker, Job(0, family, config, 1, "float32"))
        done = {}
        while len(done) < len(families):
            done |= {worker: said.seconds.wait for worker, said in pool.poll(1.0) if isinstance(said, Done)}
        return [done[worker] for worker in range(len(families))]

    with Pool([Place(1)] * 2, digits.folder, [], tmp_path / "logs") as pool:
        while len(pool.idle) < 2:
            pool.poll(1.0)
        assert waited(pool, faulty, faulty) == [0.0, 0.0]
        time.sleep(1.0)
        assert min(waited(pool, faulty, faulty)) > 0.9, "for the next trial of the same search"
        time.sleep(1.0)
        assert waited(pool, other, other) == [0.0, 0.0]
        pool.send(0, Size(other, ({"fault": "none", "epochs": 1},), "float32"))
        while not any(isinstance(said, Sized) for _, said in pool.poll(1.0)):
            pass
        time.sleep(1.0)
        first, second = waited(pool, other, other)
        assert first == 0.0 and second > 0.9
