"""Curves and crossings, from trials of which it is plain who leads when."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench import formats
from bench.budgets import Searched
from bench.curves import best_at, checkpoints, curves, points_board, to_markdown
from bench.terminal.curves import curves_table
from tests.test_budgets import DEEP, MLP, trial

GOLDEN = Path(__file__).parent / "golden"


def searched(family, *accuracies, seconds=10.0):
    trials = [trial(number, accuracy, seconds) for number, accuracy in enumerate(accuracies)]
    return Searched(family, "optuna", f"digits-{family}", "c", 10_000, trials, {})


def says(*studies):
    return curves("digits", studies)["says"]


def test_crossings_are_said_in_words():
    assert says(MLP, DEEP) == [
        "mlp leads below 2 trials, cnn from 2 trials on (compared up to 4 trials).",
        "mlp leads below 50 s, cnn from 50 s on (compared up to 70 s of device time).",
    ]


def test_three_leads_and_a_level_start():
    a, b = searched("a", 0.8, 0.8, 0.9, 0.9), searched("b", 0.8, 0.85, 0.85, 0.95)
    assert says(a, b)[0] == (
        "a and b are level below 2 trials, b from 2 trials to 3 trials, a from 3 trials to 4 trials, b from 4 trials "
        "on (compared up to 4 trials)."
    )


def test_who_leads_stays_the_leader_until_another_is_better():
    assert says(searched("a", 0.8, 0.8), searched("b", 0.7, 0.8))[0] == (
        "a leads from the first complete trial on (compared up to 2 trials)."
    )


def test_one_family_has_no_crossing():
    assert says(MLP) == []
    assert curves("digits", [])["curves"] == []


def test_families_are_compared_only_as_far_as_all_were_searched():
    short, long = searched("short", 0.9), searched("long", 0.8, 0.99)
    found = curves("digits", [short, long])
    assert found["compared_up_to"] == {"trials": 1, "device_seconds": 10.0}
    assert found["leads"]["trials"] == [{"families": ["short"], "from": 1, "to": 1}]


def test_points_stand_where_the_best_rises_and_at_the_end():
    (curve,) = curves("digits", [MLP])["curves"]
    assert [(point["trials"], point["trial"], point["val_accuracy"]) for point in curve["points"]] == [
        (1, 0, 0.960), (2, 1, 0.970), (4, 3, 0.975), (7, 3, 0.975),
    ]  # fmt: skip
    assert [best_at(curve, amount, "trials") for amount in (0.5, 1, 3, 7, 8)] == [None, 0.960, 0.970, 0.975, None]
    assert curve["points"][-1]["device_seconds"] == 70.0


def test_the_leader_of_every_stretch_is_the_highest_curve_there():
    """Another way to the same: at every tenth of a second ask all curves."""
    studies = [MLP, DEEP, searched("other", 0.955, 0.97, 0.979, seconds=17.0)]
    found = curves("digits", studies)
    for tenth in range(int(10 * found["compared_up_to"]["device_seconds"]) + 1):
        values = {curve["name"]: best_at(curve, tenth / 10, "device_seconds") or 0.0 for curve in found["curves"]}
        if not any(values.values()):
            continue
        (stretch,) = [
            s for s in found["leads"]["device_seconds"]
            if s["from"] <= tenth / 10 and (tenth / 10 < s["to"] or s is found["leads"]["device_seconds"][-1])
        ]  # fmt: skip
        assert {values[name] for name in stretch["families"]} == {max(values.values())}


def test_a_family_without_a_complete_trial_is_named():
    found = curves("digits", [replace(MLP, trials=MLP.trials[2:3]), DEEP])
    assert [curve["family"] for curve in found["curves"]] == ["cnn"]
    assert "No complete trial yet: mlp." in found["notes"]


def test_two_studies_of_one_family_are_told_apart():
    wide = replace(DEEP, family="mlp", study="wide")
    assert says(MLP, wide)[0].startswith("mlp (digits-mlp) leads below 2 trials, mlp (wide) from 2 trials on")


def test_the_values_at_round_budgets_are_those_of_the_curve():
    marks, values = checkpoints(curves("digits", [MLP, DEEP]), "trials")
    assert marks == [1, 2, 5]
    assert values == {"mlp": [0.960, 0.970, 0.975, 0.975], "cnn": [0.950, 0.985, None, 0.991]}


def test_json_and_csv_hold_the_points():
    found = json.loads(json.dumps(curves("digits", [MLP, DEEP]), allow_nan=False))
    assert (found["schema"], found["dataset"], len(found["curves"])) == (1, "digits", 2)
    head, *lines = formats.to_csv(points_board(found)).splitlines()
    assert head == "family,engine,study,trials,samples,device_seconds,trial,val_accuracy"
    assert lines[0] == "mlp,optuna,digits-mlp,1,1000,10.0,0,0.96"
    assert len(lines) == 7


def render(document, width, **options):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(curves_table(document, width, **options))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_is_what_it_was_and_fits(width, update_golden):
    hostile = replace(searched("x", 0.95, 0.98, 0.99), family="[red]x[/]\x1b[31m\n")
    text = render(curves("digits", [MLP, DEEP, hostile]), width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text
    update_golden(GOLDEN / f"curves-{width}.txt", text)


def test_in_ascii_there_is_nothing_else():
    assert render(curves("digits", [MLP, DEEP]), 80, ascii_only=True).isascii()


def test_without_a_trial_the_next_command_is_named():
    assert "bench search" in render(curves("digits", []), 80)


def test_markdown_is_what_it_was(update_golden):
    update_golden(GOLDEN / "curves.md", to_markdown(curves("digits", [MLP, DEEP])) + "\n")
