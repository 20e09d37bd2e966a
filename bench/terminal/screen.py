"""The live screen of a search or a final: fixed height, redrawn from plain state a few times a second.

cnn on mnist  ━━─────────────────   5/50 trials  27s gone, about 3m left
best trial 4        ▁▁▅▅█                     99.12 %  blocks=2 filters=44 …
0 trial 5  training     7s ━━━━╸─── ▂▅        97.50 %  blocks=3 filters=51 …
1 trial 6  training     5s ╸───────        loss 0.412  blocks=1 filters=58 …
2 trial 7  building     3s ────────                    blocks=2 filters=17 …
3          lost     killed by signal 9
3 complete, 1 pruned, 1 failed (1 out of memory), 1 worker lost
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.style import Style
from rich.text import Text

from bench.records import Event, WorkerChanged
from bench.terminal.board import Beginning, Board
from bench.terminal.drawing import Line, draw
from bench.terminal.plain import MessageScreen, PlainScreen
from bench.terminal.sparkline import duration, one_line, percent

PERIOD = 0.2  # seconds from one look at the state to the next; the terminal is written to only where something changed


class Screen(Protocol):
    """Who shows how a search or a final proceeds. A context manager: leaving it gives the terminal back."""

    def begin_search(self, search: Beginning) -> None:
        """A search starts, or goes on."""

    def begin_stage(self, title: str, target: int, unit: str = "run") -> None:
        """A part of a final starts; its events' numbers count `unit`s."""

    def __call__(self, event: Event) -> None: ...

    def progress(self, worker: int, samples: int, loss: float | None) -> None:
        """A sign of life between two rungs; `Progressed` says the same as an event."""

    def message(self, text: str) -> None:
        """Lines that stay, above what moves."""

    def end_stage(self) -> None:
        """The stage has done what it was for."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_screen(console: Console, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> Screen:
    """The screen that fits the console: live on a terminal, else plain lines; messages alone when quiet."""
    if quiet:
        return MessageScreen(console, clock)
    return LiveScreen(console, clock) if is_live(console) else PlainScreen(console, clock)


def is_live(console: Console) -> bool:
    """Whether lines of this console can be drawn over."""
    # FORCE_COLOR makes rich call a log file a terminal. Colour is asked for there, not a moving cursor.
    coloured_log = "FORCE_COLOR" in os.environ and not console.file.isatty()
    return console.is_terminal and console.is_interactive and not console.is_dumb_terminal and not coloured_log


class LiveScreen:
    """Draws at the foot of the terminal and takes it away again when closed; one line of each part stays.

    Args:
        clock: seconds, as time.monotonic gives them.
        period: seconds between two looks at the state, or None: only `refresh` draws then.
    """

    def __init__(
        self, console: Console, clock: Callable[[], float] = time.monotonic, period: float | None = PERIOD
    ) -> None:
        self._console, self._period = console, period
        self._board = Board(clock)
        # Reentrant: a signal's handler may print, and so draw, while the main thread holds it.
        self._lock = threading.RLock()
        self._ascii = not console.encoding.lower().startswith("utf")
        self._frame = _Frame((), 0)
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            # Standard output may be a pipe that waits for one JSON document.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._open = False  # a part has begun and its line has not been left

    # --- what is told

    def begin_search(self, search: Beginning) -> None:
        again = self._board.searching and self._board.title == search.title and not self._board.busy
        if not again:
            self._leave()
        with self._lock:
            self._board.begin_search(search)
        self._begin()

    def begin_stage(self, title: str, target: int, unit: str = "run") -> None:
        self._leave()
        with self._lock:
            self._board.begin_stage(title, target, unit)
        self._begin()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._board.apply(event)
        if isinstance(event, WorkerChanged) and event.state == "lost":
            self.message(f"worker {event.worker} lost: {event.detail}")

    def progress(self, worker: int, samples: int, loss: float | None) -> None:
        with self._lock:
            self._board.progress(worker, samples, loss)

    def message(self, text: str) -> None:
        lines = [one_line(line) for line in text.splitlines()]
        if self._ascii:
            lines = [line.encode("ascii", "backslashreplace").decode() for line in lines]
        with contextlib.suppress(OSError):
            self._console.print(Text("\n".join(lines)), soft_wrap=True)

    def end_stage(self) -> None:
        self._leave(done=True)

    def close(self) -> None:
        """Clear the live lines and show the cursor; calling it again does nothing."""
        self._closed.set()
        if self._thread is not None:
            # Not for ever: a terminal stopped with Ctrl-S holds the thread in a write.
            self._thread.join(1.0)
            self._thread = None
        with contextlib.suppress(OSError):
            self._live.stop()
        self._leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what is shown

    def refresh(self) -> None:
        """Draw, if anything has changed since the last time."""
        size = self._console.size
        with self._lock:
            # One column is left free: some terminals wrap a line that fills its last one.
            lines = draw(self._board, size.width - 1, size.height, ascii_only=self._ascii)
        frame = _Frame(lines, size.width)
        if frame != self._frame:
            self._unwrap(size.width)
            self._frame = frame
            self._live.update(frame, refresh=True)

    def _begin(self) -> None:
        self._open = True
        with contextlib.suppress(OSError):
            self._live.start()
            self.refresh()
        if self._thread is None and self._period is not None:
            self._thread = threading.Thread(target=self._tick, args=(self._period,), name="screen", daemon=True)
            self._thread.start()

    def _tick(self, period: float) -> None:
        # A terminal that has gone ends the drawing, not the search.
        with contextlib.suppress(OSError):
            while not self._closed.wait(period):
                self.refresh()

    def _leave(self, done: bool = False) -> None:
        """The line that stays of a search or a stage."""
        if not self._open:
            return
        self._open = False
        board = self._board
        gone, count = duration(board.gone()), f"{board.count.strip()} {board.unit}s"
        if not board.searching:
            self.message(f"{board.title}, " + (f"done in {gone}" if done else f"{count}, stopped after {gone}"))
            return
        best, now = board.best, ""
        if board.done_here < board.finished:
            now = f" ({board.done_here} of them now)"
        how = "in" if board.done >= 1 else "done, stopped after"
        tail = f", best {percent(best.val_accuracy)} (trial {best.number})" if best and best.val_accuracy else ""
        self.message(f"{board.title}: {count}{now} {how} {gone}{tail}")

    def _unwrap(self, width: int) -> None:
        """After the terminal was made narrower: climb over the lines that wrapped, which rich does not count."""
        if width >= self._frame.width:
            return
        wrapped = sum(max(-(-cells // width), 1) - 1 for cells in self._frame.cells)
        self._console.control(Control(*[(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * wrapped))


@dataclass(frozen=True)
class _Frame:
    """Lines ready to print. `width` is the terminal's when they were drawn."""

    lines: tuple[Line, ...]
    width: int

    @property
    def cells(self) -> list[int]:
        return [sum(cell_len(text) for text, _ in line) for line in self.lines]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            for text, style in line:
                yield Segment(text, Style.parse(style))
            yield Segment.line()
