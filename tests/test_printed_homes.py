"""What `bench leaderboard` and `bench mistakes` print of whole homes: golden text at three widths.

Data of 2 and of 100 classes, ties, one seed, one family, a baseline that was never run, files that were tampered with.
"""

from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from bench import results
from bench.cli import main
from bench.holdout import ledger
from tests.exams import seal, store

GOLDEN = Path(__file__).parent / "golden"
TWO = ("cat", "dog")
HUNDRED = tuple(f"species {number:02d}" for number in range(100))


def families(home, class_names, *made):
    """Finals of these (family, error rate, seeds), and what the seal says of their data."""
    seal(home, "pets", class_names)
    for number, (family, error, seeds) in enumerate(made, 1):
        store(home, family, number, error, seeds, dataset="pets", classes=len(class_names))


def two_classes(home):
    families(home, TWO, ("mlp", 0.12, 5), ("cnn", 0.04, 5))


def hundred_classes(home):
    families(home, HUNDRED, ("mlp", 0.45, 5), ("cnn", 0.25, 5))


def ties(home):
    families(home, TWO, ("mlp", 0.05, 3), ("mlp_dropout", 0.05, 3), ("cnn", 0.05, 3))


def one_seed(home):
    families(home, TWO, ("mlp", 0.1, 3), ("cnn", 0.02, 1))


def one_family(home):
    families(home, TWO, ("mlp", 0.1, 3))


def missing_baseline(home):
    families(home, TWO, ("mlp_dropout", 0.1, 3), ("cnn", 0.02, 3))


def tampered(home):
    """A manifest, predictions and the ledger are not what they were; one final is whole."""
    families(home, TWO, ("mlp", 0.1, 3), ("mlp_dropout", 0.09, 3), ("cnn", 0.02, 3))
    manifest = results.folder(home, "pets", "mlp", "id-1") / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"trial": 3', '"trial": 4'))
    path = results.folder(home, "pets", "mlp_dropout", "id-2") / "predictions.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "correct": np.ones_like(arrays["correct"])})
    path = home / ledger.NAME
    first, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join([first.replace("mlp", "cnn"), *others]))


HOMES = {
    "two-classes": (two_classes, []),
    "hundred-classes": (hundred_classes, []),
    "home-ties": (ties, []),
    "home-one-seed": (one_seed, []),
    "home-one-family": (one_family, []),
    "home-missing-baseline": (missing_baseline, ["--baseline", "mlp"]),
    "home-tampered": (tampered, []),
}


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """What a command prints of ./runs at a width; paths are relative, so that they are the same everywhere."""
    monkeypatch.chdir(tmp_path)

    def run(width, *arguments):
        monkeypatch.setenv("COLUMNS", str(width))
        assert main([*arguments, "--dataset", "pets", "--home", "runs"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(cell_len(line) <= width for line in lines)
        return "\n".join(line.rstrip() for line in lines) + "\n"

    return run


@pytest.mark.parametrize("name", HOMES)
def test_the_leaderboard_of_a_home_is_what_it_was_and_fits(name, printed, update_golden):
    make, options = HOMES[name]
    make(Path("runs"))
    for width in (60, 80, 160):
        update_golden(GOLDEN / f"leaderboard-{name}-{width}.txt", printed(width, "leaderboard", *options))


@pytest.mark.parametrize("name", ["two-classes", "hundred-classes"])
def test_the_mistakes_are_what_they_were_and_fit(name, printed, update_golden):
    HOMES[name][0](Path("runs"))
    for width in (60, 80, 160):
        update_golden(GOLDEN / f"mistakes-{name}-{width}.txt", printed(width, "mistakes"))


def test_a_tampered_home_ranks_what_is_whole_and_names_the_rest(printed):
    tampered(Path("runs"))
    text = " ".join(printed(160, "leaderboard").split())
    assert "manifest.json is not the one that this result was made with" in text
    assert "predictions.npz is not what the result was made from" in text
    assert "The ledger was changed: its line 2 does not follow" in text
