"""KerasTuner's getting-started guide on real digits, from the search to the tested model."""

import json
import subprocess
import sys

import numpy as np
import pytest

import bench
from bench import results
from tests.engines.test_hypermodel import Conditional, guide

pytestmark = pytest.mark.slow


def test_the_guides_model_is_searched_tested_and_loaded(tmp_path):
    family = bench.from_hypermodel(guide, epochs=bench.Int(4, 8))
    options = {"dataset": "digits", "home": tmp_path, "seeds": 2, "workers": 2, "quiet": True}
    result = bench.search(family, 5, **options)
    assert [trial.state for trial in result.trials].count("failed") == 0
    assert result.trials[0].params == family.reference
    assert result.final["test_accuracy"] > 0.85
    model = result.best_model()
    assert model.input_shape == (None, 8, 8, 1)
    (stored,) = results.read_finals(tmp_path, "digits")
    said = results.read_predictions(tmp_path, stored)
    np.testing.assert_allclose(said.probabilities.sum(axis=2), 1.0, atol=1e-5)
    # What is stored is what the model says, once: a softmax of its softmax would be nearly flat.
    assert np.median(said.probabilities.max(axis=2)) > 0.5
    test = np.load(next(tmp_path.glob("cache/*/test.npz")))
    scale = 255 if test["x"].dtype == np.uint8 else 1
    np.testing.assert_allclose(
        model.predict(test["x"] / np.float32(scale), verbose=0), said.probabilities[0], atol=2e-2
    )
    again = bench.search(bench.from_hypermodel(guide, epochs=bench.Int(4, 8)), 5, **options)
    assert again.final == result.final


FILE = """
import keras_tuner

import bench


class Small(keras_tuner.HyperModel):
    def build(self, hp):
        import keras

        width = hp.Int("width", 8, 32)
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(width, "relu"), keras.layers.Dense(10)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(hp.Choice("optimizer", ["SGD", "Adagrad"]), loss, metrics=["accuracy"])
        return model


FAMILY = bench.from_hypermodel(Small(), name="small", epochs=bench.Int(1, 2))
"""


def test_a_hypermodel_in_a_family_file_and_one_with_conditions(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(FILE)
    command = [sys.executable, "-m", "bench", "search", str(path), "--trials", "3", "--dataset", "digits"]
    shown = [*command, "--home", str(tmp_path / "runs"), "--no-final", "--json", "--quiet"]
    said = subprocess.run(shown, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    assert document["trials"]["complete"] + document["trials"]["pruned"] == 3
    show = [sys.executable, "-m", "bench", "show", str(path), "--dataset", "digits", "--home", str(tmp_path / "runs")]
    assert subprocess.run(show, capture_output=True, text=True).returncode == 0

    family = bench.from_hypermodel(Conditional(10), epochs=bench.Int(1, 3))
    found = bench.search(family, 6, "digits", home=tmp_path / "runs", final=False, workers=2, quiet=True)
    assert [trial.state for trial in found.trials].count("failed") == 0
    assert all(not family.space.problems_of(trial.params) for trial in found.trials)
