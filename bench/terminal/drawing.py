"""From the live screen's state to its lines, for a given width and height. Pure: nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from bench.terminal.board import Board, Run, Worker
from bench.terminal.sparkline import bar, cut, duration, estimate, height, parameters, percent, sparkline, thousands

Cell = tuple[str, str]  # text, rich style
Line = tuple[Cell, ...]

# Only the sixteen colours, which every theme makes legible, and never yellow, which light themes do not.
STATES = {"complete": "green", "failed": "red", "lost": "red", "training": "", "pruned": "dim"}
SMALLEST = 4  # lines: title, best, counts, and the one where the cursor stands


@dataclass(frozen=True)
class Columns:
    """Widths of a worker's cells. `value_at` and `rest_at` are where the accuracy and the configuration begin."""

    index: int
    label: int
    bar: int
    samples: int
    curve: int
    gap: int
    state: int = 8
    elapsed: int = 6
    value: int = 8

    @property
    def elapsed_at(self) -> int:
        return self.index + self.label + self.state + 3 * self.gap

    @property
    def value_at(self) -> int:
        samples = self.samples + self.gap if self.samples else 0
        return self.elapsed_at + self.elapsed + self.bar + samples + self.curve + 3 * self.gap

    @property
    def rest_at(self) -> int:
        return self.value_at + self.value + 2

    @classmethod
    def fit(cls, width: int, board: Board) -> Columns:
        index = len(str(max(board.workers, default=0)))
        seen = [worker.run.number for worker in board.workers.values() if worker.run is not None]
        digits = max(len(str(number)) for number in [board.target, *seen, 10])
        if width < 76:
            return cls(index, digits + 1, 6, 0, 6, 1)
        label = len(board.unit) + 1 + digits
        return cls(index, label, 8, 0, 8, 1) if width < 120 else cls(index, label, 16, 11, 12, 2)


def draw(board: Board, width: int, terminal_height: int, *, ascii_only: bool = False) -> tuple[Line, ...]:
    """Title, best, a line per worker, counts: as many lines as workers and height ask for."""
    columns = Columns.fit(width, board)
    workers = sorted(board.workers.items())
    room = max(terminal_height - SMALLEST, 0)
    hidden = 0 if len(workers) <= room else len(workers) - max(room - 1, 0)
    lines = [_title(board, width, ascii_only), _best(board, width, columns, ascii_only)]
    shown = workers[: len(workers) - hidden]
    lines += [_worker(board, number, worker, width, columns, ascii_only) for number, worker in shown]
    if hidden and room:
        lines.append([(f"and {hidden} more worker{'s' if hidden > 1 else ''}", "dim")])
    lines.append(_counts(board, width, ascii_only))
    return tuple(_trimmed(line, width) for line in lines)


