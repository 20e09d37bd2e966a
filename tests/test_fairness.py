"""Equal budgets, or marked; validation minus test, flagged where chance cannot do it."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from bench import formats
from bench.fairness import Z999, gap, usual_trials
from bench.ranking import leaderboard
from tests.test_ranking import CNN, COMPARISONS, DROPOUT, MLP, NONE


def board(*finals, images=10_000):
    return leaderboard("mnist", finals, COMPARISONS, lambda final: 1, None, {"c": images})


def test_the_quantile_is_that_of_the_normal_distribution():
    assert norm.ppf(0.9995) == pytest.approx(Z999, abs=1e-12)


def test_rows_with_another_number_of_trials_than_most_are_marked_and_the_fair_board_is_named():
    found = board(MLP, DROPOUT, replace(CNN, trials=20))
    rows = {row["family"]: row for row in found.rows}
    assert {name: row["equal_budget"] for name, row in rows.items()} == {
        "mlp": True, "mlp_dropout": True, "cnn": False,
    }  # fmt: skip
    cell = formats.columns_of(found)["trials"]
    assert cell(rows["cnn"]) == "20 (35 pruned) *"
    assert "*" not in cell(rows["mlp"])
    (note,) = [note for note in found.notes if note.startswith("*")]
    assert note.startswith("* Unequal budgets: 50 trials, but cnn (20). `bench leaderboard --dataset mnist --at 20`")


def test_of_two_that_differ_the_smaller_is_marked():
    assert usual_trials([MLP, replace(CNN, trials=20)]) == 50
    assert usual_trials([]) == 0


def test_equal_trials_that_cost_unequal_time_are_told_with_the_command_that_compares_at_equal_time():
    used = {"device_seconds": 96.4, "samples": 2_000_000}
    found = board(replace(MLP, **used), replace(CNN, device_seconds=222.0, samples=2_100_000))
    (note,) = [note for note in found.notes if "Equal in trials" in note]
    assert note == (
        "Equal in trials (50), but not in all: 96 s of device time for mlp, 222 for cnn. "
        "`bench leaderboard --dataset mnist --at 96s` compares at equal time, on validation."
    )
    assert {row["equal_budget"] for row in found.rows} == {True}
    assert found.rows[0]["device_seconds"] == 222.0
    alike = board(replace(MLP, **used), replace(CNN, device_seconds=100.0, samples=2_100_000))
    assert not any("Equal in trials" in note for note in alike.notes)


def test_samples_that_differ_are_told_too():
    found = board(
        replace(MLP, device_seconds=10.0, samples=1_000), replace(CNN, device_seconds=10.5, samples=1_000_000)
    )
    assert any("1,000 samples for mlp, 1,000,000 for cnn" in note for note in found.notes)


def test_results_that_noted_no_device_time_are_not_called_unequal_in_it():
    assert not any("Equal in trials" in note for note in board(MLP, CNN).notes)


def test_an_honest_difference_is_flagged_hardly_ever_and_selection_is_allowed_for():
    """Fifty trials of one true accuracy: the best on 1,000 validation images against a test of 1,000 others."""
    generator, flags = np.random.default_rng(0), []
    for _ in range(2_000):
        validation = generator.binomial(1_000, 0.97, size=50).max() / 1_000
        test = generator.binomial(1_000, 0.97) / 1_000
        final = replace(MLP, val_accuracy=validation, test_accuracy=test, test_images=1_000, trials=50, failed=0)
        flags.append(gap(final, 1_000).implausible)
    assert np.mean(flags) <= 0.001
    unselected = [
        replace(MLP, val_accuracy=v / 1_000, test_accuracy=t / 1_000, test_images=1_000, trials=1, failed=0)
        for v, t in generator.binomial(1_000, 0.9, size=(4_000, 2))
    ]
    assert np.mean([gap(final, 1_000).implausible for final in unselected]) <= 0.003


@pytest.mark.parametrize(("val_accuracy", "said"), [(0.996, "above"), (0.96, "below")])
def test_a_difference_that_chance_cannot_make_is_flagged_with_where_to_look(val_accuracy, said):
    found = board(replace(MLP, val_accuracy=val_accuracy), replace(CNN, val_accuracy=0.9935))
    rows = {row["family"]: row for row in found.rows}
    assert (rows["mlp"]["implausible"], rows["cnn"]["implausible"]) == (True, False)
    assert rows["mlp"]["val_minus_test"] == pytest.approx(val_accuracy - MLP.test_accuracy)
    assert formats.columns_of(found)["val - test"](rows["mlp"]).endswith(" !")
    (note,) = [note for note in found.notes if note.startswith(f"mlp: validation {said} test by")]
    assert "99.9 %" in note
    assert "?" in note


def test_without_the_number_of_validation_images_nothing_is_judged():
    rows = leaderboard("mnist", [replace(MLP, val_accuracy=0.5)], NONE, lambda final: 1).rows
    assert (rows[0]["implausible"], rows[0]["val_minus_test_bounds"]) == (None, None)
    assert rows[0]["val_minus_test"] == pytest.approx(0.5 - 0.984)


def test_accuracies_of_one_are_no_division_by_nothing():
    found = gap(replace(MLP, val_accuracy=1.0, test_accuracy=1.0), 100)
    assert (found.difference, found.implausible) == (0.0, False)
