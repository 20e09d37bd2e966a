"""The screen where there is no terminal: one line for everything that is over, never a control character."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console

from bench.records import Event, Finished, Paused, Shelved, Started, Trial, WorkerChanged
from bench.terminal.board import Beginning
from bench.terminal.sparkline import duration, one_line, parameters


class QuietScreen:
    """Hears everything and shows nothing."""

    def begin_search(self, search: Beginning) -> None: ...

    def begin_stage(self, title: str, target: int, unit: str = "run") -> None: ...

    def __call__(self, event: Event) -> None: ...

    def progress(self, worker: int, samples: int, loss: float | None) -> None: ...

    def message(self, text: str) -> None: ...

    def end_stage(self) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PlainScreen(QuietScreen):
    """Writes lines to the console's file and flushes each, so that a log can be followed.

    Args:
        clock: seconds, as time.monotonic gives them.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._title, self._unit = "", "trial"
        self._began = clock()
        self._shelved: set[int] = set()

    def begin_search(self, search: Beginning) -> None:
        self._title, self._unit, self._began = search.title, "trial", self._clock()
        self._shelved.clear()
        there = sum(trial.state != "running" for trial in search.finished)
        parts = [f"{there} of {search.target} trials are there" if there else f"{search.target} trials"]
        if search.share:
            parts = [f"{there} trials are there, {search.share():.0%} of the budget"] if there else []
        parts += [f"{search.workers} worker{'s' if search.workers != 1 else ''}"]
        parts += [f"at most {duration(search.timeout)}"] if search.timeout is not None else []
        self.message(f"{search.title}: {', '.join(parts)}")

    def begin_stage(self, title: str, target: int, unit: str = "run") -> None:
        self._title, self._unit, self._began = title, unit, self._clock()
        self._shelved.clear()
        self.message(f"begin: {title}")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Finished):
            self.message(trial_line(event.trial, self._unit))
        elif isinstance(event, Started) and event.attempts > 1:
            self.message(f"{self._unit} {event.number} again, attempt {event.attempts}  worker {event.worker}")
        elif isinstance(event, Started) and event.number in self._shelved:
            self._shelved.remove(event.number)
            self.message(f"{self._unit} {event.number} goes on  worker {event.worker}")
        elif isinstance(event, (Paused, Shelved)):
            if isinstance(event, Shelved):
                self._shelved.add(event.number)
            self.message(f"{self._unit} {event.number} paused  worker {event.worker}")
        elif isinstance(event, WorkerChanged) and event.state == "lost":
            self.message(f"worker {event.worker} lost: {event.detail}")

    def message(self, text: str) -> None:
        file = self._console.file
        # A reader that went away or a full disk under the log is no reason to lose a search.
        with contextlib.suppress(OSError):
            for line in text.splitlines():
                encoding = self._console.encoding
                file.write(one_line(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
            file.flush()

    def end_stage(self) -> None:
        self.message(f"done: {self._title} in {duration(self._clock() - self._began)}")


class MessageScreen(PlainScreen):
    """For --quiet: how it proceeds is not shown; what has to be known, such as a full disk, is."""

    def begin_search(self, search: Beginning) -> None: ...

    def begin_stage(self, title: str, target: int, unit: str = "run") -> None: ...

    def __call__(self, event: Event) -> None: ...

    def end_stage(self) -> None: ...


def trial_line(trial: Trial, unit: str = "trial") -> str:
    """trial 12 pruned    0.9712 after 12,500 samples  3.2 s  worker 1  width=128 ..."""
    result = trial.reason or "error" if trial.state == "failed" else ""
    if trial.state != "failed" and trial.val_accuracy is not None:
        result = f"{trial.val_accuracy:.4f}"
    parts = [
        f"{unit} {trial.number} {trial.state:<8}",
        f"{result} after {trial.samples:,} samples".lstrip(),
        f"{trial.seconds.total:.1f} s",
        "" if trial.worker is None else f"worker {trial.worker}",
        parameters(trial.params),
    ]
    if trial.state == "failed" and trial.detail:
        parts.append(f"({trial.detail.strip().splitlines()[-1][:200]})")
    return "  ".join(part for part in parts if part)
