"""The reference beside the winner: one look, one manifest, the gain of tuning with its interval."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import formats, references, statistics
from bench.errors import UsageError
from bench.family import Family
from bench.finals import final
from bench.options import Options
from bench.ranking import leaderboard
from bench.records import Trial
from bench.space import Int, SearchSpace
from bench.study import Outcome
from bench.terminal.summary import summary
from tests.command_line import bench, document
from tests.test_ranking import CNN, COMPARISONS, MLP, NONE, render

GOLDEN = Path(__file__).parent / "golden"
RUN = {"trial": 0, "config": {}, "val_accuracy": 0.97, "parameters": 100, "is_winner": False, "model_sha256": ["a"]}


def answers(seed, accuracy, seeds=3, images=2_000):
    return np.random.default_rng(seed).random((seeds, images)) < accuracy


def test_the_gain_is_the_comparison_of_the_winner_with_the_reference():
    tuned, untuned = answers(0, 0.97), answers(1, 0.94)
    found = references.measured(RUN, tuned, untuned)
    assert found["test_accuracy"] == untuned.mean()
    assert found["errors"] == pytest.approx((~untuned).sum() / 3)
    assert found["error_reduction"] == pytest.approx(1 - (1 - tuned.mean()) / (1 - untuned.mean()))
    low, high = statistics.compare(tuned, untuned).log_ratio_ci95
    assert found["error_reduction_ci95"] == [1 - math.exp(high), 1 - math.exp(low)]
    assert found["ci95"] == list(statistics.estimate(untuned).ci95)
    assert found["p_value"] < 1e-6
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_winner_that_is_the_reference_gained_nothing():
    tuned = answers(0, 0.97)
    found = references.measured({**RUN, "is_winner": True}, tuned, None)
    assert (found["test_accuracy"], found["error_reduction"], found["p_value"]) == (tuned.mean(), 0.0, None)


def test_a_single_seed_has_a_gain_without_a_test():
    found = references.measured(RUN, answers(0, 0.97, seeds=1), answers(1, 0.94, seeds=1))
    assert found["p_value"] is None
    assert found["error_reduction_ci95"] is not None


def test_without_errors_there_is_no_reduction():
    found = references.measured(RUN, np.ones((2, 50), bool), answers(1, 0.9, 2, 50))
    assert (found["error_reduction"], found["error_reduction_ci95"]) == (None, None)
    found_board = leaderboard("mnist", [replace(CNN, reference=found)], NONE, lambda final: 1)
    assert formats.columns_of(found_board)["tuning, %"](found_board.rows[0]) == "too few errors"


def test_the_reference_is_trial_zero_when_it_is_over():
    trials = [Trial(1, "complete", {}), Trial(0, "pruned", {"epochs": 2})]
    assert references.reference_of(trials) is trials[1]
    with pytest.raises(UsageError, match="Trial 0, the reference, is not over"):
        references.reference_of([Trial(0, "running", {})])


def test_that_the_reference_is_not_over_is_said_before_anything_is_trained(tmp_path):
    family = Family("bare", SearchSpace({"epochs": Int(1, 2)}), lambda *_: None, {"epochs": 1})
    trials = [Trial(0, "running", {"epochs": 1}), Trial(1, "complete", {"epochs": 2}, 0.9)]
    found = Outcome("s", {"seed": 0, "precision": "float32"}, trials, 1.0, True)

    def pool():
        pytest.fail("something is trained")

    with pytest.raises(UsageError, match="Trial 0, the reference, is not over"):
        final(found, family, SimpleNamespace(name="digits"), tmp_path, 2, pool, Silent(), with_reference=True)


class Silent:
    """Hears how a final proceeds, and says nothing."""

    def begin_stage(self, *_):
        pass

    def end_stage(self):
        pass

    def message(self, _):
        pass


def test_a_family_without_a_reference_is_refused_with_the_way_out():
    with pytest.raises(UsageError, match=r"'bare' has no reference.*leave --with-reference out"):
        references.check([Family("bare", SearchSpace({"epochs": Int(1, 2)}), lambda *_: None)])


def test_a_reference_without_a_final_is_refused():
    with pytest.raises(UsageError, match="tested with the final"):
        Options(Path("x"), no_final=True, with_reference=True)


GAIN = {
    "trial": 0, "is_winner": False, "test_accuracy": 0.9905, "ci95": [0.989, 0.992], "method": "crossed seeds x images",
    "seeds": 5, "seed_accuracies": [0.9905] * 5, "errors": 95.0, "val_accuracy": 0.99, "params": 200_000,
    "error_reduction": 0.379, "error_reduction_ci95": [0.27, 0.471], "p_value": 1e-5, "difference": 0.0036,
    "difference_ci95": [0.002, 0.005],
}  # fmt: skip
WON = {**GAIN, "is_winner": True, "error_reduction": 0.0, "error_reduction_ci95": None, "p_value": None}


def board():
    finals = [replace(MLP, reference=WON), replace(CNN, reference=GAIN)]
    return leaderboard("mnist", finals, COMPARISONS, lambda final: 1)


def test_the_row_holds_the_reference_and_only_boards_that_have_one_show_the_gain():
    rows = {row["family"]: row for row in board().rows}
    assert rows["cnn"]["reference"] == GAIN
    gain = formats.columns_of(board())["tuning, %"]
    assert (gain(rows["cnn"]), gain(rows["mlp"])) == ("38 (27 to 47)", "reference won")
    plain = leaderboard("mnist", [MLP, CNN], COMPARISONS, lambda final: 1)
    assert "tuning, %" not in formats.columns_of(plain)
    half = leaderboard("mnist", [MLP, replace(CNN, reference=GAIN)], COMPARISONS, lambda final: 1)
    assert formats.columns_of(half)["tuning, %"](half.rows[1]) == ""


def test_a_gain_that_is_not_resolved_is_said_to_be():
    open_ = {**GAIN, "error_reduction_ci95": [-0.1, 0.5], "p_value": 0.2}
    found = leaderboard("mnist", [replace(MLP, reference=open_)], NONE, lambda final: 1)
    assert formats.columns_of(found)["tuning, %"](found.rows[0]).endswith("not resolved")


def test_the_csv_has_the_reference_in_columns_of_its_own():
    head, first, _ = (line.split(",") for line in formats.to_csv(board()).splitlines())
    row = dict(zip(head, first, strict=True))
    assert row["reference_test_accuracy"] == "0.9905"
    assert (row["reference_error_reduction"], row["reference_error_reduction_ci95_low"]) == ("0.379", "0.27")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_is_what_it_was_and_fits(width, update_golden):
    text = render(board(), width)
    assert all(len(line) <= width for line in text.splitlines())
    update_golden(GOLDEN / f"leaderboard-reference-{width}.txt", text)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (GAIN, "reference 99.05 %, 95.0 errors a seed, in the same look: tuning reduced the error by 38 % (27 to 47)"),
        (WON, "it is the winner, tuning gained nothing"),
        ({**GAIN, "error_reduction": None, "error_reduction_ci95": None}, "too few errors to say"),
        ({**GAIN, "error_reduction_ci95": [-0.1, 0.5]}, "(-10 to 50), not resolved"),
        ({**GAIN, "p_value": 0.08}, "by 38 % (27 to 47), not resolved"),  # as on the leaderboard
        ({**GAIN, "p_value": None}, ", one seed"),
        ({**GAIN, "error_reduction": -0.2, "error_reduction_ci95": [-0.5, -0.03]}, "raised the error by 20 % (3 to 50"),
    ],
)
def test_the_end_of_a_search_says_what_tuning_gained(reference, said):
    (row,) = leaderboard("mnist", [replace(MLP, reference=reference)], NONE, lambda final: 1).rows
    found = {
        "study": "mnist-mlp", "family": "mlp", "dataset": "mnist", "seconds": 3.0, "best": None, "final": row,
        "trials": {"total": 1, "complete": 1, "pruned": 0, "failed": 0},
    }  # fmt: skip
    assert said in summary(found)


# --- the whole, on real digits

WEAK = '''"""Its reference has one unit and one epoch, so that anything beats it."""

from bench.family import Family
from bench.finals import final
from bench.space import Int, SearchSpace
from bench.study import Outcome


def build(config, image_shape, classes):
    import keras

    inputs = keras.Input(image_shape)
    x = keras.layers.Dense(config["width"], activation="relu")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(x))


SPACE = SearchSpace({"width": Int(1, 64), "epochs": Int(1, 6)})
FAMILY = Family("weak", SPACE, build, reference={"width": 1, "epochs": 1})
'''
COMMON = ("--dataset", "digits", "--seeds", "2", "--workers", "1", "-q")


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    path = tmp_path_factory.mktemp("families") / "weak.py"
    path.write_text(WEAK)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory, family):
    """A home with a winner tested beside its reference, one that is the reference, and one tested without."""
    folder = tmp_path_factory.mktemp("home")
    bench(folder, "search", family, "--with-reference", "--trials", "4", *COMMON)
    bench(folder, "search", "mlp", "--trials", "1", "--range", "epochs=2:3", "--with-reference", *COMMON)
    bench(folder, "search", family, "--study", "without", "--trials", "2", *COMMON)
    return folder


def looks(home):
    return [json.loads(line) for line in (home / "ledger.jsonl").read_text().splitlines()]


def rows(home):
    return {row["study"]: row for row in document(home, "leaderboard", "--dataset", "digits")["rows"]}


@pytest.mark.slow
def test_winner_and_reference_share_one_look_one_manifest_and_the_seeds(home):
    row = rows(home)["digits-weak"]
    (path,) = [path for path in home.glob("results/digits/weak/*/manifest.json") if "digits-weak" in path.read_text()]
    run = json.loads(path.read_text())["reference_run"]
    assert (run["config"], run["is_winner"], len(run["model_sha256"])) == ({"width": 1, "epochs": 1}, False, 2)
    assert [(look["study"], look["with_reference"], look["seeds"]) for look in looks(home)] == [
        ("digits-weak", True, 2), ("digits-mlp", False, 2), ("without", False, 2),
    ]  # fmt: skip
    with np.load(path.with_name("predictions.npz")) as stored:
        right = stored["reference_probabilities"].argmax(axis=2) == stored["labels"]
        np.testing.assert_array_equal(right, stored["reference_correct"])
        correct = stored["correct"]
    reference = row["reference"]
    assert (reference["trial"], reference["seeds"]) == (0, 2)
    assert reference["test_accuracy"] == pytest.approx(right.mean())
    assert reference["error_reduction"] == pytest.approx(1 - (1 - correct.mean()) / (1 - right.mean()))
    assert reference["error_reduction"] > 0.3
    assert len(json.loads(path.with_name("curves.json").read_text())) == 2


@pytest.mark.slow
def test_a_reference_that_wins_is_not_trained_twice(home):
    row = rows(home)["digits-mlp"]
    assert (row["reference"]["is_winner"], row["reference"]["error_reduction"]) == (True, 0.0)
    assert row["reference"]["test_accuracy"] == row["test_accuracy"]


@pytest.mark.slow
def test_asking_again_in_either_way_costs_no_second_look_and_says_what_it_means(home, family):
    before = looks(home)
    again = bench(home, "final", family, *COMMON)
    assert "without its reference" not in again.stderr
    missing = bench(home, "final", family, "--study", "without", "--with-reference", *COMMON)
    assert "The final of 'without' was tested without its reference, and stands as it is" in missing.stderr
    assert "would be another look" in missing.stderr
    assert looks(home) == before
    assert rows(home)["without"]["reference"] is None


@pytest.mark.slow
def test_fsck_counts_the_reference_again(home):
    assert bench(home, "fsck").returncode == 0
    (path,) = [path for path in home.glob("results/digits/weak/*/result.json") if "digits-weak" in path.read_text()]
    whole = path.read_bytes()
    changed = json.loads(whole)
    changed["reference"]["error_reduction"] = 0.99
    path.write_text(json.dumps(changed))
    try:
        run = bench(home, "fsck", check=False)
        assert run.returncode != 0
        assert "reference is" in " ".join((run.stdout + run.stderr).split())
    finally:
        path.write_bytes(whole)
