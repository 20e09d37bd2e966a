import subprocess
import sys
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.ranking import leaderboard, validation_board
from bench.records import Phases, Trial
from bench.terminal.tables import families_table, leaderboard_table, studies_table, trials_table
from tests.test_ranking import CNN, COMPARISONS, MLP

HOSTILE = "[red]x[/] \x1b[31m\r\n\u202e\x07"


def render(table, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def shows_safely(text):
    return "[red]x[/]" in text and all(c.isprintable() or c == "\n" for c in text)


def test_importing_what_prints_loads_nothing_heavy():
    code = (
        "import sys, bench.ranking, bench.results, bench.formats, bench.terminal.tables\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'statsmodels', 'tensorflow', 'keras', 'optuna', 'ray', 'sklearn'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_trials_show_every_state_with_its_reason_and_hostile_text_as_text():
    trials = [
        Trial(0, "complete", {"width": 128, "learning_rate": 0.00123456}, 0.98712, 150_000, Phases(train=3.25), 1),
        Trial(1, "pruned", {"width": 64}, 0.91, 12_500, worker=0, reason=None),
        Trial(2, "failed", {"name": HOSTILE}, worker=1, reason=HOSTILE),
        Trial(3, "running", {}),
    ]
    text = render(trials_table(trials, 160), 160)
    for expected in ("98.71", "150,000", "3.2 s", "learning_rate=0.00123", "pruned", "running", "failed: [red]x[/]"):
        assert expected in text
    assert shows_safely(text)
    assert all(cell_len(line) <= 80 for line in render(trials_table(trials, 80)).splitlines())


@pytest.mark.parametrize("width", [60, 80, 160])
def test_trials_keep_number_accuracy_and_state_at_every_width(width):
    params = {"width": 128, "learning_rate": 0.00123456, "optimizer": "adam", "batch_norm": True, "weight_decay": 0.01}
    text = render(trials_table([Trial(7, "complete", params, 0.98712, 150_000, Phases(train=3.25), 1)], width), width)
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines())
    for expected in ("trial", "validation %", "98.71", "complete", "width=128"):
        assert expected in text
    assert ("Not shown at this width: " in text) == (width == 60)


def test_studies_and_families_show_hostile_names_as_text():
    row = {
        "study": HOSTILE,
        "dataset": HOSTILE,
        "family": HOSTILE,
        "trials": 5,
        "pruned": 1,
        "failed": 0,
        "state": HOSTILE,
    }
    assert shows_safely(render(studies_table([{**row, "best_val_accuracy": None, "seconds": 3.0}], 160), 160))
    assert shows_safely(render(families_table([{"family": HOSTILE, "about": HOSTILE, "parameters": [HOSTILE]}]), 160))


def test_without_studies_the_next_command_is_named():
    assert "bench search" in render(studies_table([], 80))


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_board_fits_with_names_of_wide_characters(width):
    wide = replace(CNN, family="卷积神经网络", study="mnist-wide")
    board = leaderboard("mnist", [MLP, wide], COMPARISONS, lambda final: 1)
    text = render(leaderboard_table(board, width), width)
    assert "卷积神经网络" in text
    assert "…" not in text
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines())


def test_validation_says_what_it_is_and_shows_no_test_figure():
    study = {
        "family": "mlp", "engine": "ray", "study": "s", "val_accuracy": 0.98, "validation_images": 300, "trials": 5,
        "pruned": 1, "failed": 1, "search_seconds": 3.0, "params": None, "data_checksum": "c",
    }  # fmt: skip
    text = render(leaderboard_table(validation_board("digits", [study]), 160), 160)
    assert "mlp (ray)" in text
    assert "5 (1 pruned, 1 failed)" in text
    assert "optimistic" in text
    assert "test accuracy" not in text
