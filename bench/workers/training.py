"""One job as a worker trains it: from rung to rung, to a saved model, or to whatever ended it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.disk import patiently
from bench.errors import RecordError
from bench.records import Phases
from bench.workers.messages import AtRung, Decide, Done, FromWorker, Job, Progress

if TYPE_CHECKING:
    from bench.training.interface import Data, Trainer

PROGRESS_SECONDS = 0.5
PAUSE_SECONDS = 2.0  # of training behind a pause; of less, it costs more to build and trace the model once more


class Parent(Protocol):
    """The way to whoever gave the job."""

    @property
    def stop_asked(self) -> bool: ...

    def send(self, message: FromWorker) -> None: ...

    def decision(self, number: int, save: Callable[[Path], None]) -> Decide: ...


class Training:
    """The state of one job, so that a failure at any point still reports what was reached."""

    def __init__(self, worker: Parent, job: Job, waited: float) -> None:
        self._worker, self._job, self._wait = worker, job, waited
        self._trainer: Trainer | None = None
        self._val_accuracy: float | None = None
        self._losses: list[tuple[int, float]] = []
        self._said = 0.0
        self._reached: Progress | None = None
        self._since = 0  # samples

    def train(self, data: Data, family: Any) -> Done:
        from bench.training import backend
        from bench.training.budget import judged_on
        from bench.training.interface import Stopped

        job, framework = self._job, backend.module()
        self._trainer = trainer = framework.make_trainer(family, job.config, data, job.seed, job.precision)
        if job.beside:
            return self._beside([Training(self._worker, other, 0.0) for other in job.beside], family, data)
        if job.resume:
            self._load(trainer)
        if job.retrain:
            return self._retrain(trainer)
        if job.looks:
            return self._look(trainer)
        for rung in job.rungs:
            images = judged_on(rung, len(data.x), len(data.val_x))
            if job.mean_weights:
                self._val_accuracy = trainer.advance_to_rung(rung, self._progress, images)
            else:
                trainer.advance(rung, self._progress)
                self._val_accuracy = trainer.val_accuracy(images)
            asked = time.perf_counter()
            so_far = self.done("pruned") if job.tell_so_far else None
            self._worker.send(AtRung(job.number, rung, self._val_accuracy, so_far))
            verdict = self._worker.decision(job.number, partial(self._save, trainer.save_state)).verdict
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
        from bench.training.interface import Diverged

        detail = None
        try:
            if self._job.pause_at and trainer.state_is_whole:
                trainer.advance(self._job.pause_at, self._progress)
                if trainer.train_seconds * (trainer.total_samples / self._job.pause_at - 1) > PAUSE_SECONDS:
                    self._save(trainer.save_state, self._job.state)
                    return self.done("paused")
            trainer.advance(trainer.total_samples, self._progress)
        except Diverged as error:
            detail = str(error)
        return self._retrained(trainer, detail)

    def _retrained(self, trainer: Trainer, diverged: str | None) -> Done:
        """Save. A diverged seed is saved as it is: it counts as it scores, and none is dropped."""
        self._save(trainer.save, self._job.save_to)
        return self.done("complete", detail=diverged and f"diverged: {diverged}")

    def _look(self, trainer: Trainer) -> Done:
        """Judge at every look, and save which images were right. After a divergence none is: it counts as it scores."""
        import numpy as np

        from bench.files import write_atomic
        from bench.training.answers import packed
        from bench.training.interface import Diverged

        detail, seen = None, []
        try:
            for look in self._job.looks:
                trainer.advance(look, self._progress)
                self._val_accuracy = trainer.val_accuracy()
                seen.append(trainer.correct())
        except Diverged as error:
            detail = f"diverged: {error}"
        answers = np.zeros((len(self._job.looks), trainer.validation_images), bool)
        answers[: len(seen)] = seen or False
        self._save(lambda path: write_atomic(path, lambda file: file.write(packed(answers))), self._job.save_to)
        return self.done("complete", detail=detail)

    def _beside(self, others: list[Training], family: Any, data: Data) -> Done:
        """Retrain several runs in one program where their models allow that, else one after another."""
        from bench.training import backend

        framework, runs = backend.module(), [self, *others]
        trainers: list[Any] = [self._trainer]
        for run in others:
            job = run._job
            run._trainer = framework.make_trainer(family, job.config, data, job.seed, job.precision)
            trainers.append(run._trainer)
        together = framework.together(trainers)
        if together is None:
            first, *rest = [run._retrain(trainer) for run, trainer in zip(runs, trainers, strict=True)]
            return replace(first, beside=tuple(rest))

        def progress(samples: int, losses: list[float]) -> None:
            for run, loss in zip(runs, losses, strict=True):
                run._progress(samples, loss)

        losses = together.advance(trainers[0].total_samples, progress)
        said = [None if math.isfinite(loss) else f"The loss became {loss}; lower the learning rate." for loss in losses]
        first, *rest = [run._retrained(*how) for run, *how in zip(runs, trainers, said, strict=True)]
        return replace(first, beside=tuple(rest))

    def _save(self, save: Callable[[Path], None], path: Path | None) -> None:
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)

        def stopped() -> bool:
            self._say_progress()  # whoever waits for room is silent for another reason than one that hangs
            return self._worker.stop_asked

        patiently(path.parent, partial(print, flush=True), lambda: save(path), stopped)

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
        if math.isfinite(loss):  # one of several runs side by side goes on after it diverged
            self._losses.append((samples, loss))
        self._reached = Progress(self._job.number, samples, loss)
        self._say_progress()

    def _say_progress(self) -> None:
        now = time.monotonic()
        if self._reached is not None and now - self._said > PROGRESS_SECONDS:
            self._said = now
            self._worker.send(self._reached)

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
            rss(),
            reason,
            detail,
            tuple(self._losses),
            trainer.confusion() if trainer and verdict != "failed" else None,
            self._since,
        )


def rss() -> int:
    """Resident bytes of this process."""
    import psutil

    return int(psutil.Process().memory_info().rss)
