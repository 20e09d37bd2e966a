"""A worker: `python -m bench.workers.process FD`. Warm, and gone as soon as its parent is.

The main thread trains. A second thread reads the pipe: it hears a stop during a graph call, and it ends the process
when the pipe closes, so that no orphan is left whatever killed the parent.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data import guard
from bench.disk import patiently
from bench.errors import FrozenStudy, InputError, Interrupted, RecordError, SealError
from bench.family import in_a_line, line_of
from bench.records import Phases
from bench.workers.messages import (
    AtRung,
    Decide,
    Done,
    FromWorker,
    Job,
    Probe,
    Probed,
    Progress,
    Ready,
    Save,
    Saved,
    Setup,
    Size,
    Sized,
)
from bench.workers.stop import SIGNALS, end_with_parent

if TYPE_CHECKING:
    from bench.carried import Carried
    from bench.training.interface import Data, Trainer

PROGRESS_SECONDS = 0.5


def main() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    end_with_parent()
    pipe = Connection(int(sys.argv[1]))
    Worker(pipe, pipe.recv()).serve()


class Worker:
    def __init__(self, pipe: Connection, setup: Setup) -> None:
        self._pipe = pipe
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._stop: Decide | None = None
        self._families: dict[Any, Any] = {}
        self._data_sets: dict[bool, Data] = {}  # by retrain
        self._idle: tuple[Carried, float] | None = None  # after a run of this family, since then
        began = time.perf_counter()
        threading.Thread(target=self._listen, daemon=True).start()
        device = _start_framework(setup)
        # After the framework, whose thousands of files need no watching, and before any family's code.
        guard.forbid(setup.forbidden)
        from bench.data.arrays import open_arrays
        from bench.data.sealed import Sealed

        self._arrays = open_arrays(Sealed.load(setup.folder))
        gc.freeze()  # the framework's objects stay; without them a collection after a run takes no time
        self._send(Ready(device, time.perf_counter() - began, _rss()))

    def _send(self, message: FromWorker) -> None:
        self._pipe.send(message)

    def _listen(self) -> None:
        try:
            while True:
                message = self._pipe.recv()
                if isinstance(message, Decide) and message.verdict == "stop":
                    self._stop = message
                self._inbox.put(message)
        except (EOFError, OSError):
            os._exit(0)

    def serve(self) -> None:
        while True:
            message = self._inbox.get()
            if isinstance(message, (Probe, Size)):
                self._idle = None  # between two searches nobody waits for a trial
            if isinstance(message, Probe):
                from bench.training.precision import measure

                self._send(Probed(*measure()))
            elif isinstance(message, Size):
                self._send(self._size(message))
            elif isinstance(message, Job):
                self._stop = None
                self._send(self._run(message, self._waited(message)))
                gc.collect()  # a model is full of cycles
                self._idle = message.family, time.perf_counter()

    def _waited(self, job: Job) -> float:
        """Seconds since the last run of the same family; the final of another one was no wait of this."""
        if self._idle is None or self._idle[0] != job.family:
            return 0.0
        return time.perf_counter() - self._idle[1]

    def _size(self, asked: Size) -> Sized:
        from bench.training.tensorflow import count_parameters

        found, problem = [], None
        try:
            for config in asked.configs:
                image_shape = self._arrays.train[0].shape[1:]
                found.append(count_parameters(self._family(asked.family), config, image_shape, self._arrays.classes))
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            problem = _told(error, asked.family)
        refused = guard.refusal()
        return Sized(tuple(found), str(refused) if refused else problem)

    def _data(self, job: Job) -> Data:
        from bench.training.interface import Data

        if job.retrain not in self._data_sets:
            (x, y), (val_x, val_y) = self._arrays.train, self._arrays.validation
            if job.retrain:
                (x, y), val_x, val_y = self._arrays.both, val_x[:0], val_y[:0]
            self._data_sets[job.retrain] = Data(x, y, val_x, val_y, self._arrays.classes)
        return self._data_sets[job.retrain]

    def _run(self, job: Job, waited: float) -> Done:
        run = _Run(self, job, waited)
        done = self._train(run, job)
        refused = guard.refusal()  # a family may have caught the error itself
        return done if refused is None else run.done("failed", reason="broke the seal", detail=str(refused))

    def _train(self, run: _Run, job: Job) -> Done:
        from bench.training.interface import Diverged, Stopped

        try:
            return run.train(self._data(job), self._family(job.family, job.code))
        except FrozenStudy as error:
            return run.done("stopped", detail=str(error))
        except (Stopped, Interrupted):
            reason = self._stop.reason if self._stop else None
            return run.done("failed" if reason else "stopped", reason=reason)
        except Diverged as error:
            return run.done("failed", reason="diverged", detail=str(error))
        except SealError as error:
            return run.done("failed", reason="broke the seal", detail=str(error))
        except MemoryError as error:
            return run.done("failed", reason="out of memory", detail=str(error))
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            if "ResourceExhausted" in type(error).__name__ or "OOM when allocating" in str(error):
                return run.done("failed", reason="out of memory", detail=in_a_line(error))
            return run.done("failed", reason="error", detail=_told(error, job.family))

    def _family(self, carried: Carried, code: str | None = None) -> Any:
        from bench.carried import unpack

        if carried not in self._families:
            self._families[carried] = unpack(carried)
        family = self._families[carried]
        if code is not None and family.code != code:
            del self._families[carried]
            raise FrozenStudy(f"{carried} changed while it was searched; what was finished is saved.")
        return family

    def decision(self, number: int, trainer: Trainer) -> Decide:
        """Block until the parent says how trial `number` goes on; meanwhile it may have its state saved."""
        while True:
            message = self._inbox.get()
            if isinstance(message, Save) and message.number == number:
                trainer.save_state(message.path)
                self._send(Saved(number))
            if isinstance(message, Decide) and message.number == number:
                return message

    @property
    def stop_asked(self) -> bool:
        return self._stop is not None


class _Run:
    """The state of one job, so that a failure at any point still reports what was reached."""

    def __init__(self, worker: Worker, job: Job, waited: float) -> None:
        self._worker, self._job, self._wait = worker, job, waited
        self._trainer: Trainer | None = None
        self._val_accuracy: float | None = None
        self._losses: list[tuple[int, float]] = []
        self._said = 0.0
        self._since = 0  # samples

    def train(self, data: Data, family: Any) -> Done:
        from bench.training.budget import judged_on
        from bench.training.interface import Stopped
        from bench.training.tensorflow import make_trainer

        job = self._job
        self._trainer = trainer = make_trainer(family, job.config, data, job.seed, job.precision)
        if job.retrain:
            return self._retrain(trainer)
        if job.resume:
            self._load(trainer)
        for rung in job.rungs:
            trainer.advance(rung, self._progress)
            self._val_accuracy = trainer.val_accuracy(judged_on(rung, len(data.x), len(data.val_x)))
            asked = time.perf_counter()
            so_far = self.done("pruned") if job.tell_so_far else None
            self._worker._send(AtRung(job.number, rung, self._val_accuracy, so_far))
            verdict = self._worker.decision(job.number, trainer).verdict
            self._wait += time.perf_counter() - asked
            if verdict == "stop":
                raise Stopped
            if verdict == "prune":
                return self.done("pruned")
            if verdict == "pause":
                self._save(trainer.save_state, job.state)
                return self.done("paused")
        trainer.advance(trainer.total_samples, self._progress)
        self._val_accuracy = trainer.val_accuracy()
        return self.done("complete")

    def _retrain(self, trainer: Trainer) -> Done:
        """Train to the end and save. A diverged seed is saved as it is: it counts as it scores, and none is dropped."""
        from bench.training.interface import Diverged

        detail = None
        try:
            trainer.advance(trainer.total_samples, self._progress)
        except Diverged as error:
            detail = f"diverged: {error}"
        self._save(trainer.save, self._job.save_to)
        return self.done("complete", detail=detail)

    def _save(self, save: Callable[[Path], None], path: Path | None) -> None:
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        patiently(path.parent, print, lambda: save(path), lambda: self._worker.stop_asked)

    def _load(self, trainer: Trainer) -> None:
        assert self._job.state is not None
        try:
            trainer.load_state(self._job.state)
            self._since = trainer.samples
        except RecordError as error:
            print(f"{error} Trial {self._job.number} is run again from its start.", flush=True)

    def _progress(self, samples: int, loss: float) -> None:
        from bench.training.interface import Stopped

        if self._worker.stop_asked:
            raise Stopped
        self._losses.append((samples, loss))
        now = time.monotonic()
        if now - self._said > PROGRESS_SECONDS:
            self._said = now
            self._worker._send(Progress(self._job.number, samples, loss))

    def done(self, verdict: Any, reason: Any = None, detail: str | None = None) -> Done:
        trainer = self._trainer
        seconds = Phases(wait=self._wait)
        if trainer is not None:
            seconds = replace(
                seconds,
                build=trainer.build_seconds,
                trace=trainer.trace_seconds,
                train=trainer.train_seconds,
                eval=trainer.eval_seconds,
            )
        return Done(
            self._job.number,
            verdict,
            None if verdict == "failed" else self._val_accuracy,
            trainer.samples if trainer else 0,
            seconds,
            trainer.parameters if trainer else None,
            _rss(),
            reason,
            detail,
            tuple(self._losses),
            trainer.confusion() if trainer and verdict != "failed" else None,
            self._since,
        )


def _start_framework(setup: Setup) -> str:
    """Import TensorFlow with its threads and device set; returns the device's name."""
    from bench.training.imports import only_what_is_needed

    with only_what_is_needed():
        import keras  # noqa: F401
        import tensorflow as tf
    tf.config.threading.set_intra_op_parallelism_threads(setup.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU") if setup.gpu is not None else []
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))
    return "CPU"


def _rss() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _told(error: BaseException, family: Carried) -> str:
    """What went wrong; where it was an exception, and not a rule of ours, with the line of the family's file."""
    if isinstance(error, InputError) or not isinstance(family, Path):
        return in_a_line(error)
    return f"{in_a_line(error)} ({line_of(error, family)})"


if __name__ == "__main__":
    main()
