"""The board after a budget, recomputed by hand from made-up trials, and what is printed of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import formats
from bench.budgets import Budget, Searched, board_at, spent, steps
from bench.commands.options import budget
from bench.records import Phases, Trial
from tests.test_ranking import CNN, render

GOLDEN = Path(__file__).parent / "golden"


def trial(number, accuracy, seconds=10.0, state="complete", elapsed=None):
    """One that ended after the one before it, unless said otherwise."""
    ended = 10.0 * (number + 1) if elapsed is None else elapsed
    return Trial(number, state, {}, accuracy, 1_000, Phases(train=seconds), 0, elapsed=ended, parameters=500)


# mlp is quick and levels off; cnn is slow and ends higher. A pruned and a failed trial cost what they took.
MLP_TRIALS = [
    trial(0, 0.960), trial(1, 0.970), trial(2, 0.90, state="pruned"), trial(3, 0.975), trial(4, 0.972),
    trial(5, None, state="failed"), trial(6, 0.974),
]  # fmt: skip
CNN_TRIALS = [trial(0, 0.950, 25.0), trial(1, 0.985, 25.0), trial(2, 0.980, 25.0), trial(3, 0.991, 25.0)]
MLP = Searched("mlp", "optuna", "digits-mlp", "c", 10_000, MLP_TRIALS, {}, 70.0)
TESTED = replace(CNN, test_accuracy=0.983, ci95=(0.98, 0.986))
DEEP = Searched("cnn", "optuna", "digits-cnn", "c", 10_000, CNN_TRIALS, {1: TESTED}, 100.0)


def at(text, *studies):
    return board_at("digits", studies or (MLP, DEEP), budget(text))


def test_a_number_is_trials_and_a_time_is_device_seconds():
    assert budget("20") == Budget(20, "trials")
    assert budget("40s") == Budget(40.0, "device_seconds")
    assert budget("1h30m") == Budget(5400.0, "device_seconds")


@pytest.mark.parametrize("text", ["", "0", "-3", "2.5", "0s", "s", "forty", "40x", "1 2s", "²"])
def test_anything_else_is_refused_with_both_forms(text):
    with pytest.raises(Exception, match="is written like 20 for trials, or 40s, 10m, 1h for device time"):
        budget(text)


def test_every_trial_that_is_over_is_charged_in_the_order_in_which_they_ended():
    late = [trial(0, 0.9, elapsed=30.0), trial(1, 0.8, elapsed=5.0), Trial(2, "running", {}, 0.99, 700)]
    found = steps(late)
    assert [(step.spent.trials, step.best.number) for step in found] == [(1, 1), (2, 0)]
    assert [step.spent.device_seconds for step in found] == [10.0, 20.0]
    assert spent(late) == found[-1].spent
    assert (spent(MLP_TRIALS).trials, spent(MLP_TRIALS).samples, spent(MLP_TRIALS).device_seconds) == (7, 7_000, 70.0)


def test_of_equal_trials_the_one_of_the_lower_number_is_the_best():
    found = steps([trial(0, 0.9, elapsed=30.0), trial(1, 0.9, elapsed=5.0)])
    assert [step.best.number for step in found] == [1, 0]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("1", [("mlp", 0, 0.960), ("cnn", 0, 0.950)]),
        ("2", [("cnn", 1, 0.985), ("mlp", 1, 0.970)]),
        ("4", [("cnn", 3, 0.991), ("mlp", 3, 0.975)]),
        ("49s", [("mlp", 3, 0.975), ("cnn", 0, 0.950)]),  # cnn's second trial ended at 50 s
        ("50s", [("cnn", 1, 0.985), ("mlp", 3, 0.975)]),
    ],
)
def test_the_board_is_the_one_that_there_was_after_the_budget(text, order):
    assert [(row["family"], row["trial"], row["val_accuracy"]) for row in at(text).rows] == order
    assert [row["rank"] for row in at(text).rows] == [1, 2]


def test_a_test_accuracy_stands_only_where_the_best_by_then_is_the_trial_that_had_the_final():
    assert {row["family"]: row["test_accuracy"] for row in at("2").rows} == {"cnn": 0.983, "mlp": None}
    assert {row["family"]: row["test_accuracy"] for row in at("1").rows} == {"cnn": None, "mlp": None}
    assert {row["family"]: row["test_accuracy"] for row in at("4").rows} == {"cnn": None, "mlp": None}
    assert any("the very one that had its final" in note for note in at("2").notes)
    assert not any("the very one that had its final" in note for note in at("4").notes)


def test_it_says_that_it_ranks_on_validation_and_why():
    said = at("40s").notes[0]
    assert said.startswith("Ranked on validation accuracy after 40 s of device time each: the test set was opened for")


def test_a_search_that_ended_before_the_budget_is_marked():
    rows = {row["family"]: row for row in at("5").rows}
    assert (rows["mlp"]["reached"], rows["cnn"]["reached"], rows["cnn"]["trials"]) == (True, False, 4)
    assert "* Searched no further than shown, and so with less than 5 trials: cnn." in at("5").notes
    cell = formats.columns_of(at("5"))["trials"]
    assert [cell(rows["cnn"]), cell(rows["mlp"])] == ["4 *", "5 (1 pruned)"]


def test_a_family_without_a_complete_trial_by_then_is_named_and_is_no_row():
    found = at("20s")
    assert [row["family"] for row in found.rows] == ["mlp"]
    assert "No complete trial by then: cnn." in found.notes


def test_before_every_complete_trial_there_are_searches_and_no_rows():
    text = " ".join(render(at("1s"), 80).split())
    assert text == "No complete trial on digits after 1 s. No complete trial by then: mlp, cnn."


def test_studies_of_other_data_are_left_out_by_name():
    old = replace(MLP, data_checksum="old", study="was")
    found = at("4", old, DEEP)
    assert [row["family"] for row in found.rows] == ["cnn"]
    assert any("other data of this name: mlp (was)" in note for note in found.notes)


def test_without_a_study_there_are_no_rows():
    assert board_at("digits", [], Budget(3, "trials")).rows == ()


def test_the_json_names_the_budget_and_the_csv_has_its_columns():
    document = json.loads(json.dumps(formats.to_json(at("40s")), allow_nan=False))
    assert document["at"] == {"amount": 40.0, "unit": "device_seconds"}
    assert set(document["rows"][0]) >= {"val_accuracy", "trial", "trials", "samples", "device_seconds", "test_accuracy"}
    head, *lines = formats.to_csv(at("2")).splitlines()
    assert head.endswith("params,test_accuracy,test_ci95_low,test_ci95_high")
    assert lines[0].endswith("0.983,0.98,0.986")
    assert lines[1].endswith(",,,")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_is_what_it_was_and_fits(width, update_golden):
    hostile = replace(DEEP, family="[red]x[/]\x1b[31m\n", study="x")
    text = render(at("2", MLP, DEEP, hostile), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text
    update_golden(GOLDEN / f"leaderboard-at-{width}.txt", text)


def test_markdown_is_what_it_was(update_golden):
    update_golden(GOLDEN / "leaderboard-at.md", formats.to_markdown(at("5")) + "\n")
