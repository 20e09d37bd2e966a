"""`bench fsck` makes every number of a result anew from its predictions, and sees one that was changed."""

import json

import numpy as np
import pytest
from homes import bench, one

from bench import duels, results
from bench.files import sha256
from bench.holdout import fsck
from bench.verdicts import Comparisons
from tests.test_results import random_answers, store

pytestmark = pytest.mark.slow  # the home that they change takes a search and a final


def test_stored_probabilities_are_what_the_result_was_made_from(home):
    """A repacked file has another hash, whatever it holds."""
    path = one(home, "results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays)
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert "is not what the result was made from" in run.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda labels: labels[:-1], "labels have shape"), (lambda labels: (labels + 1) % 10, "do not say which")],
)
def test_labels_that_do_not_belong_to_the_predictions_are_seen(home, change, said):
    """The hash is made to fit, so that only what the file says can give it away."""
    path = one(home, "results/digits/mlp/*/predictions.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "labels": change(arrays["labels"])})
    result = json.loads(path.with_name("result.json").read_text())
    path.with_name("result.json").write_text(json.dumps({**result, "predictions_sha256": sha256(path)}))
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert said in run.stdout


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ci95", [0.9, 0.91]),
        ("method", "Wilson"),
        ("val_accuracy", 0.999),
        ("trials", 50),
        ("failed", 1),
        ("search_seconds", 1.0),
        ("parameters", 12),
        ("created", "2020-01-01T00:00:00+00:00"),
        ("warnings", ["made up"]),
        ("findings", ["seeds 1 and 2 are alike"]),
        ("split_fingerprint", "another"),
        ("study", "digits-other"),
        ("family", "cnn"),
    ],
)
def test_a_printed_number_that_was_changed_is_seen_and_written_as_it_was(home, name, value):
    path = one(home, "results/digits/mlp/*/result.json")
    whole = path.read_bytes()
    path.write_text(json.dumps({**json.loads(whole), name: value}))
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert f"{name} is" in run.stdout
    bench(home, "fsck", "--repair")
    assert path.read_bytes() == whole
    assert bench(home, "fsck").returncode == 0


@pytest.mark.parametrize(("name", "value"), [("errors", 1.0), ("seed_accuracies", [1.0, 1.0])])
def test_a_count_that_its_predictions_do_not_bear_out_is_seen(home, name, value):
    path = one(home, "results/digits/mlp/*/result.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    run = bench(home, "fsck")
    assert (run.returncode, f"{name} is" in run.stdout) == (3, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("p_holm", 1e-9),
        ("difference", 0.5),
        ("log_ratio_ci95", [0.1, 0.2]),
        ("p_equivalence", 0.01),
        ("superiority", None),
    ],
)
def test_a_comparison_that_was_changed_is_seen_and_made_anew(tmp_path, name, value):
    for seed, family in enumerate(("mlp", "cnn")):
        final = store(tmp_path, family, random_answers(seed))
    duels.update(tmp_path, "digits")
    path = tmp_path / "results" / "digits" / duels.NAME
    whole = path.read_bytes()
    assert fsck._comparisons_problem(tmp_path, "digits") is None
    read = duels.read(tmp_path, "digits")
    ((key, pair),) = read.items()
    duels._write(path, Comparisons.of({key: {**pair, name: value}}, read.predictions))
    assert fsck._comparisons_problem(tmp_path, "digits") == "does not say what the predictions say"
    path.unlink()
    stored = duels.complete(tmp_path, "digits", results.read_finals(tmp_path))
    assert path.read_bytes() == whole
    duels._write(path, Comparisons({key: "<="}, stored.lines, stored.predictions))
    assert fsck._comparisons_problem(tmp_path, "digits") == "does not say what the predictions say"
    duels._write(path, Comparisons.of({key: {**pair, "difference": pair["difference"] + 1e-12}}, read.predictions))
    assert fsck._comparisons_problem(tmp_path, "digits") is None  # as another version of a library may round
    # Behind by one final, as a kill leaves it: that is no damage.
    store(tmp_path, "other", random_answers(2), created=final.created)
    assert fsck._comparisons_problem(tmp_path, "digits") is None
