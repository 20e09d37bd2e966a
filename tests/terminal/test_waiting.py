import io
import time

from rich.console import Console

from bench.terminal import waiting
from bench.terminal.waiting import Waiting


def plain(encoding="utf-8"):
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), _environ={})


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=60, _environ={"TERM": "xterm"})


def shown(console):
    file = console.file
    return file.buffer.getvalue().decode(file.encoding) if isinstance(file, io.TextIOWrapper) else file.getvalue()


def until(console, text):
    limit = time.monotonic() + 10
    while text not in shown(console):
        assert time.monotonic() < limit, shown(console)
        time.sleep(0.01)


def test_a_short_wait_is_not_shown(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 60)
    for console in (plain(), terminal()):
        with Waiting("sealing", console=console) as wait:
            wait.step("reading")
        assert shown(console) == ""


def test_without_a_terminal_a_long_wait_is_a_line_and_so_is_each_step(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 0)
    console = plain()
    with Waiting("sealing mnist", console=console) as wait:
        until(console, "sealing mnist ...\n")
        wait.step("fetching: 10 %\x1b[2J")
    assert shown(console) == "sealing mnist ...\nfetching: 10 % [2J ...\n"


def test_a_log_that_is_not_utf8_gets_escapes(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 0)
    console = plain("ascii")
    with Waiting("größe", console=console):
        until(console, "gr\\xf6")


def test_on_a_terminal_a_long_wait_moves_shows_the_time_gone_and_leaves_nothing(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 0)
    console = terminal()
    with Waiting("sealing [bold]mnist[/]", console=console) as wait:
        until(console, "sealing [bold]mnist[/]")
        until(console, "0:00:0")
        wait.step("a title that is a good deal longer than what sixty columns can hold \x07")
        until(console, "a title that is")
    text = shown(console)
    assert "\x07" not in text
    assert text.index("\x1b[?25l") < text.rindex("\x1b[?25h"), "the cursor is given back"
    assert text.endswith("\x1b[2K"), "the line is taken away"


def test_quiet_shows_nothing_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 0)
    console = terminal()
    with Waiting("sealing", quiet=True, console=console) as wait:
        wait.step("reading")
        time.sleep(0.05)
    assert shown(console) == ""


def test_an_error_inside_comes_out_and_the_line_is_taken_away(monkeypatch):
    monkeypatch.setattr(waiting, "DELAY", 0)
    console = terminal()
    try:
        with Waiting("sealing", console=console):
            until(console, "sealing")
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert "\x1b[?25h" in shown(console)
