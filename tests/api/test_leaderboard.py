"""`bench.leaderboard`: the same cells everywhere, and nothing in them alive."""

import json

import pytest
from rich.console import Console

import bench
from bench.api.leaderboard import Leaderboard
from bench.cli import main
from bench.errors import UsageError
from bench.formats import columns_of
from bench.ranking import leaderboard, validation_board
from tests.test_ranking import CNN, COMPARISONS, MLP

BOARD = Leaderboard(leaderboard("digits", [MLP, CNN], COMPARISONS, lambda final: 1))


def test_rows_can_be_walked_counted_and_indexed():
    assert [row["rank"] for row in BOARD] == [BOARD[0]["rank"], BOARD[1]["rank"]]
    assert len(BOARD) == len(BOARD.rows) == 2
    assert BOARD[:1] == [BOARD[0]]


def test_a_frame_has_the_columns_of_the_csv():
    from bench.formats import to_csv

    frame = BOARD.to_frame()
    assert list(frame.columns) == to_csv(BOARD.board).splitlines()[0].split(",")
    assert frame["ci95_low"].tolist() == [row["ci95"][0] for row in BOARD]


def test_a_notebook_shows_the_cells_of_the_terminal():
    page = BOARD._repr_html_()
    for row in BOARD.board.rows:
        for cell in columns_of(BOARD.board).values():
            assert f">{cell(row)}</td>" in page
    assert "error reduction against mlp" in page


def test_a_prompt_and_a_terminal_show_the_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(BOARD)
    console.file.close()
    shown = [line.rstrip() for line in console.export_text().splitlines()]
    assert repr(BOARD).splitlines() == shown
    assert shown[0].split()[:2] == ["rank", "family"]


def test_a_figure_has_a_dot_and_its_interval_a_row():
    (dots,) = BOARD.plot().data
    for place, row in enumerate(BOARD):
        assert dots.x[place] == 100 * row["test_accuracy"]
        assert dots.x[place] + dots.error_x.array[place] == 100 * row["ci95"][1]
        assert dots.x[place] - dots.error_x.arrayminus[place] == 100 * row["ci95"][0]


def test_an_empty_home_has_an_empty_leaderboard(tmp_path):
    board = bench.leaderboard("digits", home=tmp_path)
    assert (len(board), board.baseline) == (0, None)
    assert "No results for digits yet" in repr(board)
    assert "No results for digits yet" in board._repr_html_()
    assert board.to_frame().empty
    assert board.plot().data[0].x == ()


def test_names_stay_text_on_a_page_and_in_a_figure():
    study = {
        "family": "<img src=x>\x1b[2J", "engine": "optuna", "study": "<b>s</b>", "val_accuracy": 0.9,
        "validation_images": 100, "trials": 3, "pruned": 0, "failed": 0, "search_seconds": 1.0, "params": 10,
        "data_checksum": "c",
    }  # fmt: skip
    board = Leaderboard(validation_board("<i>data</i>", [study]))
    for shown in (board._repr_html_(), board.plot().to_json()):
        assert not any(tag in shown for tag in ("<img", "<b>", "<i>", "\x1b", "\\u001b"))
    assert "\x1b" not in repr(board)


def test_the_validation_board_of_a_home_ranks_its_studies(result):
    (row,) = bench.leaderboard("digits", validation=True, home=result.home)
    assert (row["family"], row["val_accuracy"]) == ("small", result.best.val_accuracy)


@pytest.mark.parametrize("at", [2, "2", "1h"])
def test_a_board_at_a_budget_is_the_one_that_the_command_prints(result, capsys, at):
    board = bench.leaderboard("digits", at=at, home=result.home)
    given = ["--dataset", "digits", "--home", str(result.home), "--at", str(at)]
    assert main(["leaderboard", *given, "--json"]) == 0
    assert board.to_json() == json.loads(capsys.readouterr().out)
    assert board.to_json()["at"]["unit"] == ("device_seconds" if at == "1h" else "trials")
    (row,) = board
    (dots,) = board.plot().data
    assert dots.x == (100 * row["val_accuracy"],)
    assert "best validation accuracy" in board.plot().layout.xaxis.title.text
    assert board.to_frame()["val_accuracy"].tolist() == [row["val_accuracy"]]


@pytest.mark.parametrize("at", [0, -1, True, 1.5, "", "0s", "soon", "40 s", [2]])
def test_a_budget_that_is_none_is_refused_with_how_it_is_written(tmp_path, at):
    with pytest.raises(UsageError, match="at is written like 20 for trials, or 40s, 10m, 1h for device time, not"):
        bench.leaderboard("digits", at=at, home=tmp_path)


def test_a_board_is_at_a_budget_or_the_one_of_now(tmp_path):
    with pytest.raises(UsageError, match="leave validation out, or at"):
        bench.leaderboard("digits", validation=True, at=2, home=tmp_path)
