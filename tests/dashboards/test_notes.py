"""A trial's note says why it ended; what others wrote stays text in it."""

import re

import pytest

from bench.records import Phases, Trial
from dashboards.notes import fenced, note

TRIALS = [
    Trial(0, "complete", {}, 0.90, curve=((5000, 0.70), (9000, 0.90))),
    Trial(
        1, "complete", {}, 0.95, 9000, Phases(0.1, 0.2, 3.0, 0.4, 0.05), 1, curve=((5000, 0.8), (9000, 0.95)), seed=77
    ),
    Trial(2, "pruned", {}, 0.30, 5000, curve=((5000, 0.30),)),
    Trial(3, "failed", {}, None, 5000, reason="diverged", detail="loss is nan", curve=((5000, 0.1),), attempts=2),
    Trial(4, "running", {}),
]


def test_a_complete_trial_has_its_rank_and_where_its_seconds_went():
    text = note(TRIALS[1], TRIALS, {})
    assert "### Complete\n\nRight on 95.00 % of the validation images, rank 1 of 2 complete trials." in text
    assert "| seconds | 3.75 (build 0.10, trace 0.20, train 3.00, eval 0.40, wait 0.05) |" in text
    assert "| seed | 77 |" in text


def test_a_pruned_trial_says_at_which_rung_and_how_it_stood_there():
    text = note(TRIALS[2], TRIALS, {})
    assert "### Pruned at 5,000 samples" in text
    assert "30.00 %, rank 3 of 4 trials judged there so far; the best there had 80.00 %." in text


def test_a_failed_trial_says_why():
    text = note(TRIALS[3], TRIALS, {})
    assert text.startswith("### Failed: diverged\n")
    assert "~~~text\nloss is nan\n~~~" in text
    assert "| attempts | 2 |" in text


def test_a_running_trial_that_was_not_judged_says_so():
    assert note(TRIALS[4], TRIALS, {}).startswith("### Running\n\nIt has not been judged yet.")


def test_images_stand_below():
    assert note(TRIALS[0], TRIALS, {"learning curve": "/artifacts/1/2/2-1-2"}).endswith(
        "![learning curve](/artifacts/1/2/2-1-2)"
    )


@pytest.mark.parametrize(
    "text",
    ["~~~", "~~~~\n<b>x</b>", "a\n~~~~~~~~~\n# b", "```\n[x](javascript:y)", "\x1b[31m\x00\u202e", "~", "a\r~~~~\r\nb"],
)
def test_a_fence_is_not_ended_by_what_stands_in_it(text):
    first, *inside, last = fenced(text).split("\n")
    assert re.fullmatch("~{3,}text", first)
    assert last == first.removesuffix("text")
    assert not any(last in line for line in inside)
    assert all(line.isprintable() for line in inside)


def test_a_reason_that_bench_does_not_know_is_no_heading():
    text = note(Trial(0, "failed", {}, reason="<b>x</b>\n# y", detail="~~~~"), [], {})
    assert text.startswith("### Failed\n")
    assert "~~~~~text\n<b>x</b>\n# y\n~~~~\n~~~~~" in text
