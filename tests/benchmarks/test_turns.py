"""Who runs when, and what is made of what was measured."""

import json
import math

from turns import Spread, compared, machine, order


def test_two_sides_run_there_and_back():
    assert order(["A", "B"], 1) == [("A", 0), ("B", 0), ("B", 1), ("A", 1)]


def test_every_side_has_the_same_mean_place_whatever_their_number():
    places = {side: [] for side in "ABC"}
    for place, (side, _) in enumerate(order("ABC", 2)):
        places[side].append(place)
    assert {sum(found) for found in places.values()} == {sum(range(12)) / 3}
    assert all(len(found) == 4 for found in places.values())


def test_each_side_has_every_turn_once():
    assert sorted(order(["A", "B"], 3)) == [(side, turn) for side in "AB" for turn in range(6)]


def test_without_repeats_each_side_runs_once():
    assert order(["A", "B", "C"], 0) == [("A", 0), ("B", 0), ("C", 0)]


def test_a_spread_is_the_median_between_the_extremes():
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0, 3)
    assert Spread.of([1.0, 2.0]).median == 1.5


def test_ratios_are_made_turn_by_turn():
    row = compared("part", "what", [1.0, 4.0], [2.0, 4.0], limit=0.8)
    assert row.ratio == Spread(0.75, 0.5, 1.0, 2)
    assert row.ours == Spread(2.5, 1.0, 4.0, 2)
    assert row.kept


def test_what_most_turns_did_not_reach_has_no_ratio_and_keeps_no_limit():
    row = compared("part", "what", [1.0, math.inf], [2.0, 4.0], limit=0.8)
    assert row.ratio is None
    assert row.ours == Spread(1.0, 1.0, 1.0, 1)
    assert row.kept is False


def test_one_turn_of_three_that_was_not_reached_leaves_a_median():
    row = compared("part", "what", [1.0, math.inf, 2.0], [2.0, 4.0, 2.0])
    assert row.ratio.median == 1.0
    assert row.kept is None
    assert json.loads(json.dumps(row.to_json(), allow_nan=False))["ratio"]["high"] is None


def test_the_machine_is_named_by_the_model_of_its_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Processor 9000\n\nprocessor\t: 1\n")
    found = machine(cpuinfo)
    assert found["processor"] == "A Processor 9000"
    assert found["cores"] >= 1
    assert found["versions"]["keras"]
