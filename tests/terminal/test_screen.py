import io
import os
import sys
import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.records import Finished, Paused, Progressed, Reported, Started, Trial, WorkerChanged
from bench.terminal.board import Beginning, Board, telling
from bench.terminal.drawing import draw
from bench.terminal.plain import MessageScreen, PlainScreen
from bench.terminal.screen import LiveScreen, open_screen

GOLDEN = Path(__file__).parents[1] / "golden"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def params(number):
    return {
        "blocks": 1 + number % 3,
        "filters": 16 + number * 7 % 48,
        "optimizer": ("adam", "sgd")[number % 2],
        "learning_rate": 0.0004 * (1 + number),
        "epochs": 3 + number % 5,
    }


def trial(number, state="complete", accuracy=0.99, **fields):
    return Trial(number, state, params(number), None if state == "failed" else accuracy, 150_000, **fields)


def terminal(width=80, height=24, **settings):
    settings = {"color_system": "standard", "_environ": {}, **settings}
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, **settings)


def text(board, width=80, height=24, **settings):
    lines = draw(board, width, height, **settings)
    return "\n".join("".join(cell for cell, _ in line).rstrip() for line in lines) + "\n"


def searched(workers=4):
    """A search in the middle, with every kind of row."""
    clock = Clock()
    board = Board(clock)
    board.begin_search(Beginning("cnn on mnist", 50, [], workers, None))
    ends = [("complete", 0.97), ("pruned", 0.91), ("complete", 0.985), ("failed", None), ("complete", 0.9912)]
    for number, (state, accuracy) in enumerate(ends):
        worker = number % workers
        board.apply(Started(number, params(number), worker, 150_000))
        clock.now += 4
        reason = "out of memory" if state == "failed" else None
        board.apply(Finished(trial(number, state, accuracy, worker=worker, reason=reason, curve=((12_500, 0.9),))))
    for number in range(5, 5 + min(workers, 3)):
        worker = number - 5
        board.apply(Started(number, params(number), worker, 150_000))
        clock.now += 2
    for samples, accuracy in ((12_500, 0.93), (50_000, 0.975)):
        board.apply(Reported(5, 0, samples, accuracy))
    board.progress(0, 81_000, 0.0712)
    if workers > 1:
        board.apply(Progressed(6, 1, 9_000, 0.412))
    if workers > 3:
        board.apply(WorkerChanged(3, "lost", "killed by signal 9"))
    clock.now += 1
    return board, clock


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_screen_looks_as_agreed(width):
    golden = GOLDEN / f"screen-{width}.txt"
    shown = text(searched()[0], width - 1)
    if "BENCH_WRITE_GOLDEN" in os.environ:
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def test_a_console_without_utf8_gets_ascii_only():
    golden = GOLDEN / "screen-ascii.txt"
    shown = text(searched()[0], 79, ascii_only=True)
    if "BENCH_WRITE_GOLDEN" in os.environ:
        golden.write_text(shown, encoding="utf-8")
    assert shown.isascii()
    assert shown == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", [1, 2, 7, 16])
def test_no_line_is_wider_than_the_terminal(workers):
    board, _ = searched(workers)
    board.title = "mlp_dropout on a_data_set_with_a_long_name_数据"
    for width in range(20, 200, 7):
        for ascii_only in (False, True):
            assert all(cell_len(line) <= width for line in text(board, width, ascii_only=ascii_only).splitlines())


@pytest.mark.parametrize("height", [3, 5, 10, 12, 24])
def test_no_screen_is_higher_than_the_terminal_and_what_is_cut_off_is_counted(height):
    lines = text(searched(16)[0], 80, height).splitlines()
    assert len(lines) <= max(height - 1, 3)
    rows = sum(line[1].isdigit() and line[2] == " " for line in lines)
    assert rows == 16 or height < 5 or f"and {16 - rows} more workers" in lines


def test_the_height_stays_from_the_first_to_the_last_event():
    clock = Clock()
    board = Board(clock)
    board.begin_search(Beginning("cnn on mnist", 6, [], 2, None))
    heights = {len(text(board).splitlines())}
    for number in range(6):
        state = ("complete", "pruned", "failed")[number % 3]
        for event in (
            WorkerChanged(number % 2, "lost", "killed by signal 9"),
            WorkerChanged(number % 2, "starting"),
            WorkerChanged(number % 2, "ready"),
            Started(number, params(number), number % 2, 1000),
            Progressed(number, number % 2, 200, 0.3),
            Reported(number, number % 2, 500, 0.9),
            Finished(trial(number, state, worker=number % 2, reason="diverged")),
        ):
            board.apply(event)
            heights.add(len(text(board).splitlines()))
    board.begin_stage("confirm 3 candidates", 5, "run")
    heights.add(len(text(board).splitlines()))
    assert heights == {5}


