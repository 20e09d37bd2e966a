"""Rows and ranks from stored numbers, and what is printed of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import formats
from bench.ranking import leaderboard, validation_board
from bench.records import NOTEBOOK, Final
from bench.terminal.tables import leaderboard_table
from bench.verdicts import Comparisons

GOLDEN = Path(__file__).parent / "golden"
MLP = Final(
    schema=1, id="m", manifest_sha256="", predictions_sha256="", dataset="mnist", data_checksum="c", study="mnist-mlp",
    family="mlp", engine="optuna", created="2026-01-01", test_accuracy=0.984, ci95=(0.9815, 0.9865),
    method="crossed seeds x images", seeds=(1, 2, 3, 4, 5), seed_accuracies=(0.984,) * 5, test_images=10_000,
    errors=160.0, val_accuracy=0.983, trials=50, pruned=35, failed=1, search_seconds=61.0, final_seconds=30.0,
    parameters=407_050,
)  # fmt: skip
DROPOUT = replace(
    MLP, id="d", family="mlp_dropout", study="mnist-mlp_dropout", test_accuracy=0.9865, ci95=(0.984, 0.989),
    errors=135.0, failed=0,
)  # fmt: skip
CNN = replace(
    MLP, id="c", family="cnn", study="mnist-cnn", test_accuracy=0.9941, ci95=(0.9926, 0.9956), errors=59.0, failed=0,
    search_seconds=161.0, parameters=356_298,
)  # fmt: skip
OPEN = {"p_equivalence": None, "p_equivalence_holm": None, "superiority": None}
PAIRS = {
    "m d": {
        **OPEN,
        "difference": -0.0025,
        "p_value": 0.02,
        "p_holm": 0.06,
        "log_ratio": 0.1699,
        "log_ratio_ci95": [0.03, 0.31],
    },
    "m c": {
        "difference": -0.0101,
        "p_value": 1e-9,
        "p_holm": 3e-9,
        "log_ratio": 0.9976,
        "log_ratio_ci95": [0.7, 1.3],
        "p_equivalence": 1.0,
        "p_equivalence_holm": 1.0,
        "superiority": {"probability": 0.04, "ci95": [0.01, 0.35]},
    },
    "d c": {
        **OPEN,
        "difference": -0.0076,
        "p_value": 1e-7,
        "p_holm": 2e-7,
        "log_ratio": 0.8277,
        "log_ratio_ci95": [0.5, 1.2],
    },
}
COMPARISONS = Comparisons.of(PAIRS)
UNTESTED = Comparisons.of({pair: {**values, "p_holm": None} for pair, values in PAIRS.items()})
NONE = Comparisons.of({})


def board(*finals, baseline=None):
    return leaderboard("mnist", finals, COMPARISONS, lambda final: 1, baseline)


def test_rank_is_one_plus_the_number_of_families_significantly_better():
    rows = board(MLP, DROPOUT, CNN).rows
    assert [(row["family"], row["rank"], row["tied"]) for row in rows] == [
        ("cnn", 1, False),
        ("mlp_dropout", 2, True),
        ("mlp", 2, True),
    ]


def test_a_row_is_not_ranked_better_by_a_test_that_its_interval_contradicts():
    pair = {"difference": -0.0101, "p_value": 0.015, "p_holm": 0.015, "log_ratio": 2.1, "log_ratio_ci95": [-0.01, 4.2]}
    pair |= OPEN
    rows = leaderboard("mnist", [MLP, CNN], Comparisons.of({"m c": pair}), lambda final: 1, None)
    assert [(row["rank"], row["tied"]) for row in rows.rows] == [(1, True), (1, True)]
    assert "not resolved" in formats.columns_of(rows)["error reduction, %"](rows.rows[0])
    assert any("cannot be separated" in note for note in rows.notes)


def test_leaderboard_says_which_families_it_cannot_separate():
    assert (
        "mlp_dropout and mlp cannot be separated by this data (5 %, Holm-corrected)." in board(MLP, DROPOUT, CNN).notes
    )


def test_error_reduction_is_against_the_baseline_whichever_way_the_pair_was_stored():
    rows = {row["family"]: row for row in board(MLP, DROPOUT, CNN).rows}
    assert rows["cnn"]["error_reduction"] == pytest.approx(1 - 59 / 160, abs=1e-3)
    low, high = rows["cnn"]["error_reduction_ci95"]
    assert low < rows["cnn"]["error_reduction"] < high
    assert rows["mlp"]["error_reduction"] is None
    reverse = {row["family"]: row for row in board(MLP, DROPOUT, CNN, baseline="cnn").rows}
    assert reverse["mlp"]["error_reduction"] == pytest.approx(1 - 160 / 59, abs=1e-2)
    assert reverse["mlp"]["error_reduction_ci95"][0] < reverse["mlp"]["error_reduction"]


def test_a_baseline_without_a_final_leaves_the_column_empty_and_says_so():
    found = board(DROPOUT, CNN)
    assert found.baseline is None
    assert all(row["error_reduction"] is None and row["p_value"] is None for row in found.rows)
    assert any("run `bench search mlp`" in note for note in board(DROPOUT, CNN, baseline="mlp").notes)


def test_a_row_of_one_seed_is_never_better():
    lone = replace(CNN, seeds=(1,), method="Wilson")
    found = leaderboard("mnist", [MLP, lone], UNTESTED, lambda final: 1)
    assert {row["rank"] for row in found.rows} == {1}
    assert any("one seed" in note for note in found.notes)


def test_finals_of_other_data_are_left_out_by_name():
    found = board(replace(MLP, data_checksum="older"), CNN)
    assert [row["family"] for row in found.rows] == ["cnn"]
    assert any("Left out" in note and "mlp" in note for note in found.notes)


def test_only_the_newest_final_of_a_study_is_a_row():
    assert [row["test_accuracy"] for row in board(replace(CNN, id="old", test_accuracy=0.1), CNN).rows] == [0.9941]


def test_finals_of_the_notebook_are_no_rows_and_no_baseline():
    theirs = [
        replace(final, id=f"n{final.id}", study=f"{final.study}-notebook", purpose=NOTEBOOK, created="2027-01-01")
        for final in (MLP, DROPOUT, replace(CNN, data_checksum="newer"))
    ]
    assert board(MLP, CNN, *theirs) == board(MLP, CNN)
    assert board(CNN, *theirs).baseline is None


def test_warnings_of_the_data_and_unequal_budgets_stand_below():
    notes = board(MLP, replace(CNN, trials=20, warnings=("3 images stand in both train and test.",))).notes
    assert "3 images stand in both train and test." in notes
    assert any("Unequal budgets" in note for note in notes)


def test_the_json_rows_keep_the_contract():
    document = json.loads(json.dumps(formats.to_json(board(MLP, CNN)), allow_nan=False))
    assert (document["schema"], document["dataset"], document["baseline"]) == (1, "mnist", "mlp")
    assert set(document["rows"][0]) >= {
        "rank", "tied", "family", "engine", "test_accuracy", "ci95", "seeds", "errors", "error_reduction",
        "error_reduction_ci95", "p_value", "val_accuracy", "trials", "pruned", "failed", "search_seconds", "params",
        "test_looks", "reference",
    }  # fmt: skip


def render(found, width):
    console = Console(width=width, file=None, record=True, color_system=None, force_terminal=False, quiet=False)
    with console.capture() as capture:
        console.print(leaderboard_table(found, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


HOSTILE = replace(CNN, id="h", family="=cmd|'[red]x\x1b[31m\n|", study="h")
BOARDS = {
    "three": lambda: board(MLP, DROPOUT, CNN),
    "no-baseline": lambda: board(CNN),
    "empty": lambda: board(),
    "hostile": lambda: board(MLP, HOSTILE),
    "one-seed": lambda: leaderboard(
        "mnist", [MLP, replace(CNN, seeds=(1,), method="Wilson")], UNTESTED, lambda final: 1
    ),
}


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_is_what_it_was_and_fits(name, width, update_golden):
    text = render(BOARDS[name](), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text
    update_golden(GOLDEN / f"leaderboard-{name}-{width}.txt", text)


@pytest.mark.parametrize("name", BOARDS)
def test_markdown_and_csv_are_what_they_were(name, update_golden):
    update_golden(GOLDEN / f"leaderboard-{name}.md", formats.to_markdown(BOARDS[name]()) + "\n")
    update_golden(GOLDEN / f"leaderboard-{name}.csv", formats.to_csv(BOARDS[name]()))


def test_a_cell_that_a_spreadsheet_would_run_is_text():
    assert "\"'=cmd" in formats.to_csv(board(HOSTILE)) or "'=cmd" in formats.to_csv(board(HOSTILE))


def test_the_validation_board_is_sorted_and_says_that_it_is_optimistic():
    study = {
        "engine": "optuna", "validation_images": 10_000, "trials": 5, "pruned": 1, "failed": 0, "search_seconds": 3.0,
        "params": None, "data_checksum": "c",
    }  # fmt: skip
    found = validation_board(
        "mnist",
        [
            {**study, "family": "mlp", "study": "a", "val_accuracy": 0.98},
            {**study, "family": "cnn", "study": "b", "val_accuracy": 0.99},
        ],
    )
    assert [row["family"] for row in found.rows] == ["cnn", "mlp"]
    assert "optimistic" in found.notes[0]
    assert "family" in render(found, 80)


def searched(family, val_accuracy, checksum="c"):
    return {
        "engine": "optuna", "validation_images": 10_000, "trials": 5, "pruned": 1, "failed": 0, "search_seconds": 3.0,
        "params": None, "family": family, "study": family, "val_accuracy": val_accuracy, "data_checksum": checksum,
    }  # fmt: skip


def test_equal_validation_accuracies_have_one_rank_and_are_shown_as_tied():
    found = validation_board(
        "mnist", [searched("a", 0.98), searched("b", 0.99), searched("c", 0.98), searched("d", 0.9)]
    )
    assert [(row["family"], row["rank"], row["tied"]) for row in found.rows] == [
        ("b", 1, False),
        ("a", 2, True),
        ("c", 2, True),
        ("d", 4, False),
    ]
    assert formats.to_markdown(found).count("| =2 |") == 2


def test_studies_of_other_data_of_the_name_are_left_out_of_the_validation_board_by_name():
    found = validation_board("mnist", [searched("a", 0.98, "old"), searched("b", 0.9), searched("c", 0.8)])
    assert [row["family"] for row in found.rows] == ["b", "c"]
    assert any("other data of this name: a (a)" in note for note in found.notes)


def made(pairs):
    """Comparisons from 'a b': (difference, Holm-adjusted p)."""
    return {
        pair: {
            **OPEN,
            "difference": d,
            "p_value": p,
            "p_holm": p,
            "log_ratio": -10 * d,
            "log_ratio_ci95": [-10 * d - half, -10 * d + half],
        }
        for pair, (d, p) in pairs.items()
        for half in (abs(5 * d) if p < 0.05 else 1.0,)
    }


def test_rows_of_different_rank_that_are_not_resolved_are_named_too():
    pairs = made({"c d": (0.008, 0.2), "c m": (0.010, 0.01), "d m": (0.002, 0.4)})
    found = leaderboard("mnist", [MLP, DROPOUT, CNN], Comparisons.of(pairs), lambda final: 1)
    assert [(row["family"], row["rank"], row["tied"]) for row in found.rows] == [
        ("cnn", 1, True),
        ("mlp_dropout", 1, True),
        ("mlp", 2, False),
    ]
    said = [note for note in found.notes if "cannot be separated" in note]
    assert [note.split(" cannot")[0] for note in said] == ["cnn and mlp_dropout", "mlp_dropout and mlp"]


def test_rows_of_the_same_rank_that_are_separated_are_not_called_tied():
    """The order of significance need not be transitive: the first beats the second, it the third, and no more."""
    first, second, third = CNN, DROPOUT, MLP
    best = replace(CNN, id="b", family="best", study="mnist-best", test_accuracy=0.996)
    pairs = made(
        {"b c": (0.002, 0.01), "b d": (0.009, 0.2), "b m": (0.012, 0.2), "c d": (0.008, 0.01), "c m": (0.010, 0.2),
         "d m": (0.002, 0.3)}
    )  # fmt: skip
    rows = leaderboard("mnist", [third, second, first, best], Comparisons.of(pairs), lambda final: 1).rows
    assert [(row["family"], row["rank"], row["tied"]) for row in rows] == [
        ("best", 1, True),
        ("mlp", 1, True),
        ("cnn", 2, False),
        ("mlp_dropout", 2, False),
    ]


def test_the_newest_data_counts_whatever_order_its_families_came_in():
    again = replace(MLP, id="m2", data_checksum="newer", created="2026-03-01")
    found = leaderboard("mnist", [MLP, replace(CNN, created="2026-02-01"), again], NONE, lambda final: 1)
    assert [row["family"] for row in found.rows] == ["mlp"]
    assert any("Left out" in note and "cnn" in note for note in found.notes)


def test_a_missing_comparison_is_not_called_a_tie_of_the_data():
    notes = leaderboard("mnist", [MLP, CNN], NONE, lambda final: 1).notes
    assert not any("cannot be separated" in note for note in notes)
    assert any("No comparison of cnn and mlp is stored" in note for note in notes)


def test_a_row_of_one_seed_has_no_p_value_and_is_not_called_inseparable():
    found = leaderboard("mnist", [MLP, replace(CNN, seeds=(1,))], UNTESTED, lambda final: 1)
    assert {row["p_value"] for row in found.rows} == {None}
    assert not any("cannot be separated" in note for note in found.notes)
    assert any("one seed" in note and "cnn" in note for note in found.notes)


def test_a_reduction_that_is_undefined_is_said_to_be():
    comparisons = Comparisons.of({"m c": {**PAIRS["m c"], "log_ratio": None, "log_ratio_ci95": None}})
    found = leaderboard("mnist", [MLP, replace(CNN, errors=0.0, test_accuracy=1.0)], comparisons, lambda final: 1)
    assert [row["error_reduction"] for row in found.rows] == [None, None]
    assert "Too few errors, or the very same, for an error reduction against mlp: cnn." in found.notes


def test_two_studies_of_one_family_are_told_apart_in_the_notes():
    other = replace(MLP, id="d", study="wide")
    notes = leaderboard("mnist", [MLP, other], COMPARISONS, lambda final: 1).notes
    assert any("mlp (mnist-mlp) and mlp (wide) cannot be separated" in note for note in notes)


def test_how_often_a_row_beats_the_baseline_is_told_whichever_way_the_pair_was_stored():
    rows = {row["family"]: row for row in board(MLP, DROPOUT, CNN).rows}
    assert rows["cnn"]["p_better"] == pytest.approx(0.96)
    assert rows["cnn"]["p_better_ci95"] == pytest.approx([0.65, 0.99])
    assert rows["cnn"]["p_equivalence"] == 1.0
    assert (rows["mlp"]["p_better"], rows["mlp_dropout"]["p_better_ci95"]) == (None, None)
    (row,) = (row for row in board(MLP, CNN, baseline="cnn").rows if row["family"] == "mlp")
    assert (row["p_better"], row["p_better_ci95"]) == (0.04, [0.01, 0.35])


def test_families_that_are_shown_to_be_equivalent_are_named():
    close = Comparisons.of({"m d": {**PAIRS["m d"], "p_equivalence": 0.01, "p_equivalence_holm": 0.03}})
    notes = leaderboard("mnist", [MLP, DROPOUT], close, lambda final: 1).notes
    said = "mlp_dropout and mlp are equivalent: they differ by less than 0.1 points (TOST, 5 %, Holm-corrected)."
    assert said in notes
    assert not any("equivalent" in note for note in board(MLP, DROPOUT, CNN).notes)


def test_seeds_that_spread_twice_as_far_as_expected_are_flagged():
    expected = (0.016 / 20_000) ** 0.5
    (row,) = board(replace(MLP, seed_accuracies=(0.984 - expected, 0.984 + expected))).rows
    assert (row["seed_sd"], row["seed_sd_expected"]) == pytest.approx((2**0.5 * expected, expected))
    assert not any("differ more than is usual" in note for note in board(MLP).notes)
    wide = replace(MLP, seed_accuracies=(0.984 - 1.5 * expected, 0.984 + 1.5 * expected))
    said = "The seeds of mlp differ more than is usual: a standard deviation of 0.19 points, where 0.09 are expected."
    assert any(note.startswith(said) for note in board(wide).notes)
    assert board(replace(MLP, seed_accuracies=(0.984,))).rows[0]["seed_sd"] is None


def test_what_was_noticed_in_the_predictions_stands_below():
    assert "mlp: seeds 1 and 2 are alike" in board(replace(MLP, findings=("seeds 1 and 2 are alike",))).notes


def test_finals_of_another_split_or_of_other_test_images_are_left_out_by_name():
    split = replace(DROPOUT, split_fingerprint="other")
    found = board(split, replace(MLP, test_images=9_999), CNN)
    assert [row["family"] for row in found.rows] == ["cnn"]
    assert any("another split" in note and "mlp_dropout (mnist-mlp_dropout)" in note for note in found.notes)
    assert any("another number of images" in note and "mlp (mnist-mlp)" in note for note in found.notes)
