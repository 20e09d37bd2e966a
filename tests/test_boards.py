"""Where one final stands among the stored ones."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from bench import boards, results
from bench.budgets import Budget
from bench.family import load
from bench.holdout import ledger
from bench.records import NOTEBOOK, Finished, Started, Trial
from bench.store import Store
from tests.test_results import random_answers, store


def test_a_final_stands_for_itself_where_its_study_has_a_newer_one(tmp_path):
    old = store(tmp_path, "mlp", random_answers(0, seeds=2), "old", created="2025-01-01T00:00:00+00:00")
    new = store(tmp_path, "mlp", random_answers(1, seeds=3), "new")
    other = store(tmp_path, "cnn", random_answers(2, accuracy=0.5))
    newest = {row["family"]: row for row in boards.make_board(tmp_path, "digits", None).rows}
    assert newest["mlp"]["seeds"] == 3

    stands = boards.standing(tmp_path, old)
    assert (stands.row["seeds"], stands.row["test_accuracy"], stands.newer) == (2, old.test_accuracy, new)
    assert stands.row["rank"] == 1
    stands = boards.standing(tmp_path, new)
    assert (stands.row["seeds"], stands.newer) == (3, None)
    assert boards.standing(tmp_path, other).row["rank"] == 2
    # What is stored for the leaderboard is still that of the newest.
    assert {row["family"]: row for row in boards.make_board(tmp_path, "digits", None).rows} == newest


def test_a_final_stands_among_those_of_its_data_though_newer_data_has_others(tmp_path):
    ours = store(tmp_path, "mlp", random_answers(0))
    store(tmp_path, "cnn", random_answers(1), checksum="c2", created="2027-01-01T00:00:00+00:00")
    assert boards.standing(tmp_path, ours).row["test_accuracy"] == ours.test_accuracy


def test_a_final_that_is_not_ranked_has_no_row(tmp_path):
    theirs = store(tmp_path, "mlp", random_answers(0), "notebook", purpose=NOTEBOOK)
    store(tmp_path, "mlp", random_answers(1), created="2027-01-01T00:00:00+00:00")
    assert boards.standing(tmp_path, theirs) == boards.Standing(None, None)


def looked_at(home, *finals):
    for final in finals:
        look = {"event": "look", "manifest": final.id, "manifest_sha256": final.manifest_sha256}
        ledger.record(home, {**look, "data_checksum": final.data_checksum, "family": final.family})


def change_the_manifest(home, final):
    path = results.folder(home, "digits", final.family, final.id) / "manifest.json"
    path.write_text(path.read_text().replace('"trial": 3', '"trial": 4'))


def change_the_predictions(home, final):
    path = results.folder(home, "digits", final.family, final.id) / "predictions.npz"
    np.savez(path, correct=np.ones((3, 200), bool))


def break_the_result(home, final):
    (results.folder(home, "digits", final.family, final.id) / "result.json").write_text("{")


@pytest.mark.parametrize("change", [change_the_manifest, change_the_predictions, break_the_result])
def test_a_final_that_was_changed_is_left_out_of_the_board_with_what_to_do(tmp_path, change):
    finals = [store(tmp_path, family, random_answers(seed)) for seed, family in enumerate(("mlp", "cnn", "other"))]
    looked_at(tmp_path, *finals)
    whole = boards.make_board(tmp_path, "digits", None)
    assert (len(whole.rows), [note for note in whole.notes if "changed" in note or "Left out" in note]) == (3, [])
    change(tmp_path, finals[1])
    found = boards.make_board(tmp_path, "digits", None)
    assert sorted(row["family"] for row in found.rows) == ["mlp", "other"]
    (note,) = (note for note in found.notes if note.startswith("Left out"))
    assert f"cnn/{finals[1].id}" in note and "bench final" in note
    # The others are compared among themselves, so that they are ranked as if it had never been.
    assert not any("No comparison" in note for note in found.notes)
    assert boards.standing(tmp_path, finals[0]).row["family"] == "mlp"


@pytest.fixture
def searched(tmp_path, monkeypatch):
    sealed = SimpleNamespace(checksum="c1", n_validation=1_000, name="digits")
    monkeypatch.setattr("bench.data.sealed.sealed_in", lambda home: [sealed])
    family, searched = load("mlp"), Store(tmp_path)
    known = {"family": "mlp", "engine": "optuna", "dataset": "digits", "data_checksum": "c1", "id": "one"}
    searched.create("digits-mlp", known)
    write = searched.writer("digits-mlp", family.space)
    for number in range(4):  # the last one is what the final trained again
        write(Started(number, family.reference, 0, 1_000))
        write(Finished(Trial(number, "complete", family.reference, 0.9 + number / 100, 1_000, elapsed=number)))
    searched.close()


@pytest.mark.usefixtures("searched")
def test_a_final_that_a_newer_one_replaced_and_that_was_changed_gives_an_earlier_board_no_test_accuracy(
    tmp_path, monkeypatch
):
    old = store(tmp_path, "mlp", random_answers(1), "old", created="2025-01-01T00:00:00+00:00", study_id="one")
    new = store(tmp_path, "mlp", random_answers(0), "new", study_id="one")
    monkeypatch.setattr(results, "trial_of", lambda home, final: {"old": 2, "new": 3}[final.id])

    def tested(trials):
        (row,) = boards.make_validation_board(tmp_path, None, "digits", Budget(trials, "trials")).rows
        return row["test_accuracy"]

    assert (tested(3), tested(4)) == (old.test_accuracy, new.test_accuracy)
    change_the_predictions(tmp_path, old)
    assert (tested(3), tested(4)) == (None, new.test_accuracy)
    assert "mlp/old" in boards.make_validation_board(tmp_path, None, "digits", Budget(3, "trials")).notes[-1]


@pytest.mark.usefixtures("searched")
@pytest.mark.parametrize("change", [change_the_manifest, change_the_predictions, break_the_result])
def test_a_final_that_was_changed_gives_an_earlier_board_no_test_accuracy(tmp_path, change):
    final = store(tmp_path, "mlp", random_answers(0), study_id="one")
    (row,) = boards.make_validation_board(tmp_path, None, "digits", Budget(4, "trials")).rows
    assert row["test_accuracy"] == final.test_accuracy
    change(tmp_path, final)
    found = boards.make_validation_board(tmp_path, None, "digits", Budget(4, "trials"))
    assert [(row["trial"], row["test_accuracy"]) for row in found.rows] == [(3, None)]
    assert any(note.startswith("Left out") and f"mlp/{final.id}" in note for note in found.notes)


def test_a_ledger_that_was_changed_is_shown_on_the_board(tmp_path):
    finals = [store(tmp_path, family, random_answers(seed)) for seed, family in enumerate(("mlp", "cnn"))]
    looked_at(tmp_path, finals[0], finals[0], *finals)
    assert [row["test_looks"] for row in boards.make_board(tmp_path, "digits", "mlp").rows] in ([3, 1], [1, 3])
    path = tmp_path / ledger.NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"".join(lines[2:]))
    notes = boards.make_board(tmp_path, "digits", None).notes
    assert any("ledger was changed: its line 2" in note and str(path) in note for note in notes)


def test_a_look_that_is_missing_at_the_end_of_the_ledger_is_missed_by_its_final(tmp_path):
    """The same family has others, so that a count alone would not tell."""
    old, new = (store(tmp_path, "mlp", random_answers(seed), name) for seed, name in enumerate(("a", "b")))
    looked_at(tmp_path, old, new)
    assert not any("ledger" in note for note in boards.make_board(tmp_path, "digits", None).notes)
    path = tmp_path / ledger.NAME
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    notes = boards.make_board(tmp_path, "digits", None).notes
    assert any("no look with the manifest of mlp (digits-mlp)" in note for note in notes)


def test_a_board_of_which_nothing_is_left_says_why(tmp_path):
    from rich.console import Console

    from bench.terminal.tables import leaderboard_table

    break_the_result(tmp_path, store(tmp_path, "mlp", random_answers(0)))
    console = Console(width=200, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(leaderboard_table(boards.make_board(tmp_path, "digits", None), 200))
    assert "Left out" in capture.get() and "does not read back" in capture.get()


def test_a_ledger_line_that_does_not_read_back_is_an_error_with_the_way_out(tmp_path):
    from bench.errors import RecordError

    final = store(tmp_path, "mlp", random_answers(0))
    looked_at(tmp_path, final)
    path = tmp_path / ledger.NAME
    path.write_text("{\n" + json.dumps({"event": "note"}) + "\n")
    with pytest.raises(RecordError, match="line 1 does not read back"):
        boards.make_board(tmp_path, "digits", None)


def test_a_final_stands_beside_that_of_another_study_of_its_name(tmp_path):
    ours = store(tmp_path, "mlp", random_answers(0, seeds=2), "ours", study_id="one" * 8)
    other = store(tmp_path, "mlp", random_answers(0, seeds=3), "other", study_id="two" * 8)
    for final, seeds in ((ours, 2), (other, 3)):
        stands = boards.standing(tmp_path, final)
        assert (stands.row["seeds"], stands.row["study_id"], stands.newer) == (seeds, final.study_id, None)
    board = boards.make_board(tmp_path, "digits", None)
    assert sorted(row["study_id"] for row in board.rows) == ["one" * 8, "two" * 8]
    (note,) = [note for note in board.notes if "cannot be separated" in note]
    assert "mlp (digits-mlp) (study oneoneon)" in note and "mlp (digits-mlp) (study twotwotw)" in note