def _title(board: Board, width: int, ascii_only: bool) -> list[Cell]:
    wide = width >= 76
    unit = f" {board.unit}s" if wide and board.searching else ""
    finished = board.count
    times = f"{_times(board, wide):<{30 if wide else 18}}"
    title = cut(board.title, width * 3 // 8, ascii_only=ascii_only)
    free = width - cell_len(title) - len(finished) - len(times) - 6
    if free - len(unit) >= 10:
        finished, free = finished + unit, free - len(unit)
    done, open_ = bar(board.done, min(max(free, 4), 60), ascii_only=ascii_only)
    return [(title, "bold"), ("  ", ""), (done, "cyan"), (open_, "dim"), (f"  {finished}", ""), (f"  {times}", "dim")]


def _times(board: Board, wide: bool) -> str:
    gone, left = board.gone(), board.left()
    limit = None if board.timeout is None else max(board.timeout - gone, 0.0)
    if limit is not None and (left is None or limit < left):
        return f"{duration(gone)} gone, at most {estimate(limit)} left" if wide else _short_times(gone, "<", limit)
    if left is None or board.done >= 1:
        return f"{duration(gone)} gone" if wide else duration(gone)
    return f"{duration(gone)} gone, about {estimate(left)} left" if wide else _short_times(gone, "~", left)


def _short_times(gone: float, sign: str, left: float) -> str:
    return f"{duration(gone)}, {sign}{estimate(left)} left"


def _best(board: Board, width: int, columns: Columns, ascii_only: bool) -> list[Cell]:
    if not board.searching and board.results:
        return _results(board, width, ascii_only)
    if board.best is None or board.best.val_accuracy is None:
        return [("best: none yet", "dim")] if board.searching else []  # retraining keeps no images back to validate on
    short = width < 76
    label = f"best {'#' if short else 'trial '}{board.best.number}"
    spark_width = columns.value_at - columns.elapsed_at - columns.gap
    spark = sparkline(board.best_so_far, spark_width, ascii_only=ascii_only)
    value = f"{percent(board.best.val_accuracy):>{columns.value}}"
    rest = parameters(board.best.params, width - columns.rest_at, board.order, ascii_only=ascii_only)
    return [
        (f"{label:<{columns.elapsed_at}}", "bold"),
        (f"{spark:<{spark_width + columns.gap}}", "cyan"),
        (value, "bold"),
        (f"  {rest}", "dim"),
    ]


def _results(board: Board, width: int, ascii_only: bool) -> list[Cell]:
    """Of a stage: validation accuracies in % by run; several runs of one number stand together."""
    groups = []
    for number, accuracies in sorted(board.results.items()):
        groups.append(f"{board.unit} {number}: " + " ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies))
    text = ", ".join(groups)
    return [("validation %  ", "bold"), (cut(text, width - 14, ascii_only=ascii_only), "")]


def _worker(board: Board, number: int, worker: Worker, width: int, columns: Columns, ascii_only: bool) -> list[Cell]:
    gap = " " * columns.gap
    index: Cell = (f"{number:>{columns.index}}{gap}", "dim")
    run = worker.run
    if run is None or worker.state == "lost":
        state = {"ready": "idle"}.get(worker.state, worker.state)
        indent = " " * (columns.label + columns.gap)
        room = width - columns.elapsed_at
        detail = cut(worker.detail, room, ascii_only=ascii_only) if worker.state == "lost" else ""
        style = STATES.get(state, "dim")
        return [index, (f"{indent}{state:<{columns.state}}{gap}", style), (detail, "dim")]
    label = f"#{run.number}" if width < 76 else f"{board.unit} {run.number}"
    now = board.clock() if run.ended is None else run.ended
    return [
        index,
        (f"{label:<{columns.label}}{gap}", ""),
        (f"{run.state:<{columns.state}}{gap}", STATES.get(run.state, "dim")),
        (f"{duration(now - run.began):>{columns.elapsed}}{gap}", ""),
        *_progress(run, columns, ascii_only),
        *_result(board, run, columns, ascii_only),
        (f"  {parameters(run.params, width - columns.rest_at, board.order, ascii_only=ascii_only)}", "dim"),
    ]


def _progress(run: Run, columns: Columns, ascii_only: bool) -> list[Cell]:
    gap = " " * columns.gap
    if run.target <= 0:
        text = f"{thousands(run.samples)} seen" if columns.bar >= 10 else thousands(run.samples)
        filler = " " * (columns.samples + columns.gap) if columns.samples else ""
        return [(f"{text:<{columns.bar}}{gap}{filler}", "dim")]
    done, open_ = bar(run.samples / run.target, columns.bar, ascii_only=ascii_only)
    samples = f"{thousands(run.samples)}/{thousands(run.target)}"
    numbers = f"{samples:>{columns.samples}}{gap}" if columns.samples else ""
    return [(done, "cyan"), (open_, "dim"), (f"{gap}{numbers}", "dim")]


def _result(board: Board, run: Run, columns: Columns, ascii_only: bool) -> list[Cell]:
    """The curve with its last accuracy; before the first, the loss; of a failure, the reason."""
    room = columns.curve + columns.gap + columns.value
    if run.state == "failed":
        return [(f"{cut(run.reason or 'error', room, ascii_only=ascii_only):<{room}}", "red")]
    if not run.curve:
        loss = "" if run.loss is None else f"loss {run.loss:.3g}"
        return [(f"{cut(loss, room, ascii_only=ascii_only):>{room}}", "dim")]
    heights = [height(accuracy) for accuracy in run.curve]
    spark = sparkline(heights, columns.curve, board.lowest, board.highest, ascii_only=ascii_only)
    return [
        (f"{spark:<{columns.curve + columns.gap}}", "cyan"),
        (f"{percent(run.curve[-1]):>{columns.value}}", ""),
    ]


def _counts(board: Board, width: int, ascii_only: bool) -> list[Cell]:
    counts, failed = board.counts, board.counts["failed"]
    complete = f"{counts['complete']} complete, {counts['pruned']} pruned, "
    line: list[Cell] = [(complete if board.searching else f"{counts['complete']} complete, ", "dim")]
    reasons = ", ".join(f"{count} {reason}" for reason, count in board.reasons.most_common())
    line.append((f"{failed} failed" + (f" ({reasons})" if reasons else ""), "red" if failed else "dim"))
    if board.lost:
        line.append((f", {board.lost} worker{'s' if board.lost > 1 else ''} lost", "red"))
    return _cut_cells(line, width, ascii_only)


def _cut_cells(line: Sequence[Cell], width: int, ascii_only: bool) -> list[Cell]:
    kept, room = [], width
    for text, style in line:
        shown = cut(text, room, ascii_only=ascii_only)
        kept.append((shown, style))
        room -= cell_len(shown)
    return kept


def _trimmed(line: Sequence[Cell], width: int) -> Line:
    """Within the width whatever happens: a line that wraps would make the screen jump."""
    kept: list[Cell] = []
    room = width
    for text, style in line:
        if room <= 0:
            break
        if text and cell_len(text) > room:
            text = cut(text, room, ascii_only=text.isascii())
        if text:
            kept.append((text, style))
            room -= cell_len(text)
    while kept and not kept[-1][0].strip():
        kept.pop()
    return tuple(kept)
