"""Who is confirmed over fresh seeds, and who wins; what the runs come to is made up."""

from types import SimpleNamespace

import pytest

from bench import confirmation
from bench.records import Trial
from bench.study import Outcome

STAGES = SimpleNamespace(begin_stage=lambda *_: None, end_stage=lambda: None)
SEALED = SimpleNamespace(n_train=100, n_validation=1000)


def confirmed(monkeypatch, trials, values):
    """Confirm where a run of a configuration of this width is worth so much; returns that and the widths trained."""
    trained = []

    def train(runs, *_):
        trained.extend(run.params["width"] for run in runs)
        return [Trial(run.number, "complete", run.params, values[run.params["width"]]) for run in runs]

    monkeypatch.setattr(confirmation, "train", train)
    outcome = Outcome("study", {"seed": 0, "precision": "float32"}, trials, 1.0, True)
    return confirmation.confirm(outcome, None, SEALED, None, STAGES), trained


def searched(*found):
    return [Trial(number, "complete", {"width": width}, value) for number, (width, value) in enumerate(found)]


@pytest.mark.parametrize(
    ("found", "winner", "trained"),
    [
        ([(8, 0.7), (16, 0.95), (16, 0.94), (32, 0.9)], 3, [16, 32]),  # the wider one is better than its one trial
        ([(16, 0.95), (16, 0.94), (16, 0.96)], 2, [16]),  # nothing to choose from, and a value that was chosen
        ([(16, 0.95)], 0, []),
    ],
)
def test_a_configuration_that_was_tried_again_is_one_candidate(found, winner, trained, monkeypatch):
    result, ran = confirmed(monkeypatch, searched(*found), {8: 0.7, 16: 0.8, 32: 0.99})
    assert (result.winner.number, ran) == (winner, trained)


def test_a_near_race_has_a_second_round_and_a_clear_one_does_not(monkeypatch):
    for values, rounds in (({16: 0.95, 32: 0.93}, 2), ({16: 0.95, 32: 0.9495}, 1), ({16: 0.95, 32: 0.7}, 1)):
        result, ran = confirmed(monkeypatch, searched((16, 0.9), (32, 0.99)), values)
        assert (result.winner.number, result.val_accuracy, ran) == (0, 0.95, [32, 16] * rounds)
