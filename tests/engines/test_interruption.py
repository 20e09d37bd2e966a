"""Retrainings that do not come out even among workers: some are left and gone on with, and end as if they were not."""

from pathlib import Path

import numpy as np
import pytest

from bench.engines.fixed import Run, run_all
from bench.engines.interruption import first_shares
from bench.errors import BenchError
from bench.family import load
from bench.records import Phases, Shelved, Started
from bench.workers.messages import Done, Lost
from bench.workers.pool import Place, Pool

SAMPLES = 60_000


class Clock:
    """A pool whose workers train at the same speed, in no time; a run is one long."""

    def __init__(self, workers, pauses=True, lose_at=(), forgets=False):
        self.now, self.sent = 0.0, []
        self._workers, self._pauses, self._lose_at, self._forgets = workers, pauses, lose_at, forgets
        self._busy, self._saved = {}, {}

    def __len__(self):
        return self._workers

    @property
    def idle(self):
        return [worker for worker in range(self._workers) if worker not in self._busy]

    def submit(self, worker, job):
        self.sent.append(job)
        since = self._saved[job.number] if job.resume and not self._forgets else 0
        verdict, end = ("paused", job.pause_at) if self._pauses and job.pause_at else ("complete", SAMPLES)
        length = (end - since) / SAMPLES
        losses = ((since + 1, 0.5), (end, 0.5))
        done = Done(job.number, verdict, None, end, Phases(train=length), 7, 0, losses=losses, since=since)
        lost = Lost("killed", "gone") if len(self.sent) in self._lose_at else None
        self._busy[worker] = (self.now + length, lost or done)

    def poll(self, _):
        self.now = min(end for end, _ in self._busy.values())
        over = [(worker, message) for worker, (end, message) in self._busy.items() if end - self.now < 1e-6]
        for worker, message in over:
            del self._busy[worker]
            if isinstance(message, Done):
                self._saved[message.number] = message.samples
        return over


def retrainings(count, folder=Path("work"), params=None, retrain=True):
    return [Run(params or {}, seed, seed, SAMPLES, retrain, folder / f"seed-{seed}.keras") for seed in range(count)]


@pytest.mark.parametrize("workers", range(1, 7))
@pytest.mark.parametrize("runs", range(1, 12))
def test_all_workers_are_done_together(runs, workers):
    pool, events = Clock(workers), []
    done = run_all(retrainings(runs), None, "float32", pool, events.append)
    assert pool.now == pytest.approx(max(1.0, runs / workers), abs=1e-3)
    assert [trial.number for trial in done] == list(range(runs))
    for trial in done:
        assert trial.seconds.train == pytest.approx(1.0)
        assert trial.samples == SAMPLES == trial.curve[-1][0]
        assert len(trial.curve) == 2 * sum(job.number == trial.number for job in pool.sent)
    left = sum(share < 1 for share in first_shares(runs, workers))
    assert sum(isinstance(event, Shelved) for event in events) == left <= workers - 1
    assert sum(isinstance(event, Started) for event in events) == runs + left


def test_a_run_that_its_worker_does_not_leave_is_over_when_it_ends():
    pool = Clock(2, pauses=False)
    done = run_all(retrainings(5), None, "float32", pool, lambda event: None)
    assert len(done) == len(pool.sent) == 5
    assert pool.now == pytest.approx(3.0)


def test_what_is_not_retrained_is_not_left():
    pool = Clock(2)
    run_all(retrainings(5, retrain=False), None, "float32", pool, lambda event: None)
    assert not any(job.pause_at for job in pool.sent)


@pytest.mark.parametrize(("lose_at", "resumes"), [(1, [False, False, True]), (6, [False, True, True])])
def test_a_lost_part_is_trained_again_and_no_more(lose_at, resumes):
    pool = Clock(2, lose_at=(lose_at,))
    done = run_all(retrainings(5), None, "float32", pool, lambda event: None)
    assert [job.resume for job in pool.sent if job.number == 2] == resumes
    assert [trial.seconds.train for trial in done] == pytest.approx([1.0] * 5)


def test_a_run_that_is_lost_in_both_of_its_parts_ends_the_final():
    with pytest.raises(BenchError, match="Seed 2 was lost twice"):
        run_all(retrainings(5), None, "float32", Clock(2, lose_at=(1, 7)), lambda event: None)


def test_a_run_whose_state_does_not_read_back_is_trained_again_and_counts_once():
    done = run_all(retrainings(5), None, "float32", Clock(2, forgets=True), lambda event: None)
    assert [trial.seconds.train for trial in done] == [1.0] * 5
    assert [len(trial.curve) for trial in done] == [2] * 5


class Deaf(Clock):
    """Its workers hear nothing, and come to no end by themselves."""

    def __init__(self):
        super().__init__(2)
        self.killed = []

    def send(self, worker, message):
        pass

    def kill(self, worker):
        self.killed.append(worker)

    def poll(self, _):
        return [(worker, Lost("killed", "gone")) for worker in self.killed]


def test_a_stop_does_not_wait_for_ever_for_who_does_not_hear_it(monkeypatch):
    monkeypatch.setattr("bench.engines.fixed.GRACE_SECONDS", 0.0)
    pool, asked = Deaf(), iter([False, True])
    assert run_all(retrainings(2), None, "float32", pool, lambda event: None, lambda: next(asked)) is None
    assert set(pool.killed) == {0, 1}


PATIENT = '''"""Of however few seconds of training a pause is made, where this family is built."""
import bench.workers.training
from bench.family import load

bench.workers.training.PAUSE_SECONDS = 0.0
FAMILY = load("mlp_dropout")
'''


@pytest.mark.slow
def test_a_retraining_that_was_left_ends_with_the_weights_of_one_that_was_not(digits, tmp_path):
    import keras

    own, weights, curves = tmp_path / "mlp_dropout.py", {}, {}
    own.write_text(PATIENT)
    params = {**load("mlp_dropout").reference, "epochs": 20, "depth": 2, "width": 512, "dropout": 0.2}
    for workers in (1, 2):
        folder, events = tmp_path / f"by-{workers}", []
        runs = [
            Run(run.params, run.seed, run.number, 20 * digits.n_train, True, run.save_to)
            for run in retrainings(3, folder, params)
        ]
        with Pool([Place(1)] * workers, digits.folder, [], tmp_path / "logs") as pool:
            done = run_all(runs, own, "float32", pool, events.append)
        assert [event.number for event in events if isinstance(event, Shelved)] == ([1] if workers == 2 else [])
        assert sorted(path.name for path in folder.iterdir()) == [f"seed-{seed}.keras" for seed in range(3)]
        models = [keras.models.load_model(run.save_to, compile=False) for run in runs]
        weights[workers] = [model.get_weights() for model in models]
        curves[workers] = [trial.curve[-1] for trial in done]
    for alone, beside in zip(*weights.values(), strict=True):
        for one, other in zip(alone, beside, strict=True):
            np.testing.assert_array_equal(one, other)
    assert [samples for samples, _ in curves[1]] == [samples for samples, _ in curves[2]]
