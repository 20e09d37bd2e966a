import io

import pytest
from rich.console import Console

from bench.records import Finished, Paused, Phases, Progressed, Reported, Shelved, Started, Trial, WorkerChanged
from bench.terminal.board import Beginning
from bench.terminal.plain import PlainScreen, QuietScreen
from bench.terminal.sparkline import bar, cut, duration, estimate, height, parameters, sparkline, thousands

PARAMS = {"width": 128, "learning_rate": 0.00123456, "batch_norm": True}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def log():
    file = io.StringIO()
    clock = Clock()
    return file, clock, PlainScreen(Console(file=file, _environ={}), clock)


def test_a_finished_trial_is_one_line():
    file, _, screen = log()
    screen(Started(12, PARAMS, 1, 150_000))
    screen(Reported(12, 1, 12_500, 0.9712))
    screen(Progressed(12, 1, 13_000, 0.2))
    screen(Finished(Trial(12, "pruned", PARAMS, 0.9712, 12_500, Phases(train=3.2), 1)))
    assert file.getvalue() == (
        "trial 12 pruned    0.9712 after 12,500 samples  3.2 s  worker 1  "
        "width=128 learning_rate=0.00123 batch_norm=True\n"
    )


def test_what_was_paused_is_said_to_go_on_in_the_same_stage():
    file, _, screen = log()
    screen.begin_stage("retrain mlp, 5 seeds", 5, "seed")
    screen(Started(2, PARAMS, 0, 300_000))
    screen(Shelved(2, 0, Trial(2, "running", PARAMS)))
    screen(Started(2, PARAMS, 1, 300_000))
    screen(Shelved(3, 0, Trial(3, "running", PARAMS)))
    screen.begin_stage("retrain cnn, 5 seeds", 5, "seed")
    screen(Started(3, PARAMS, 1, 300_000))
    said = [
        "begin: retrain mlp, 5 seeds",
        "seed 2 paused  worker 0",
        "seed 2 goes on  worker 1",
        "seed 3 paused  worker 0",
    ]
    assert file.getvalue().splitlines() == [*said, "begin: retrain cnn, 5 seeds"]


def test_a_failed_trial_says_why_and_never_a_number():
    file, _, screen = log()
    detail = "Traceback ...\nResourceExhaustedError: 3 GB"
    screen(Finished(Trial(3, "failed", {}, None, 0, Phases(), 0, "out of memory", detail)))
    assert file.getvalue() == (
        "trial 3 failed    out of memory after 0 samples  0.0 s  worker 0  (ResourceExhaustedError: 3 GB)\n"
    )


def test_searches_stages_and_losses_are_told():
    file, clock, screen = log()
    with screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [Trial(0, "complete", {}), Trial(1, "running", {})], 2, 1800))
        screen(WorkerChanged(1, "ready", "CPU"))
        screen(WorkerChanged(1, "lost", "killed by signal 9"))
        screen(Started(1, {}, 0, 1000, attempts=2))
        screen(Paused(1, 0))
        screen.begin_stage("retrain cnn, 5 seeds", 5)
        clock.now += 65
        screen(Finished(Trial(4, "complete", {}, None, 90_000, Phases(train=61.0), 1)))
        screen.end_stage()
        screen.message("two\nlines")
    assert file.getvalue().splitlines() == [
        "cnn on mnist: 1 of 50 trials are there, 2 workers, at most 30m00s",
        "worker 1 lost: killed by signal 9",
        "trial 1 again, attempt 2  worker 0",
        "trial 1 paused  worker 0",
        "begin: retrain cnn, 5 seeds",
        "run 4 complete  after 90,000 samples  61.0 s  worker 1",
        "done: retrain cnn, 5 seeds in 1m05s",
        "two",
        "lines",
    ]


def test_control_characters_never_reach_the_log_and_markup_is_text():
    file, _, screen = log()
    screen(Finished(Trial(0, "complete", {"a\x1b[31m": "[bold]:smile:\r\n\x9b"}, 0.5)))
    assert file.getvalue().count("\n") == 1
    assert file.getvalue().rstrip("\n").isprintable()
    assert "[bold]:smile:" in file.getvalue()


def test_a_log_that_is_not_utf8_gets_escapes_in_place_of_an_error():
    raw = io.BytesIO()
    screen = PlainScreen(Console(file=io.TextIOWrapper(raw, encoding="ascii"), _environ={}))
    screen.message("größe")
    assert raw.getvalue() == b"gr\\xf6\\xdfe\n"


def test_every_line_is_flushed():
    raw = io.BytesIO()
    screen = PlainScreen(Console(file=io.TextIOWrapper(raw, encoding="utf-8"), _environ={}))
    screen.message("one")
    assert raw.getvalue() == b"one\n"


def test_a_reader_that_went_away_does_not_end_the_search():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    PlainScreen(Console(file=Closed(), _environ={})).message("nobody reads this")


def test_quiet_hears_everything_and_says_nothing(capsys):
    with QuietScreen() as screen:
        screen.begin_search(Beginning("cnn on mnist", 50, [], 2, None))
        screen(WorkerChanged(1, "lost", "killed"))
        screen.begin_stage("exam", 1)
        screen.progress(0, 10, 0.1)
        screen.message("hello")
        screen.end_stage()
    assert capsys.readouterr() == ("", "")


def test_a_sparkline_spans_its_blocks_and_keeps_both_ends_when_thinned():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(range(100), 5) == "▁▃▅▆█"
    assert sparkline([0.5], 8) == "▄"
    assert sparkline([1, 2], 8, low=0, high=2) == "▅█"
    assert sparkline([0, 1], 8, ascii_only=True) == "_^"
    assert sparkline([float("nan")], 8) == sparkline([1.0], 0) == ""


def test_sparklines_show_errors_that_halve_as_equal_steps():
    steps = [height(accuracy) for accuracy in (0.9, 0.95, 0.975)]
    assert steps[1] - steps[0] == pytest.approx(steps[2] - steps[1])
    assert height(1.0) == height(0.9999)


def test_a_bar_is_as_wide_as_asked_and_shows_halves():
    assert bar(0.5, 4) == ("━━", "──")
    assert bar(0.625, 4) == ("━━╸", "─")
    assert bar(2.0, 4) == ("━━━━", "")
    assert bar(-1.0, 4, ascii_only=True) == ("", "----")


def test_numbers_are_short():
    assert [duration(s) for s in (0, 59.9, 60, 3599, 7500)] == ["0s", "59s", "1m00s", "59m59s", "2h05m"]
    assert [estimate(s) for s in (1, 33, 66, 599, 3500, 7300)] == ["5s", "35s", "1m10s", "10m", "58m", "2h00m"]
    assert [thousands(n) for n in (950, 12_500, 150_000, 999_700, 2_500_000)] == [
        "950",
        "12.5k",
        "150k",
        "999k",
        "2.5M",
    ]


def test_text_is_cut_by_cells_and_marked():
    assert cut("数据集", 5) == "数据…"
    assert cut("abcdef", 5, ascii_only=True) == "ab..."
    assert cut("abc", 0) == ""


def test_parameters_are_shown_whole_or_not_at_all():
    assert parameters(PARAMS, 24) == "width=128 …"
    assert parameters(PARAMS, 40) == "width=128 learning_rate=0.00123 …"
    assert parameters(PARAMS, 40, ["batch_norm"]) == "batch_norm=True width=128 …"
    assert parameters(PARAMS, 5) == "widt…"
    assert parameters({}, 5) == ""