def test_the_time_left_is_not_guessed_before_three_trials_have_finished():
    clock = Clock()
    board = Board(clock)
    board.begin_search(Beginning("cnn on mnist", 10, [trial(0), trial(1), trial(2), trial(3)], 1, None))
    clock.now += 30  # workers start; no trial has begun
    for number in range(4, 7):
        assert board.left() is None
        board.apply(Started(number, params(number), 0, 1000))
        clock.now += 10
        board.apply(Finished(trial(number, "pruned", worker=0)))
    assert board.finished == 7
    assert board.left() == pytest.approx(30)
    assert "about 30s left" in text(board)


def test_the_time_left_runs_down_while_a_trial_runs_but_not_below_what_the_rate_says():
    clock = Clock()
    board = Board(clock)
    board.begin_search(Beginning("cnn on mnist", 5, [], 1, None))
    for number in range(3):
        board.apply(Started(number, params(number), 0, 1000))
        clock.now += 10
        board.apply(Finished(trial(number, worker=0)))
    clock.now += 4
    assert board.left() == pytest.approx(16)
    clock.now += 400
    assert board.left() == pytest.approx(10)


def test_a_time_limit_is_shown_while_it_ends_the_search_first():
    board, _ = searched()
    assert "about" in text(board)
    board.timeout = board.gone() + 61
    assert "at most 1m left" in text(board)


def test_a_resumed_search_begins_with_what_is_there():
    board = Board(Clock())
    there = [trial(0, accuracy=0.97), trial(1, "failed", reason="diverged"), trial(2, "pruned", 0.995)]
    board.begin_search(Beginning("cnn on mnist", 50, [*there, Trial(3, "running", {})], 2, None))
    shown = text(board)
    assert " 3/50 trials" in shown
    assert "best trial 0 " in shown and "97.00 %" in shown  # a pruned trial's accuracy is not a result
    assert "1 complete, 1 pruned, 1 failed (1 diverged)" in shown


def test_a_second_begin_of_the_same_search_keeps_the_workers_and_leaves_no_line():
    console = terminal()
    with LiveScreen(console, Clock(), period=None) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        screen(WorkerChanged(0, "ready", "CPU"))
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        screen.refresh()
        shown = console.file.getvalue()
    assert "stopped" not in shown
    assert "idle" in shown


def test_a_stage_shows_its_accuracies_by_run_and_losses_while_there_are_none():
    board, _ = searched()
    board.begin_stage("confirm 3 candidates", 5, "trial")
    assert "best trial 4" in text(board)
    for number, accuracy in ((4, 0.9907), (2, 0.985), (4, 0.9911)):
        board.apply(Started(number, params(number), 0, 0))
        board.apply(Progressed(number, 0, 31_000, 0.0834))
        assert "loss 0.0834" in text(board) and "31k" in text(board)
        board.apply(Finished(trial(number, accuracy=accuracy, worker=0, curve=((1000, 2.3), (2000, 1.1)))))
    shown = text(board)
    assert "3/5" in shown
    assert "validation %  trial 2: 98.50, trial 4: 99.07 99.11" in shown


def test_a_stage_that_no_search_went_before_promises_no_best():
    board = Board(Clock())
    board.expect_workers(1)
    board.begin_search(Beginning("cnn on mnist", 50, [], 1, None))
    assert "best: none yet" in text(board)
    board.begin_stage("retrain cnn, 5 seeds", 5, "seed")
    shown = text(board)
    assert "best" not in shown and len(shown.splitlines()) == 4


def test_a_run_that_is_stopped_or_no_longer_there_hears_no_more():
    board, _ = searched()
    board.apply(Paused(5, 0))
    board.progress(0, 140_000, 0.01)
    board.apply(Reported(99, 1, 1000, 0.5))
    board.apply(Reported(5, 3, 1000, 0.5))
    shown = text(board)
    assert "trial 5  paused" in shown
    assert "50.00 %" not in shown


def test_names_and_messages_cannot_move_the_cursor():
    evil = "\x1b[2J\x07\r\nx\u202e[red]"
    console = terminal(width=160, color_system=None)
    with LiveScreen(console, Clock(), period=None) as screen:
        screen.begin_search(Beginning(f"cnn{evil}", 3, [], 1, None))
        screen(Started(0, {f"name{evil}": f"value{evil}"}, 0, 1000))
        screen.refresh()
        screen(Finished(Trial(0, "failed", {}, worker=0, reason=evil)))
        screen(WorkerChanged(0, "lost", evil))
        screen.message(evil)
        screen.refresh()
    shown = console.file.getvalue()
    assert "\x1b[2J" not in shown and "\x07" not in shown and "\u202e" not in shown
    assert "[red]" in shown


