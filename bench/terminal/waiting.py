"""A wait that is no search: a spinner with the time gone at the foot of a terminal, or a line where there is none.

Nothing is shown of a wait that is over within DELAY seconds, so that quick commands stay as they are. All of it goes to
standard error.
"""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

DELAY = 0.5  # seconds


class Waiting:
    """Enter it before the wait, leave it after; `step` says what is under way by now, from any thread.

    Args:
        title: what is waited for.
        quiet: show nothing at all.
        console: where to, standard error when left out.
    """

    def __init__(self, title: str, *, quiet: bool = False, console: Console | None = None) -> None:
        self._title, self._quiet, self._console = title, quiet, console
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bar: tuple[Progress, TaskID] | None = None
        self._lines = False  # it has lasted, and there is no terminal

    def step(self, title: str) -> None:
        with self._lock:
            self._title = title
            if self._bar is not None:
                progress, task = self._bar
                progress.update(task, description=_shown(title))
            elif self._lines:
                self._say()

    def __enter__(self) -> Self:
        if not self._quiet:
            self._thread = threading.Thread(target=self._show, name="waiting", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)  # not for ever: Ctrl-S holds it in a write
        with self._lock, contextlib.suppress(OSError):
            if self._bar is not None:
                self._bar[0].stop()

    def _show(self) -> None:
        if self._over.wait(DELAY):
            return
        from rich.console import Console

        from bench.terminal.screen import is_live

        console = self._console = self._console or Console(stderr=True)
        with self._lock, contextlib.suppress(OSError):
            if self._over.is_set():
                return
            if is_live(console):
                progress = _progress(console)
                self._bar = progress, progress.add_task(_shown(self._title), total=None)
                progress.start()
            else:
                self._lines = True
                self._say()

    def _say(self) -> None:
        assert self._console is not None
        file = self._console.file
        encoding = self._console.encoding
        with contextlib.suppress(OSError):
            file.write(_shown(self._title).encode(encoding, "backslashreplace").decode(encoding) + " ...\n")
            file.flush()


def _progress(console: Console) -> Progress:
    import sys

    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    return Progress(
        SpinnerColumn("line", style=""),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        # Standard output may be a pipe that waits for one JSON document.
        redirect_stdout=sys.stdout.isatty(),
    )


def _shown(title: str) -> str:
    from bench.terminal.sparkline import one_line

    return one_line(title)
