"""The warm pool: processes that are started once, replaced when they die or grow, and never outlive the parent."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import BinaryIO

import psutil

from bench.errors import BenchError
from bench.records import Reason
from bench.training import backend
from bench.workers import orphans
from bench.workers.messages import Done, FromWorker, Job, Lost, Ready, Setup, ToWorker

MAX_RSS = 1_150_000_000  # bytes; a worker above this is replaced after its run
GROWTH = 400_000_000  # bytes; one above it after its first run, for its images or its GPU, may grow by this
START_SECONDS = 180.0
MAX_START_FAILURES = 3
STOPPED_SECONDS = 10.0  # a worker that SIGSTOP holds for longer is replaced
SILENT_SECONDS = 60.0  # so is one that says nothing and computes nothing; no graph call lasts more than 5 s


@dataclass(frozen=True)
class Place:
    """Where one worker runs: its threads, and a GPU index or None."""

    threads: int
    gpu: str | None = None


class _Process:
    """One worker process and this end of its pipe."""

    def __init__(self, index: int, place: Place, setup: Setup, log: BinaryIO, environment: dict[str, str]) -> None:
        self.index = index
        self.job: Job | None = None
        self.ready: Ready | None = None
        self.started = time.monotonic()
        self.silent = 0.0  # seconds without a word, as far as the parent was there to listen
        self.busy_seconds = 0.0  # processor time at the last word
        self.verdict: Lost | None = None  # why the parent ended it
        self.most_rss = 0  # bytes that it may have after a run; 0 before its first
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "bench.workers.process", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command,
            env=orphans.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.pipe = Connection(ours.detach())
        self.pipe.send(setup)

    def heard(self) -> None:
        self.silent, self.busy_seconds = 0.0, self._cpu_seconds()

    def watch(self, seconds: float) -> None:
        """Note that nothing was heard for so long; end it when it is stopped, hangs, or does not get ready."""
        self.silent += seconds
        if self.verdict is not None or self.silent < STOPPED_SECONDS:
            return
        who = f"worker {self.index} (process {self.process.pid})"
        if self._stopped():
            self.verdict = Lost("hung", f"{who} was stopped by a signal for {self.silent:.0f} s and was ended")
        elif self.ready is None and time.monotonic() - self.started > START_SECONDS:
            self.verdict = Lost("hung", f"{who} was not ready after {START_SECONDS:.0f} s and was ended")
        elif self.job is not None and self.silent > SILENT_SECONDS and self._rests():
            self.verdict = Lost("hung", f"{who} said and computed nothing for {self.silent:.0f} s and was ended")
        if self.verdict is not None:
            self.process.kill()

    @property
    def over(self) -> bool:
        """Whether it ended and its pipe did not: a process that a family forked off holds the other end, too."""
        return self.silent >= STOPPED_SECONDS and self.process.poll() is not None

    def _stopped(self) -> bool:
        with contextlib.suppress(psutil.Error):
            return bool(psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)
        return False

    def _rests(self) -> bool:
        return self._cpu_seconds() - self.busy_seconds < 0.01 * self.silent

    def _cpu_seconds(self) -> float:
        with contextlib.suppress(psutil.Error):
            return float(sum(psutil.Process(self.process.pid).cpu_times()[:2]))
        return 0.0

    def end(self) -> None:
        """Close the pipe, which ends the process; kill it if it does not hear."""
        self.pipe.close()
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Pool:
    """A fixed number of worker slots. `poll` yields what the workers say; a death is one of the things said.

    Args:
        places: one entry a worker.
        folder: the sealed data set's folder.
        forbidden: what no worker may open.
        logs: folder of the home that gets one file a worker.
        name: what these files are called, before a number.
        framework: what they train with; what the environment names where left out.

    Raises:
        UsageError: the environment names a framework that there is none of.
    """

    def __init__(
        self,
        places: Sequence[Place],
        folder: Path,
        forbidden: Sequence[Path],
        logs: Path,
        name: str = "worker",
        framework: str | None = None,
    ) -> None:
        self.framework = framework or backend.chosen()
        logs.mkdir(parents=True, exist_ok=True)
        self.places, self.folder, self.forbidden, self.logs = list(places), folder, tuple(forbidden), logs
        self._logs: list[BinaryIO] = [(logs / f"{name}-{i}.log").open("ab") for i in range(len(places))]
        self._oom_kills = _oom_kills()
        self._tag = orphans.new_tag()
        self._polled = time.monotonic()
        orphans.reap()
        self._start_failures = 0
        self._workers = [self._spawn(i) for i in range(len(places))]

    def __len__(self) -> int:
        return len(self._workers)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self, index: int) -> _Process:
        place = self.places[index]
        setup = Setup(self.folder, self.forbidden, place.threads, place.gpu)
        environment = {
            **backend.environment(self.framework, place.threads, place.gpu, self.logs.parent),
            "MALLOC_ARENA_MAX": "2",
            orphans.VARIABLE: self._tag,
        }
        return _Process(index, place, setup, self._logs[index], environment)

    @property
    def idle(self) -> list[int]:
        """Workers that are ready and have no job."""
        return [w.index for w in self._workers if w.ready is not None and w.job is None]

    @property
    def busy(self) -> list[int]:
        return [w.index for w in self._workers if w.job is not None]

    def device_of(self, worker: int) -> str:
        ready = self._workers[worker].ready
        return ready.device if ready else ""

    def log_of(self, worker: int) -> Path:
        return Path(self._logs[worker].name)

    def submit(self, worker: int, job: Job) -> None:
        self._workers[worker].job = job
        self._workers[worker].heard()
        self.send(worker, job)

    def send(self, worker: int, message: ToWorker) -> None:
        # A worker that has just died is learned of from the pipe, by poll.
        with contextlib.suppress(OSError):
            self._workers[worker].pipe.send(message)

    def poll(self, timeout: float) -> list[tuple[int, FromWorker]]:
        """What the workers said, waiting up to `timeout` seconds for the first message.

        `Done` and `Lost` free the worker; a lost one is replaced at once.
        """
        by_pipe = {w.pipe: w for w in self._workers}
        said: list[tuple[int, FromWorker]] = []
        for pipe in wait(list(by_pipe), timeout):
            worker = by_pipe[pipe]  # type: ignore[index]
            try:
                message: FromWorker = worker.pipe.recv()
            except (EOFError, OSError):
                said.append((worker.index, self._bury(worker)))
                continue
            worker.heard()
            if isinstance(message, Ready):
                worker.ready = message
            elif isinstance(message, Done):
                worker.job = None
                worker.most_rss = worker.most_rss or (MAX_RSS if message.rss <= MAX_RSS else message.rss + GROWTH)
                if message.rss > worker.most_rss:
                    self._replace(worker)
            said.append((worker.index, message))
        # A parent that was stopped itself, or waited for a full disk, has not listened: that is nobody's silence.
        now = time.monotonic()
        listened, self._polled = min(now - self._polled, max(timeout, 1.0)), now
        for worker in self._workers:
            if worker.job is not None or worker.ready is None:
                worker.watch(listened)
                if worker.over:
                    said.append((worker.index, self._bury(worker)))
        return said

    def kill(self, worker: int) -> None:
        """End a worker that no longer listens; poll will report the loss."""
        self._workers[worker].process.kill()

    def _replace(self, worker: _Process) -> None:
        worker.end()
        self._workers[worker.index] = self._spawn(worker.index)

    def _bury(self, worker: _Process) -> Lost:
        worker.pipe.close()
        try:
            code = worker.process.wait(5.0)
        except subprocess.TimeoutExpired:
            worker.process.kill()
            code = worker.process.wait()
        lost = worker.verdict or self._why(code, worker)
        # A worker that dies before its first sign of life would be replaced for ever.
        self._start_failures = 0 if worker.ready else self._start_failures + 1
        if self._start_failures >= MAX_START_FAILURES:
            raise BenchError(
                f"{self._start_failures} workers in a row ended before they were ready; the last one: {lost.detail}. "
                "The end of that log says why."
            )
        self._workers[worker.index] = self._spawn(worker.index)
        return lost

    def _why(self, code: int, worker: _Process) -> Lost:
        where = f"see logs/{self.log_of(worker.index).name}"
        kills = _oom_kills()
        if code == -signal.SIGKILL and kills > self._oom_kills:
            self._oom_kills = kills
            return Lost("out of memory", f"the kernel ended worker {worker.index}; use fewer workers")
        reason: Reason = "killed" if code in (-signal.SIGKILL, -signal.SIGTERM) else "crashed"
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Lost(reason, f"worker {worker.index} ended with {how}; {where}")

    def close(self) -> None:
        """End every worker, and wait until they are gone."""
        for worker in self._workers:
            with contextlib.suppress(OSError):
                worker.pipe.close()
        for worker in self._workers:
            worker.end()
        orphans.reap_pool(self._tag)
        for log in self._logs:
            log.close()


def _oom_kills() -> int:
    """How often the kernel has killed for memory, as far as it says."""
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError):
            for line in Path(path).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0
