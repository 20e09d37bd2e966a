"""Bad input: the exit code, one clear message, no traceback, and nothing that reaches a terminal alive."""

import io
import json
import subprocess
import sys

import pytest

from bench.cli import main

ESCAPE = "\x1b[31m"


@pytest.fixture
def bench(tmp_path, capsys, monkeypatch):
    """Run a command in this process; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_HOME", raising=False)

    def run(*arguments):
        try:
            code = main([*arguments])
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", f"{ESCAPE}mlp"],
        ["search", f"./{ESCAPE}mlp.py"],
        ["search", "mlp", "--dataset", f"{ESCAPE}digits"],
        ["search", "mlp", "--dataset", f"{ESCAPE}digits.npz"],
        ["search", "mlp", f"--{ESCAPE}foo"],
        ["search", "mlp", "--sampler", f"{ESCAPE}tpe"],
        ["search", "mlp", "--study", f"{ESCAPE}mlp"],
        ["search", "mlp", "--home", f"/proc/{ESCAPE}x"],
        ["search", "mlp", "--set", f"{ESCAPE}width=3"],
        ["studies", "rm", f"{ESCAPE}\r\x07mlp"],
        ["leaderboard", "--dataset", f"{ESCAPE}digits"],
        ["leaderboard", "--dataset", f"{ESCAPE}digits", "--markdown"],
        ["fsck", "--home", f"{ESCAPE}digits"],
        [f"{ESCAPE}search"],
    ],
)
def test_what_was_typed_never_moves_a_cursor(bench, arguments):
    _, out, err = bench(*arguments)
    assert (out + err).replace("\n", "").isprintable()
    assert out + err


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["search", "mlp", "--sampler", "tpee"], "tpe"),
        (["search", "mlp", "--pruner", "hyperbnd"], "hyperband"),
        (["search", "mlp", "--precision", "bfloat"], "bfloat16"),
        (["search", "mlp", "--engine", "optunna"], "optuna"),
        (["serch", "mlp"], "search"),
    ],
)
def test_an_unknown_option_value_names_the_nearest(bench, arguments, near):
    code, _, err = bench(*arguments)
    assert code == 2
    assert f"Did you mean {near}" in err


@pytest.mark.parametrize("name", ["", "a\nb", "\udcff", "x" * 201])
def test_a_study_has_a_printable_name(bench, name):
    code, _, err = bench("search", "mlp", "--study", name)
    assert code == 2
    assert "printable characters" in err


def test_a_terminal_that_was_closed_is_no_error(monkeypatch):
    class Closed:
        def write(self, text):
            raise OSError(5, "Input/output error")

        def flush(self):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stderr", Closed())
    assert main(["search", "no such family"]) == 2


def test_a_class_name_or_a_path_with_markup_is_text_in_the_table_of_data_sets(tmp_path, capsys):
    from dataclasses import replace

    from rich.console import Console

    from bench.data.sealed import Sealed
    from bench.holdout.seal import ensure
    from bench.terminal.datasets import datasets_table

    sealed = ensure(tmp_path, "digits", None, lambda line: None)
    hostile = f"/tmp/{ESCAPE}[red]x.npz"
    replace(
        sealed, name="[red]name", source={**sealed.source, "kind": "file", "path": hostile}, warnings=(hostile,)
    ).save()
    assert "[red]name" in json.loads((sealed.folder / "seal.json").read_text())["name"]
    assert Sealed.load(sealed.folder).name == "[red]name"
    console = Console(width=200)
    console.print(datasets_table(tmp_path))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[red]name" in shown and "[red]x.npz" in shown


@pytest.mark.parametrize(("script", "code"), [('"$@" > /dev/full', 1), ('"$@" | true; exit "${PIPESTATUS[0]}"', 0)])
def test_output_that_cannot_be_written_is_one_line_and_one_that_nobody_reads_is_none(script, code):
    """Also where all of it fits into a buffer, which is written when all is done."""
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "bench", "families", "--json"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == code, run.stderr
    assert run.stderr.count("\n") == code and "Exception ignored" not in run.stderr


def test_a_letter_that_the_output_does_not_know_ends_nothing(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["plan", "--error", "1"]) == 0
    print("\u00b7")
    out.flush()
    assert out.buffer.getvalue().endswith(b"\\xb7\n")
