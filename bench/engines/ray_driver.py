"""Ray Tune as driver: it places trials on a cluster and stops them early; what is asked, told and recorded is ours.

Tune's own state is thrown away with the search. Trials stand in our storage, from which the proposer resumes, and what
happens to them is put into records by the code of the local driver.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.data.sealed import Sealed
from bench.engines import cluster
from bench.engines.company import Alone, Company
from bench.engines.failures import why
from bench.engines.interface import Proposer, Verdict
from bench.engines.local import GRACE_SECONDS, LocalDriver
from bench.engines.plan import Plan
from bench.engines.population import Lineage
from bench.engines.running import Running
from bench.errors import BenchError
from bench.options import Resources
from bench.records import Event, Paused, Started, Trial
from bench.space import SearchSpace
from bench.training.budget import rungs
from bench.workers.messages import AtRung, Decide, Done, Job, Lost
from bench.workers.pool import MAX_START_FAILURES, Pool

SILENT_SECONDS = 90.0  # an actor says something every second; one that was stopped or cut off says nothing


class RayDriver(LocalDriver):
    """Runs one study as one Tune experiment.

    Args:
        space: what is searched, for population-based training.
        pool: this machine's workers, which rest meanwhile; what they may see, the actors may see.
        pruner: a name in `bench.options.RAY_PRUNERS`.
        resources: what to start or join, and how much of it to take.
        spared: the number of a trial that is never pruned, or None.
    """

    def __init__(
        self,
        plan: Plan,
        proposer: Proposer,
        pruner: str,
        space: SearchSpace,
        pool: Pool,
        emit: Callable[[Event], None],
        stop_asked: Callable[[], bool],
        resources: Resources,
        spared: int | None,
        company: Company | None = None,
    ) -> None:
        super().__init__(plan, proposer, _Undecided(), pool, emit, stop_asked, company)
        self._pruner, self._space, self._resources, self._spared = pruner, space, resources, spared
        # By Tune's id of a trial:
        self._runs: dict[str, Running] = {}
        self._paused: dict[str, Running] = {}  # those of them that wait for a scheduler's decision, without a worker
        self._so_far: dict[str, Done] = {}  # the end of a trial, if the rung where it is now is where it is pruned
        self._silent: dict[str, float] = {}  # seconds without a word, as far as this process was there to listen
        self._listened = time.monotonic()
        self._lineages: dict[int, Lineage] = {}
        self._unsaid: list[Started] = []  # trials that wait for an actor
        self._spoken: set[str] = set()
        self._actors_lost = 0  # in a row, of those that never said a word
        self._ended = False
        self._raised: BaseException | None = None  # by our own code, the storage's among it

    def run(self, stored: Sequence[Trial]) -> bool:
        company = self._company = self._company or Alone(stored)
        self._take_in(stored)
        self._look_around(company, len(stored))
        if self._reached:
            return True
        with cluster.connected(self._resources, self._pool.places) as found:
            self._workers = found.workers
            self._tune(found, stored)
        if self._raised is not None:
            raise self._raised  # whatever could not write before is not asked to write once more
        unbegun = {event.number for event in self._unsaid}
        for worker, run in sorted(self._running.items()):
            if run.number not in unbegun and company.keeps(run.number):
                self._emit(Paused(run.number, worker))
        reached = self._reached  # while what was cut off counts as begun
        self._running.clear()
        if self._broken:
            raise self._broken
        return reached

    def _tune(self, found: cluster.Cluster, stored: Sequence[Trial]) -> None:
        from ray import tune

        from bench.engines.hooks import Ends, Listener, Search
        from bench.engines.parcels import DataParcel, FilesParcel
        from bench.engines.schedulers import scheduler
        from bench.engines.station import Site, Station

        plan, pool = self._plan, self._pool
        folder: Any = pool.folder
        family: Any = plan.family
        if found.joined:
            folder = DataParcel.of(Sealed.load(pool.folder))
            family = FilesParcel.of(family) if isinstance(family, Path) else family
        mean = plan.marks is None
        job = Job(0, Path(), {}, 0, plan.precision, mean_weights=mean, code=plan.code, tell_so_far=True)
        forbidden = tuple(path.resolve() for path in pool.forbidden)
        site = Site(
            folder, family, forbidden, pool.logs.resolve(), job, pool.framework, plan.trial_seconds, GRACE_SECONDS
        )
        marks = rungs(plan.train_images, plan.longest) if plan.marks is None else plan.marks
        storage = found.scratch / "tune"
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(Station, site=site), dict(found.request)),
            tune_config=tune.TuneConfig(
                search_alg=Search(self._suggest),
                scheduler=scheduler(
                    self._pruner, marks or [plan.train_images], self._space, plan.seed, self._spared, stored, self._more
                ),
                num_samples=-1,
                max_concurrent_trials=found.workers,
                reuse_actors=True,
                trial_name_creator=_name,
                trial_dirname_creator=_name,
            ),
            run_config=tune.RunConfig(
                name="search",
                storage_path=str(storage),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[Listener(self._started, self._said, self._completed, self._errored, self._stepped)],
                stop=Ends(lambda: self._ended),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except BenchError:
            raise
        except Exception as error:
            if self._broken is None and self._raised is None:
                raise BenchError(f"Ray Tune ended the search: {str(error).strip().splitlines()[-1]}") from error

    # --- what Tune asks and says; nothing here may raise, or Tune would take it for the fault of a trial

    def _suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """A trial's configuration for Tune; None for not yet, and FINISHED when the search is over."""
        with self._guarded():
            if self._ended or self._broken is not None:
                return FINISHED  # to "not yet" Tune would listen for ten minutes, where nothing runs any more
            worker = self._free_worker()
            job = self._next_job(worker) if worker < self._workers and not self._reached else None
            if job is not None:
                self._runs[trial_id] = self._running[worker]
                self._lineages.pop(job.number, None)  # begun anew, from its start
                return {
                    "number": job.number,
                    "seed": job.seed,
                    "worker": worker,
                    "rungs": list(job.rungs),
                    "params": dict(job.config),
                }
            if self._reached:
                return FINISHED
        return None

    def _more(self) -> bool:
        return not self._exhausted and self._places > 0

    def _announce(self, event: Started) -> None:
        self._unsaid.append(event)

    def _decide(self, worker: int, decision: Decide) -> None:
        """Tune's schedulers decide, and Tune tells the actor."""

    def _begun_by(self, number: int) -> None:
        """A worker has this trial. Trials are stored in the order of their numbers: those before it are begun, too."""
        place = next((place for place, event in enumerate(self._unsaid) if event.number == number), None)
        if place is not None:
            begun, self._unsaid = self._unsaid[: place + 1], self._unsaid[place + 1 :]
            for event in begun:
                self._emit(event)

    def _free_worker(self) -> int:
        return next(worker for worker in range(len(self._running) + 1) if worker not in self._running)

    @property
    def _begun(self) -> int:
        return len(self._running) + len(self._paused)

    def _started(self, trial: Any) -> None:
        self._silent[trial.trial_id] = 0.0
        run = self._paused.pop(trial.trial_id, None)
        if run is not None:
            with self._guarded():
                self._resume(trial, run)

    def _said(self, trial: Any, result: dict[str, Any]) -> None:
        self._actors_lost = 0
        self._spoken.add(trial.trial_id)
        self._silent[trial.trial_id] = 0.0
        run = self._runs.get(trial.trial_id)
        if run is None:
            return
        with self._guarded():
            if result["begun"]:
                self._begun_by(run.number)
            for message in result.get("said", ()):
                if isinstance(message, AtRung) and message.so_far is not None:
                    self._so_far[trial.trial_id] = message.so_far
                if isinstance(message, Lost) and message.reason == "timed out":
                    run.stopping = "timed out"
                self._hear(run.worker, message)

    def _completed(self, trial: Any) -> None:
        """Tune is done with a trial: it came to its end, which has been heard, or a scheduler ended it at a rung."""
        run, so_far = self._released(trial)
        with self._guarded():
            if run is not None and so_far is not None and run is self._running.get(run.worker):
                self._hear(run.worker, so_far)

    def _errored(self, trial: Any) -> None:
        """An actor, its node, or our own code in it failed."""
        run, _ = self._released(trial)
        with self._guarded():
            lost, broken = why(trial)
            self._actors_lost += trial.trial_id not in self._spoken
            if broken is None and self._actors_lost >= MAX_START_FAILURES:
                broken = BenchError(
                    f"{self._actors_lost} Ray actors in a row ended before they said anything; the last one: "
                    f"{lost.detail}."
                )
            self._broken = self._broken or broken
            if run is not None and self._broken is None:
                self._begun_by(run.number)
                self._hear(run.worker, lost)

    def _released(self, trial: Any) -> tuple[Running | None, Done | None]:
        """What there is of a trial that Tune is done with; one that was paused is back with a worker."""
        self._silent.pop(trial.trial_id, None)
        run = self._paused.pop(trial.trial_id, None)
        if run is not None:
            run.worker = self._free_worker()
            self._running[run.worker] = run
        return self._runs.pop(trial.trial_id, None), self._so_far.pop(trial.trial_id, None)

    def _stepped(self, trials: Sequence[Any]) -> None:
        """Between two events of Tune's."""
        # A driver that was stopped itself, or waited for its storage, has not listened: that is nobody's silence.
        now = time.monotonic()
        listened, self._listened = min(now - self._listened, 1.0), now
        with self._guarded():
            self._ended = self._ended or self._stopped or self._broken is not None
            for trial in trials:
                if trial.status == "PAUSED" and trial.trial_id in self._runs and trial.trial_id not in self._paused:
                    self._pause_one(trial)
                actor = trial.temporary_state.ray_actor
                if actor is not None and trial.trial_id in self._silent:
                    self._silent[trial.trial_id] += listened
                    if self._silent[trial.trial_id] > SILENT_SECONDS:
                        import ray

                        ray.kill(actor)
                        del self._silent[trial.trial_id]

    def _lost(self, run: Running, lost: Lost) -> None:
        run.before = None  # what Tune had saved of it is gone with Tune's own trial: it begins anew
        super()._lost(run, lost)

    # --- pauses of a scheduler, which gives a trial's worker to another one for a while

    def _pause_one(self, trial: Any) -> None:
        run = self._runs[trial.trial_id]
        self._silent.pop(trial.trial_id, None)
        self._paused[trial.trial_id] = run
        del self._running[run.worker]
        self._emit(Paused(run.number, run.worker))

    def _resume(self, trial: Any, run: Running) -> None:
        """A trial goes on from its own state, or in population-based training from that of a better one."""
        at = trial.latest_checkpoint_result.metrics["samples"]
        part = self._so_far.pop(trial.trial_id, None)
        if part is not None:
            run.before = self._record(run, part)
            run.began = time.monotonic() - run.before.seconds.total
        self._lineages.setdefault(run.number, Lineage(self._space)).go_on(trial.config, at, part)
        run.curve = [(samples, value) for samples, value in run.curve if samples <= at]
        run.params = dict(trial.config["params"])
        run.worker = self._free_worker()
        self._running[run.worker] = run
        target = round(float(run.params.get("epochs", 1)) * self._plan.train_images)
        self._emit(Started(run.number, run.params, run.worker, target, run.attempts, run.seed))

    def _record(self, run: Running, done: Done) -> Trial:
        lineage = self._lineages.get(run.number)
        return super()._record(run, lineage.told(done) if lineage else done)

    @contextlib.contextmanager
    def _guarded(self) -> Any:
        try:
            yield
        except BaseException as error:
            self._raised, self._ended = self._raised or error, True


FINISHED = "FINISHED"  # ray.tune.search.Searcher.FINISHED, which is not imported before a search


class _Undecided:
    """No stopper of ours."""

    def marks(self, number: int) -> None:
        return None

    def judge(self, number: int, samples: int, val_accuracy: float) -> Verdict:
        return "go"

    def recall(self, number: int, samples: int, val_accuracy: float, went_on: bool) -> None:
        pass

    def dropped(self) -> Sequence[int]:
        return ()

    def tell(self, trial: Trial) -> None:
        pass


def _name(trial: Any) -> str:
    return f"{trial.config['number']}-{trial.trial_id}"
