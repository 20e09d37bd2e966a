"""Where one final stands among the stored ones."""

from bench import boards
from bench.records import NOTEBOOK
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
