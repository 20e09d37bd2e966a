"""The local driver: asks, trains on the warm pool, judges at rungs, tells; and turns every fault into a record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.engines.company import Alone, Company
from bench.engines.interface import Continue, Exhausted, Proposer, Stopper, seed_of
from bench.engines.plan import Plan
from bench.engines.running import Running, given_up
from bench.errors import FrozenStudy, NoTrialSucceeded, SealError
from bench.records import Event, Finished, Paused, Progressed, Reported, Shelved, Started, Trial
from bench.records import WorkerChanged as Changed
from bench.space import Config
from bench.training.budget import rungs
from bench.workers.messages import AtRung, Decide, Done, FromWorker, Job, Lost, Progress, Ready
from bench.workers.pool import Pool

ATTEMPTS = 2  # a crash is tried once more
FUTILE = 5  # trials that fail in `build`, with nothing else before them, end a search
GRACE_SECONDS = 10.0  # how long a worker may take to hear a stop; no graph call lasts more than 5 s


class LocalDriver:
    """Runs one study on one pool.

    Args:
        stop_asked: polled between messages; true pauses what runs and returns.
        emit: gets every event, in order; a trial is acknowledged when `emit(Finished)` has returned.
        company: who else works on the study; None for nobody.
    """

    def __init__(
        self,
        plan: Plan,
        proposer: Proposer,
        stopper: Stopper,
        pool: Pool,
        emit: Callable[[Event], None],
        stop_asked: Callable[[], bool] = lambda: False,
        company: Company | None = None,
    ) -> None:
        self._plan, self._proposer, self._stopper = plan, proposer, stopper
        self._pool, self._emit, self._stop_asked = pool, emit, stop_asked
        self._running: dict[int, Running] = {}  # by worker
        self._again: list[Trial] = []
        self._shelved: dict[int, Trial] = {}
        self._company = company
        self._over: set[int] = set()
        self._went_on: dict[tuple[int, int], bool] = {}  # (trial, rung) -> what the stopper said or was told
        self._exhausted = self._pausing = False
        self._broken: BaseException | None = None  # what ends the search
        self._alike: list[str] | None = []  # errors of `build`, while there is nothing else
        self._began = time.monotonic()

    def run(self, stored: Sequence[Trial]) -> bool:
        """Reach the target; returns False when a stop or the time limit came first.

        Args:
            stored: the study's trials so far, in order of number. Those still running are run again.

        Raises:
            FrozenStudy: the family's file changed meanwhile.
            SealError: a trial tried to open what is sealed.
            NoTrialSucceeded: the first FUTILE trials all failed by an error of the family's code.
        """
        company = self._company = self._company or Alone(stored)
        self._take_in(stored)
        while not self._reached or self._running:  # others that joined may reach it while a trial runs here
            self._look_around(company, len(self._pool.idle))
            if self._stopped:
                ended = self._pause()  # of a finite space what was cut off is still to be tried
                return len(self._over) >= self._plan.target or (ended and self._reached)
            for worker in self._pool.idle:
                job = self._next_job(worker)
                if job is not None:
                    self._pool.submit(worker, job)
            for number in self._stopper.dropped():
                self._finish(replace(self._shelved.pop(number), state="pruned"))
            for worker, message in self._pool.poll(0.2):
                self._hear(worker, message)
            self._watch()
            if self._broken:
                self._pause()
                raise self._broken
        return True

    def _look_around(self, company: Company, idle: int) -> None:
        """See what others did, and take what was left."""
        news = company.news()
        if news is not None:
            self._take_in(news)
        for trial in company.left(min(idle, self._places) - len(self._again)):
            if trial.paused:
                self._shelved[trial.number] = trial
            elif trial.attempts >= ATTEMPTS:
                self._finish(given_up(trial, "killed", f"its process ended {trial.attempts} times"))
            else:
                self._again.append(trial)

    def _take_in(self, trials: Sequence[Trial]) -> None:
        """Learn from the study as it stands in the storage: at the beginning, and when others went on with it."""
        self._proposer.resume(trials)
        for trial in trials:
            for samples, val_accuracy in trial.rungs:
                rung, went_on = (trial.number, samples), trial.went_on(samples)
                # What another process has not yet decided counts as yes, and is told again if it was no.
                if rung not in self._went_on or self._went_on[rung] > went_on:
                    self._went_on[rung] = went_on
                    self._stopper.recall(*rung, val_accuracy, went_on)
            if trial.state != "running" and trial.number not in self._over:
                self._stopper.tell(trial)
                self._over.add(trial.number)
                self._alike = self._alike if trial.reason == "error" else None
                self._forget(trial.number)

    @property
    def _reached(self) -> bool:
        """Whether the target is, or there is nothing left to propose and nothing that runs."""
        assert self._company is not None
        spent = self._exhausted and not self._begun and not self._again and not self._company.busy()
        return len(self._over) >= self._plan.target or spent

    @property
    def _begun(self) -> int:
        """Trials of this process that are begun and not over."""
        return len(self._running)

    @property
    def _places(self) -> int:
        """How many trials more may begin before the target is reached, if all that run come to their end."""
        return self._plan.target - len(self._over) - self._begun

    @property
    def _stopped(self) -> bool:
        late = self._plan.seconds is not None and time.monotonic() - self._began > self._plan.seconds
        return late or self._stop_asked()

    # --- giving out work

    def _next_job(self, worker: int) -> Job | None:
        """What this worker does next; None when there is nothing, or nothing yet."""
        if self._places < 1:
            return None
        assert self._company is not None
        while self._again:
            trial = self._again.pop(0)
            if trial.number in self._over or not self._company.keeps(trial.number):
                continue  # another process took it over while it waited here
            return self._begin(worker, trial.number, dict(trial.params), trial.attempts + 1)
        if self._exhausted:
            return None
        continued: list[int] = []

        def propose(number: int) -> Config | None:
            answer = self._proposer.ask(number)
            if isinstance(answer, Continue):  # an old trial, so that no number is begun
                continued.append(answer.number)
                return None
            return answer

        try:
            begun = self._company.begin(propose)
        except Exhausted:
            self._exhausted = True
            return None
        if continued:
            return self._begin(worker, continued[0], dict(self._shelved[continued[0]].params), 1)
        return self._begin(worker, *begun, 1) if begun is not None else None

    def _begin(self, worker: int, number: int, params: Config, attempts: int) -> Job:
        plan = self._plan
        seed = seed_of(plan.seed, number, "train")
        epochs = float(params.get("epochs", 1))
        before = self._shelved.pop(number, None)
        curve = [point for point in before.curve if point[0] <= before.samples] if before else []
        began = time.monotonic() - (before.seconds.total if before else 0.0)
        self._running[worker] = Running(number, params, worker, attempts, seed, began, curve, before=before)
        target, state = round(epochs * plan.train_images), self._proposer.state_with(number)
        self._announce(Started(number, params, worker, target, attempts, seed, state))
        marks = self._stopper.marks(number)
        if marks is None:
            marks = rungs(plan.train_images, epochs, plan.longest) if plan.marks is None else plan.marks
        marks = [mark for mark in marks if mark < round(epochs * plan.train_images)]  # its end is judged anyway
        return Job(
            number, plan.family, params, seed, plan.precision, tuple(marks), code=plan.code,
            state=self._state_of(number), resume=before is not None, mean_weights=plan.marks is None,
        )  # fmt: skip

    def _announce(self, event: Started) -> None:
        self._emit(event)

    def _decide(self, worker: int, decision: Decide) -> None:
        self._pool.send(worker, decision)

    # --- hearing

    def _hear(self, worker: int, message: FromWorker) -> None:
        run = self._running.get(worker)
        if isinstance(message, Ready):
            self._emit(Changed(worker, "ready", message.device))
        elif isinstance(message, Lost):
            self._emit(Changed(worker, "lost", message.detail))
            if run is not None and self._keeps(run):
                self._lost(run, message)
        elif run is None:
            return
        elif isinstance(message, (AtRung, Done)) and not self._keeps(run):
            self._decide(worker, Decide(run.number, "stop"))
        elif isinstance(message, Progress):
            self._emit(Progressed(run.number, worker, message.samples, message.loss))
        elif isinstance(message, AtRung):
            if self._pausing:
                return  # it has heard a stop in place of a verdict, and comes here again
            run.curve.append((message.samples, message.val_accuracy))
            self._emit(Reported(run.number, worker, message.samples, message.val_accuracy))
            verdict = self._stopper.judge(run.number, message.samples, message.val_accuracy)
            self._went_on[run.number, message.samples] = verdict != "prune"
            self._decide(worker, Decide(run.number, verdict))
        elif isinstance(message, Done):
            self._done(run, message)

    def _keeps(self, run: Running) -> bool:
        """Whether the run still counts; one that another process took over is forgotten here."""
        assert self._company is not None
        if self._company.keeps(run.number):
            return True
        del self._running[run.worker]
        return False

    def _done(self, run: Running, done: Done) -> None:
        del self._running[run.worker]
        if done.verdict == "stopped":
            self._emit(Paused(run.number, run.worker))
            if done.detail:
                self._broken = FrozenStudy(done.detail)
            return
        if done.reason == "broke the seal":
            # Recorded like any failure, then the search ends: a family that reads sealed data is no candidate.
            self._broken = SealError(done.detail or "")
        trial = self._record(run, done)
        if done.verdict == "paused":
            self._shelved[run.number] = trial
            self._proposer.tell(trial)
            self._emit(Shelved(run.number, run.worker, trial))
        else:
            self._finish(trial)

    def _record(self, run: Running, done: Done) -> Trial:
        return run.record(done, self._plan.train_images)

    def _lost(self, run: Running, lost: Lost) -> None:
        del self._running[run.worker]
        timed_out = run.stopping == "timed out"
        if run.attempts < ATTEMPTS and not timed_out:
            self._again.append(run.trial())
            if run.before is not None:
                self._shelved[run.number] = run.before
        else:
            self._finish(run.failed("timed out" if timed_out else lost.reason, lost.detail))

    def _finish(self, trial: Trial) -> None:
        trial = replace(trial, elapsed=round(self._plan.spent + time.monotonic() - self._began, 3))
        self._proposer.tell(trial)
        self._stopper.tell(trial)
        self._over.add(trial.number)
        self._emit(Finished(trial))
        self._forget(trial.number)
        if trial.reason != "error":
            self._alike = None
        elif self._alike is not None:
            self._alike.append(trial.detail or "error")
            if len(self._alike) >= FUTILE:
                self._broken = NoTrialSucceeded(
                    f"The first {len(self._alike)} trials failed, so the search ends: {self._alike[-1]}. "
                    "Mend the family, then search anew with --study NAME."
                )

    def _state_of(self, number: int) -> Path | None:
        return self._plan.states / f"{number}.npz" if self._plan.states else None

    def _forget(self, number: int) -> None:
        """A trial that is over needs no state."""
        state = self._state_of(number)
        if state is not None:
            state.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others wait, or there never was one
                state.parent.rmdir()

    # --- time

    def _watch(self) -> None:
        now, limit = time.monotonic(), self._plan.trial_seconds
        for run in self._running.values():
            if run.stopping is None and limit is not None and now - run.began > limit:
                run.stopping, run.kill_at = "timed out", now + GRACE_SECONDS
                self._pool.send(run.worker, Decide(run.number, "stop", "timed out"))
            if run.kill_at is not None and now > run.kill_at:
                run.kill_at = None
                self._pool.kill(run.worker)

    def _pause(self) -> bool:
        """Ask every run to stop and wait until it has, or its worker is killed; whether all came to their ends yet."""
        deadline, ended = time.monotonic() + GRACE_SECONDS, True
        self._pausing = True
        for run in self._running.values():
            self._pool.send(run.worker, Decide(run.number, "stop"))
        while self._running:
            for worker, message in self._pool.poll(0.2):
                run_now = self._running.get(worker)
                ended &= not isinstance(message, Lost) and getattr(message, "verdict", None) != "stopped"
                if isinstance(message, Lost) and run_now is not None:
                    if self._keeps(run_now):
                        del self._running[worker]
                        self._emit(Paused(run_now.number, worker))
                else:
                    self._hear(worker, message)
            if time.monotonic() > deadline:
                for worker in list(self._running):
                    self._pool.kill(worker)
                deadline += GRACE_SECONDS
        return ended
