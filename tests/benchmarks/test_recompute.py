"""The independent script agrees with what a leaderboard prints, and sees a number that was doctored."""

import json
import subprocess
import sys

import pytest
import recompute

from bench import cli, duels
from tests.exams import seal, store


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Ties, one that is clearly better, one of a single seed, one without errors, unequal budgets, an older final."""
    home = tmp_path_factory.mktemp("home")
    store(home, "mlp", 1, 0.30, 3, created="2025-01-01T00:00:00+00:00")
    store(home, "mlp", 2, 0.06, 5)
    store(home, "mlp_dropout", 3, 0.058, 4, trials=20, pruned=0)
    confirm = ({"trial": 3, "val_accuracies": [0.97, 0.98]}, {"trial": 1, "val_accuracies": [0.96, 0.97]})
    store(home, "cnn", 4, 0.01, 3, beside=0.05, confirm=confirm, val_accuracy=0.975, search_seconds=4_000.0)
    store(home, "lone", 5, 0.05, 1)
    store(home, "perfect", 6, 0.0, 2, failed=2)
    seal(home)
    duels.update(home, "digits")
    return home


def printed(home, capsys, shape, *more):
    assert cli.main(["leaderboard", "--home", str(home), "--dataset", "digits", shape, *more]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("baseline", ["mlp", "cnn", "lone"])
def test_every_number_of_a_leaderboard_is_what_the_predictions_say(home, capsys, tmp_path, baseline):
    files = []
    for shape in ("--json", "--markdown"):
        files += [shape, str(tmp_path / shape)]
        (tmp_path / shape).write_text(printed(home, capsys, shape, "--baseline", baseline))
    code = recompute.main([str(home), "digits", "--baseline", baseline, *files])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "DIFFERS" not in said
    assert len(json.loads((tmp_path / "--json").read_text())["rows"]) == 5


def test_the_home_has_what_makes_it_hard(home, capsys):
    rows = {row["family"]: row for row in json.loads(printed(home, capsys, "--json"))["rows"]}
    assert rows["mlp"]["tied"]
    assert rows["cnn"]["rank"] < rows["mlp"]["rank"]
    assert rows["cnn"]["reference"]["error_reduction"] > 0
    assert (rows["lone"]["method"], rows["lone"]["p_value"]) == ("Wilson", None)
    assert rows["mlp"]["test_looks"] == 2
    assert rows["mlp"]["implausible"] is not None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("test_accuracy", lambda value: value + 1e-6),
        ("ci95", lambda bounds: [bounds[0], bounds[1] + 1e-6]),
        ("p_value", lambda value: value * 1.001),
        ("rank", lambda value: value + 1),
        ("tied", lambda value: not value),
        ("p_better", lambda value: value - 1e-6),
        ("seed_sd", lambda value: 2 * value),
        ("test_looks", lambda value: value - 1),
        ("trials", lambda value: value + 1),
    ],
)
def test_a_doctored_number_is_named(home, capsys, tmp_path, name, change):
    document = json.loads(printed(home, capsys, "--json"))
    row = next(row for row in document["rows"] if row["family"] == "cnn")
    row[name] = change(row[name])
    (tmp_path / "board.json").write_text(json.dumps(document))
    (tmp_path / "board.md").write_text(printed(home, capsys, "--markdown"))
    files = ["--json", str(tmp_path / "board.json"), "--markdown", str(tmp_path / "board.md")]
    assert recompute.main([str(home), "digits", *files]) == 1
    said = capsys.readouterr().out
    assert f"].{name}" in said
    assert said.rstrip().endswith("1 differ.")


def test_the_last_digit_of_a_cell_counts(home, capsys, tmp_path):
    (tmp_path / "board.json").write_text(printed(home, capsys, "--json"))
    markdown = printed(home, capsys, "--markdown")
    row = next(line for line in markdown.splitlines() if line.split("|")[2:3] == [" mlp "])
    cell = row.split("|")[3]
    digit = cell.index(" (") - 1
    other = cell[:digit] + str((int(cell[digit]) + 1) % 10) + cell[digit + 1 :]
    (tmp_path / "board.md").write_text(markdown.replace(row, row.replace(cell, other)))
    files = ["--json", str(tmp_path / "board.json"), "--markdown", str(tmp_path / "board.md")]
    assert recompute.main([str(home), "digits", *files]) == 1
    assert "DIFFERS: Markdown, mlp, test accuracy, %" in capsys.readouterr().out


def test_it_imports_nothing_of_bench():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import recompute; "
        "print([name for name in sys.modules if name.split('.')[0] == 'bench'])"
    )
    folder = recompute.__file__.rpartition("/")[0]
    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
