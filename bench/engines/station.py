"""One place of a Ray cluster: an actor that Tune reuses for trial after trial, with a warm worker process below it.

The worker is the one of the local engine, and so are its deaths, its log, its guard and its limits: what happens to a
trial is said in the same words on every engine. The actor only carries messages between it and Tune.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bench.carried import Carried
from bench.data.catalog import copies_of
from bench.data.sealed import Sealed
from bench.engines.parcels import DataParcel, FilesParcel, Shelf
from bench.errors import BenchError
from bench.options import data_dir_of
from bench.workers.messages import AtRung, Decide, Done, FromWorker, Job, Lost, Progress, Ready, Save, Saved
from bench.workers.pool import Place, Pool

STEP_SECONDS = 1.0  # a stop of Tune's is heard after this long
STATE, PLACE = "state.npz", "place.json"  # of a checkpoint: what the trainer saved, and the rung where it was


@dataclass(frozen=True)
class Site:
    """What every actor of a search is told once.

    Attributes:
        data: the sealed data set's folder, where the actors see it, or its training part to be unpacked.
        family: what builds the models, or the files of it to be unpacked.
        forbidden: what no worker may open, besides the copies of the data that a node has itself.
        logs: this search's folder for logs, taken where it exists.
        job: what all jobs have in common.
        framework: what the workers train with.
        trial_seconds: a trial that runs longer has failed, or None.
        grace_seconds: how long a worker may take to hear a stop.
    """

    data: Path | DataParcel
    family: Carried | FilesParcel
    forbidden: tuple[Path, ...]
    logs: Path
    job: Job
    framework: str
    trial_seconds: float | None
    grace_seconds: float


class Station(tune.Trainable):  # type: ignore[misc]  # Ray carries no types
    """Runs one trial at a time.

    A result holds what the worker said, whether it has begun with the trial, and at a rung its value.
    """

    def setup(self, config: dict[str, Any], site: Site) -> None:
        self._site = site
        self._host = socket.gethostname()
        self._own = Shelf.new(tempfile.gettempdir())
        self._scratch = self._own.folder
        self._family = site.family
        if isinstance(site.family, FilesParcel):
            self._family = site.family.unpack(self._scratch)
        self._shelf: Shelf | None = None
        forbidden = [*site.forbidden]
        if isinstance(site.data, DataParcel):
            self._shelf = site.data.unpack()
            folder = self._shelf.folder
            # This node may have copies of its own, where the machine that searches has none.
            forbidden += copies_of(Sealed.load(folder).name, data_dir_of(None))
        else:
            folder = site.data
        gpus = ray.get_gpu_ids()
        place = Place(1, str(gpus[0]) if gpus else None)
        logs = site.logs if site.logs.is_dir() else self._scratch
        self._pool = Pool([place], folder, forbidden, logs, f"ray-{config['worker']}", site.framework)
        self._waiting: Job | None = None
        self._samples = 0
        self._at_rung: int | None = None
        self._stopping: float | None = None  # when a worker that was told to stop is killed
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._leave()
        self._take(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._at_rung is not None:
            self._pool.send(0, Decide(self._at_rung, "go"))
            self._at_rung = None
        ends = time.monotonic() + STEP_SECONDS
        said: list[FromWorker] = []
        while True:
            self._start()
            self._watch()
            for _, message in self._pool.poll(max(0.0, min(0.2, ends - time.monotonic()))):
                if isinstance(message, Lost) and self._waiting is not None:
                    continue  # it had nothing to lose; the pool has replaced it, or says why it cannot
                if isinstance(message, Progress):
                    said = [one for one in said if not isinstance(one, Progress)]
                said.append(self._translated(message))
            result: dict[str, Any] = {"said": said, "samples": self._samples, "begun": self._waiting is None}
            for message in said:
                if isinstance(message, AtRung):
                    self._at_rung = message.number
                    self._samples = message.samples
                    return {**result, "samples": message.samples, "val_accuracy": message.val_accuracy}
                if isinstance(message, (Done, Lost)):
                    return {**result, "done": True}
            if time.monotonic() >= ends:
                return result

    def cleanup(self) -> None:
        self._pool.close()
        if self._shelf is not None:
            self._shelf.leave()
        self._own.leave()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """The state at the rung where the worker waits."""
        assert self._at_rung is not None, "Tune saves at rungs only"
        folder = Path(checkpoint_dir)
        self._pool.send(0, Save(self._number, folder / STATE))
        place = {"samples": self._samples, "seconds": time.monotonic() - self._began}
        (folder / PLACE).write_text(json.dumps(place))
        while True:
            for _, message in self._pool.poll(0.2):
                if isinstance(message, Saved):
                    return
                if isinstance(message, Lost):
                    ray.actor.exit_actor()  # the trial is lost with its worker, and begins anew with another actor
                if isinstance(message, Done):
                    raise BenchError(f"The state of trial {self._number} could not be saved: {message.detail}.")

    def load_checkpoint(self, checkpoint: str) -> None:
        """Go on from a state of this trial or, in population-based training, of another one."""
        assert self._waiting is not None, "a trial that runs goes on by itself"
        state = self._scratch / STATE
        shutil.copyfile(Path(checkpoint) / STATE, state)
        place = json.loads((Path(checkpoint) / PLACE).read_text())
        self._samples, self._before = place["samples"], place["seconds"]
        left = tuple(rung for rung in self._waiting.rungs if rung > self._samples)
        self._waiting = replace(self._waiting, state=state, resume=True, rungs=left)

    # --- the worker

    def _take(self, config: Mapping[str, Any]) -> None:
        assert not isinstance(self._family, FilesParcel)
        self._number = config["number"]
        self._waiting = replace(
            self._site.job,
            number=self._number,
            family=self._family,
            config=dict(config["params"]),
            seed=config["seed"],
            rungs=tuple(config["rungs"]),
        )
        self._samples, self._before = 0, 0.0  # seconds that the trial ran before it was paused
        self._stopping = None

    def _start(self) -> None:
        if self._waiting is not None and self._pool.idle:
            self._pool.submit(0, self._waiting)
            self._waiting = None
            self._began = time.monotonic() - self._before

    def _watch(self) -> None:
        """A trial that takes too long is told to stop, and its worker ended if it does not."""
        limit, now = self._site.trial_seconds, time.monotonic()
        if limit is None or not self._pool.busy:
            return
        if self._stopping is None and now - self._began > limit:
            self._stopping = now + self._site.grace_seconds
            self._pool.send(0, Decide(self._number, "stop", "timed out"))
        if self._stopping is not None and now > self._stopping:
            self._pool.kill(0)

    def _translated(self, message: FromWorker) -> FromWorker:
        """The message as it is meant on the machine that searches."""
        if isinstance(message, Lost):
            reason = message.reason if self._stopping is None else "timed out"
            return Lost(reason, f"{message.detail} on {self._host}")
        if isinstance(message, Ready):
            return replace(message, device=f"{message.device} on {self._host}")
        if isinstance(message, Progress):
            self._samples = max(self._samples, message.samples)
        if isinstance(message, Done) and message.detail and isinstance(self._site.family, FilesParcel):
            return replace(message, detail=self._site.family.named(message.detail, self._scratch))
        return message

    def _leave(self) -> None:
        """Have the worker end what it does, for the next trial."""
        if not self._pool.busy:
            return
        if self._at_rung is not None:
            self._pool.send(0, Decide(self._at_rung, "prune"))
        else:
            self._pool.send(0, Decide(self._number, "stop"))
        self._at_rung = None
        ends = time.monotonic() + self._site.grace_seconds
        while self._pool.busy:
            self._pool.poll(0.2)
            if time.monotonic() > ends:
                self._pool.kill(0)
                ends += self._site.grace_seconds
