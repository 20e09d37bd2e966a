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
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data import guard
from bench.errors import FrozenStudy, InputError, Interrupted, SealError
from bench.family import in_a_line, line_of
from bench.workers.messages import (
    Decide,
    Done,
    FromWorker,
    Job,
    Probe,
    Probed,
    Ready,
    Save,
    Saved,
    Setup,
    Size,
    Sized,
)
from bench.workers.stop import SIGNALS, end_with_parent
from bench.workers.training import Training, rss

if TYPE_CHECKING:
    from bench.carried import Carried
    from bench.training.interface import Data


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
        gc.disable()  # nothing of what is imported until it is frozen is garbage
        device = _start_framework(setup)
        # After the framework, whose thousands of files need no watching, and before any family's code.
        guard.forbid(setup.forbidden)
        from bench.data.arrays import open_arrays
        from bench.data.sealed import Sealed

        self._arrays = open_arrays(Sealed.load(setup.folder))
        gc.freeze()  # the framework's objects stay; without them a collection after a run takes no time
        gc.enable()
        self.send(Ready(device, time.perf_counter() - began, rss()))

    def send(self, message: FromWorker) -> None:
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
            if message is self._stop:
                self._stop = None  # it came after the run that it was meant for, and before the next
            if isinstance(message, (Probe, Size)):
                self._idle = None  # between two searches nobody waits for a trial
            if isinstance(message, Probe):
                from bench.training.precision import measure

                self.send(Probed(*measure()))
            elif isinstance(message, Size):
                self.send(self._size(message))
            elif isinstance(message, Job):
                done = self._run(message, self._waited(message))
                self._stop = None
                self.send(done)
                gc.collect()  # a model is full of cycles
                self._idle = message.family, time.perf_counter()

    def _waited(self, job: Job) -> float:
        """Seconds since the last run of the same family; the final of another one was no wait of this."""
        if self._idle is None or self._idle[0] != job.family:
            return 0.0
        return time.perf_counter() - self._idle[1]

    def _size(self, asked: Size) -> Sized:
        from bench.training.loop import count_parameters

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
        run = Training(self, job, waited)
        done = self._train(run, job)
        refused = guard.refusal()  # a family may have caught the error itself
        return done if refused is None else run.done("failed", reason="broke the seal", detail=str(refused))

    def _train(self, run: Training, job: Job) -> Done:
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

    def decision(self, number: int, save: Callable[[Path], None]) -> Decide:
        """Block until the parent says how trial `number` goes on; meanwhile it may have its state saved."""
        while True:
            message = self._inbox.get()
            if isinstance(message, Save) and message.number == number:
                save(message.path)
                self.send(Saved(number))
            if isinstance(message, Decide) and message.number == number:
                return message

    @property
    def stop_asked(self) -> bool:
        return self._stop is not None


def _start_framework(setup: Setup) -> str:
    """Import Keras and the framework below it, with its threads and device set; returns the device's name."""
    from bench.training import backend
    from bench.training.imports import only_what_is_needed

    with only_what_is_needed():
        return str(backend.module().start(setup.threads, setup.gpu))


def _told(error: BaseException, family: Carried) -> str:
    """What went wrong; where it was an exception, and not a rule of ours, with the line of the family's file."""
    if isinstance(error, InputError) or not isinstance(family, Path):
        return in_a_line(error)
    return f"{in_a_line(error)} ({line_of(error, family)})"


if __name__ == "__main__":
    main()
