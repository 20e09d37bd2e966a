"""What is gathered of a study, recomputed by hand from made-up records."""

import numpy as np
import pytest

from bench.errors import NoTrialSucceeded, UsageError
from bench.portrait import Examined, Searched, portrait, timing
from bench.records import Phases, Trial
from bench.results import Predictions
from bench.sessions import Session
from bench.space import Float, Int, SearchSpace
from tests.test_results import FINAL

SPACE = SearchSpace({"rate": Float(1e-3, 1e-1, log=True), "epochs": Int(2, 9)})
SETTINGS = {
    "family": "mlp", "dataset": "digits", "engine": "optuna", "precision": "float32", "space": SPACE.describe(),
}  # fmt: skip
PARAMS = {"rate": 0.1, "epochs": 3}
TRIALS = [
    Trial(0, "complete", PARAMS, 0.8, 90, Phases(1, 2, 3, 4, 5), 0, curve=((30, 0.7), (90, 0.8)), parameters=7),
    Trial(1, "complete", PARAMS, 0.9, 90, Phases(train=2), 1, confusion=((0, 0, 8), (1, 0, 1), (1, 1, 1))),
    Trial(2, "pruned", PARAMS, 0.5, 30, Phases(train=1), 1, curve=((30, 0.5),)),
    Trial(3, "failed", PARAMS, None, 0, Phases(build=1), 0, "diverged"),
    Trial(4, "running", PARAMS),
]


def examined(trial, labels=True):
    predicted = np.array([[0, 1, 1, 1], [0, 0, 1, 0]])
    probabilities = np.eye(2, dtype=np.float32)[predicted]
    truth = np.array([0, 0, 1, 1], np.int32)
    answers = Predictions(probabilities, predicted == truth, truth if labels else None)
    return Examined(FINAL, {"trial": trial}, answers, [{"seed": 1, "samples_and_loss": [[1, 2.0]]}], {"schema": 1})


def show(found=None, number=None, trials=TRIALS):
    return portrait(Searched("digits-mlp", SETTINGS, trials, 10.0, (), None), found, number, "mlp")


def test_without_a_final_it_is_about_the_best_complete_trial_and_its_validation_images():
    document = show()
    assert (document["trial"]["number"], document["best_trial"], document["final"]) == (1, 1, None)
    assert document["trials"] == {"total": 4, "complete": 2, "pruned": 1, "failed": 1}
    assert document["confusion"]["source"] == "validation"
    assert document["confusion"]["matrix"] == [[8, 0], [1, 1]]
    assert [row["rate"] for row in document["class_errors"]] == [0.0, 0.5]
    assert document["confused_pairs"] == [{"true": "1", "predicted": "0", "label": 1, "images": 1.0}]
    assert (document["loss_curves"], document["serving"], document["code"]) == (None, None, None)


def test_with_a_final_it_is_about_the_trial_that_was_tested_and_the_test_images():
    document = show(examined(0))
    assert (document["trial"]["number"], document["final"]["test_accuracy"]) == (0, FINAL.test_accuracy)
    assert (document["confusion"]["source"], document["confusion"]["seeds"]) == ("test", 2)
    assert document["confusion"]["matrix"] == [[1.5, 0.5], [0.5, 1.5]]
    assert document["trial"]["params"] == FINAL.parameters
    assert document["loss_curves"][0]["seed"] == 1
    assert document["serving"] == {"schema": 1}


def test_what_a_final_measured_is_shown_with_no_other_trial():
    document = show(examined(0), number=1)
    assert (document["final"], document["serving"], document["loss_curves"]) == (None, None, None)
    assert document["other_final"]["trial"] == 0
    assert document["confusion"]["source"] == "validation"


def test_predictions_without_labels_fall_back_to_validation_and_to_nothing():
    assert show(examined(1, labels=False))["confusion"]["source"] == "validation"
    nothing = show(examined(0, labels=False))
    assert (nothing["confusion"], nothing["class_errors"], nothing["confused_pairs"]) == (None, [], [])


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_trial_that_did_not_complete_can_be_shown(number):
    document = show(number=number)
    assert document["trial"]["number"] == number
    assert document["trial"]["reason"] == TRIALS[number].reason
    assert document["confusion"] is None


def test_a_trial_that_does_not_exist_is_an_error_that_names_those_that_do():
    with pytest.raises(UsageError, match="no trial 99; its trials are 0 to 4"):
        show(number=99)
    with pytest.raises(UsageError, match="none yet"):
        show(number=0, trials=[])


def test_without_a_complete_trial_the_way_out_is_named():
    with pytest.raises(NoTrialSucceeded, match="--trial N"):
        show(trials=TRIALS[2:])


def test_phases_and_the_rest_add_up_to_workers_times_wall_time():
    found = timing(TRIALS, 10.0, ())
    assert (found["workers"], found["worker_seconds"]) == (2, 20.0)
    assert found["phases"] == {"build": 2, "trace": 2, "train": 6, "eval": 4, "wait": 5, "other": 1.0}
    assert sum(found["phases"].values()) == 20.0
    assert {name: state["seconds"] for name, state in found["states"].items()} == {
        "complete": 17, "pruned": 1, "failed": 1,
    }  # fmt: skip
    empty = timing([], 0.0, ())
    assert (empty["workers"], sum(empty["phases"].values())) == (0, 0.0)


def test_searches_with_other_numbers_of_workers_are_added_up():
    found = timing(TRIALS, 15.0, [Session(0.0, 5.0, 1), Session(5.0, 10.0, 2)])
    assert (found["wall_seconds"], found["worker_seconds"], found["phases"]["other"]) == (15.0, 25.0, 6.0)
    assert found["workers"] == 2
    assert sum(found["phases"].values()) == 25.0


def test_an_edge_and_epochs_are_told(tmp_path):
    rows = {row["name"]: row for row in show()["configuration"]}
    assert (rows["rate"]["edge"], rows["rate"]["wider"]) == ("highest", "rate=0.001:0.2")
    assert rows["epochs"]["edge"] is None
    assert show(number=0)["curve"][0] == {"samples": 30, "epochs": None, "val_accuracy": 0.7}
