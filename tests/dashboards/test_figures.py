"""The figures of a study say what its trials say."""

import json
import math

import pytest

from bench.records import Trial
from dashboards.figures import FIGURES, accuracy_over_time, learning_curves, rung_survival

TRIALS = [
    Trial(0, "complete", {}, 0.90, curve=((5000, 0.7), (15000, 0.8), (40000, 0.90)), elapsed=4.0),
    Trial(1, "pruned", {}, 0.30, curve=((5000, 0.3),), elapsed=5.0),
    Trial(2, "pruned", {}, 0.75, curve=((5000, 0.72), (15000, 0.75)), elapsed=9.0),
    Trial(3, "complete", {}, 0.85, curve=((9000, 0.85),), elapsed=7.0),  # a short run: judged at no rung
    Trial(4, "complete", {}, 0.99, curve=((5000, 0.8), (15000, 0.9), (40000, 0.99)), elapsed=12.0),
    Trial(5, "failed", {}, None, curve=((5000, 0.6),), elapsed=13.0, reason="diverged"),
    Trial(6, "running", {}, None, curve=((5000, 0.65),)),
]


def shown(trace):
    """The accuracies that stand on the logarithmic axis of errors."""
    return [round(1 - error, 6) for error in trace.y]


def test_the_best_so_far_never_falls_and_only_complete_trials_count():
    points, best = accuracy_over_time(list(reversed(TRIALS))).data
    assert list(points.x) == [4.0, 7.0, 12.0]
    assert shown(points) == [0.90, 0.85, 0.99]
    assert shown(best) == [0.90, 0.90, 0.99]
    assert [number for number, _ in points.customdata] == [0, 3, 4]


def test_a_rung_counts_who_reached_it_and_who_was_stopped_there():
    on, off, failed = rung_survival(TRIALS).data
    assert list(on.x) == ["5,000", "15,000", "end of run"]
    # The running trial was let on past its rung.
    assert list(on.y) == [4, 2, 3]
    assert list(off.y) == [1, 1, 0]
    assert list(failed.y) == [1, 0, 0]


def test_each_trial_is_a_line_and_those_that_were_stopped_are_faint():
    lines = {line.hovertemplate.split(",")[0]: line for line in learning_curves(TRIALS).data}
    assert len(lines) == len(TRIALS)
    assert list(lines["trial 2"].x) == [5000, 15000]
    assert shown(lines["trial 2"]) == [0.72, 0.75]
    assert max(lines[f"trial {n}"].opacity for n in (1, 2, 5)) < min(lines[f"trial {n}"].opacity for n in (0, 3, 4))
    assert lines["trial 4"].name == "best"
    assert sum(line.showlegend for line in lines.values()) == 5  # one entry a kind


def test_a_perfect_accuracy_is_drawn_and_reads_as_it_is():
    points, _ = accuracy_over_time([Trial(0, "complete", {}, 1.0, elapsed=1.0)]).data
    assert 0 < points.y[0] < 1e-3
    assert points.customdata[0] == [0, 100.0]


@pytest.mark.parametrize("accuracies", [(0.1, 0.9), (0.97, 0.985), (0.9751, 0.9752), (0.5,), (1.0, 1.0), (0.0, 0.1)])
def test_at_least_three_labels_stand_within_the_axis(accuracies):
    figure = accuracy_over_time([Trial(n, "complete", {}, a, elapsed=n + 1.0) for n, a in enumerate(accuracies)])
    top, bottom = figure.layout.yaxis.range
    inside = [value for value in figure.layout.yaxis.tickvals if bottom <= math.log10(value) <= top + 1e-9]
    assert len(inside) >= 3
    assert all(bottom <= math.log10(error) <= top for error in figure.data[0].y)


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("trials", [[], [Trial(0, "failed", {})], [Trial(0, "running", {})]])
def test_a_study_without_results_says_so_instead_of_showing_empty_axes(name, trials):
    figure = FIGURES[name](trials)
    assert not figure.data
    assert figure.layout.annotations[0].text.startswith("No ")


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_titles_and_are_plain_json(name):
    figure = FIGURES[name](TRIALS)
    assert figure.layout.title.text
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    assert "bdata" not in json.dumps(json.loads(figure.to_json()))  # older plotly.js does not know packed arrays