def test_an_exception_gives_the_terminal_back():
    console = terminal()
    before = sys.stdout, sys.stderr
    with pytest.raises(ZeroDivisionError), open_screen(console, clock=Clock()) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        screen(Started(0, params(0), 0, 1000))
        raise ZeroDivisionError
    shown = console.file.getvalue()
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
    assert (sys.stdout, sys.stderr) == before
    assert "cnn on mnist: 0/50 trials done, stopped after 0s" in shown


def test_standard_output_is_left_alone_when_it_is_not_a_terminal(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with LiveScreen(terminal(), Clock(), period=None) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        assert sys.stdout is pipe


def test_what_is_over_leaves_one_line_each():
    console = terminal(color_system=None)
    clock = Clock()
    with LiveScreen(console, clock, period=None) as screen:
        screen.begin_search(Beginning("cnn on mnist", 1, [], 1, None))
        screen(Started(0, params(0), 0, 1000))
        clock.now += 125
        screen(Finished(trial(0, accuracy=0.9912, worker=0)))
        screen.begin_stage("retrain cnn, 5 seeds", 5)
        clock.now += 9
        screen.end_stage()
        screen.begin_stage("exam: 10,000 test images", 1)
    shown = console.file.getvalue()
    assert "cnn on mnist: 1/1 trials in 2m05s, best 99.12 % (trial 0)" in shown
    assert "retrain cnn, 5 seeds, done in 9s" in shown
    assert "exam: 10,000 test images, 0/1 runs, stopped after 0s" in shown


def test_nothing_is_written_while_nothing_changes():
    console = terminal()
    with LiveScreen(console, Clock(), period=None) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        written = len(console.file.getvalue())
        screen.refresh()
        assert len(console.file.getvalue()) == written
        screen(Started(0, params(0), 0, 1000))
        screen.refresh()
        assert len(console.file.getvalue()) > written


def test_a_worker_that_measures_precision_is_shown_to_do_so():
    board = Board(Clock())
    board.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
    board.apply(WorkerChanged(1, "probing", "CPU"))
    assert "\n1          probing\n" in text(board)


def test_quiet_shows_messages_alone():
    console = terminal()
    with open_screen(console, quiet=True) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        screen(Started(0, params(0), 0, 1000))
        screen(Finished(trial(0, worker=0)))
        screen.begin_stage("exam", 1)
        screen.end_stage()
        screen.message("the disk is full")
    assert console.file.getvalue() == "the disk is full\n"


def test_after_the_terminal_was_made_narrower_wrapped_lines_are_climbed_over():
    console = terminal(width=100, color_system=None)
    with LiveScreen(console, Clock(), period=None) as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 1, None))  # four lines, of which one is wider than 60
        written = len(console.file.getvalue())
        console.width = 60
        screen.refresh()
        assert console.file.getvalue()[written:].count("\x1b[1A") == 3 + 1


def test_the_screen_redraws_itself_until_it_is_closed():
    console, clock = terminal(), Clock()
    screen = LiveScreen(console, clock, period=0.01)
    screen.begin_search(Beginning("cnn on mnist", 50, [], 1, None))
    clock.now += 42
    until = time.monotonic() + 5
    while "42s gone" not in console.file.getvalue() and time.monotonic() < until:
        time.sleep(0.01)
    assert "42s gone" in console.file.getvalue()
    screen.close()
    written = console.file.getvalue()
    clock.now += 1
    time.sleep(0.05)
    screen.close()
    assert console.file.getvalue() == written


def test_no_color_leaves_only_bold_and_dim():
    coloured, plain = (terminal(no_color=no_color) for no_color in (False, True))
    for console in (coloured, plain):
        with LiveScreen(console, Clock(), period=None) as screen:
            screen.begin_search(Beginning("cnn on mnist", 50, [trial(0)], 1, None))
    assert "\x1b[36m" in coloured.file.getvalue()
    assert "\x1b[36m" not in plain.file.getvalue()
    assert "\x1b[1m" in plain.file.getvalue()


def test_the_screen_fits_the_console(monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert isinstance(open_screen(terminal()), LiveScreen)
    assert isinstance(open_screen(terminal(_environ={"TERM": "dumb"})), PlainScreen)
    assert isinstance(open_screen(Console(file=io.StringIO(), _environ={})), PlainScreen)
    assert isinstance(open_screen(terminal(), quiet=True), MessageScreen)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(open_screen(Console(file=io.StringIO())), PlainScreen)


def test_parameters_that_decide_come_first_and_constant_ones_drop_out():
    trials = [
        Trial(n, "complete", {"epochs": 5, "noise": n * 7 % 5, "rate": 0.1 * n, "kind": "ab"[n > 9]}, 0.9 + 0.001 * n)
        for n in range(20)
    ]
    assert telling(trials) == ["rate", "kind", "noise"]
    assert telling([]) == []
