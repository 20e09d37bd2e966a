"""What a worker keeps of a run, without any training."""

import errno
import math
import queue
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.workers.messages import Decide, Job
from bench.workers.process import Worker
from bench.workers.training import Training


def test_losses_of_a_run_that_diverged_beside_others_are_not_kept():
    """Records are JSON, which has no such numbers; the others go on, and so does it."""
    worker = SimpleNamespace(stop_asked=False, send=lambda message: None)
    run = Training(worker, Job(0, Path(), {}, 0, "float32"), 0.0)
    for samples, loss in ((10, 0.5), (20, math.nan), (30, math.inf)):
        run._progress(samples, loss)
    assert run.done("complete").losses == ((10, 0.5),)


class Told(queue.Queue):
    """What came through the pipe while nobody looked, the listener's note of a stop among it."""

    def get(self, *_, **__):
        if self.empty():
            raise EOFError
        return super().get()


@pytest.mark.parametrize(("before", "stopped"), [(True, False), (False, True)])
def test_a_stop_holds_for_the_job_that_it_came_after_and_for_no_later_one(before, stopped):
    """Confirmations have the numbers of trials: a late stop of a trial must not stop its confirmation."""
    worker, seen, job, stop = Worker.__new__(Worker), [], Job(7, Path(), {}, 0, "float32"), Decide(7, "stop")
    worker._inbox, worker._stop, worker._idle = Told(), stop, None
    for message in (stop, job) if before else (job, stop):
        worker._inbox.put(message)
    worker._run = lambda message, waited: seen.append(worker.stop_asked)
    worker.send = lambda done: None
    with pytest.raises(EOFError):
        worker.serve()
    assert seen == [stopped] and worker._stop is None


def test_a_run_that_waits_for_room_is_no_silent_one(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.disk.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("bench.workers.training.PROGRESS_SECONDS", 0.0)
    said, tries = [], iter([True, True, False])
    run = Training(SimpleNamespace(stop_asked=False, send=said.append), Job(0, Path(), {}, 0, "float32"), 0.0)
    run._progress(10, 0.5)

    def save(path):
        if next(tries):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")

    run._save(save, tmp_path / "state.npz")
    assert [progress.samples for progress in said] == [10, 10, 10]
