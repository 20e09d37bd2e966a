"""Families and samplers that cannot work: said once, with the way out, and nothing is left behind."""

import importlib.util

import pytest

from tests.command_line import bench, document

pytestmark = pytest.mark.slow  # every test here starts workers

FAMILY = '''"""Works badly."""
import os
import sys
from bench.family import Family
from bench.space import Int, SearchSpace


def build(config, image_shape, classes):
    import keras
    {fault}


FAMILY = Family("broken", SearchSpace({{"epochs": Int(1, 9)}}), build, {reference})
'''


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise RuntimeError('no model today')", "RuntimeError: no model today (FILE, line 10)"),
        ("sys.exit(1)", "SystemExit: 1 (FILE, line 10)"),
        ("os._exit(0)", "Family 'broken': worker 0 ended with exit code 0"),
        ("return None", "build must return a Keras model with its input and output shapes, not None"),
        (
            "k = keras.layers; return keras.Sequential([keras.Input(image_shape), k.Flatten(), k.Dense(classes + 1)])",
            "its output must have shape (None, 10), not (None, 11)",
        ),
    ],
)
def test_a_family_that_cannot_be_built_is_said_once_and_leaves_no_study(tmp_path, fault, said):
    family = tmp_path / "broken.py"
    family.write_text(FAMILY.format(fault=fault, reference="{'epochs': 3}"))
    options = ["--dataset", "digits", "--trials", "50", "--workers", "1"]
    run = bench(tmp_path, "search", str(family), *options, check=False)
    assert run.returncode == 3, run.stderr
    assert said.replace("FILE", str(family)) in run.stderr
    assert "Traceback" not in run.stderr
    assert len([line for line in run.stderr.splitlines() if "trial" in line and "failed" in line]) == 0
    assert document(tmp_path, "studies")["rows"] == []


@pytest.mark.parametrize(("options", "code", "said"), [(["gp"], 2, "pip install torch"), (["grid"], 3, "A grid over")])
def test_a_sampler_that_cannot_serve_leaves_no_study_behind(tmp_path, options, code, said):
    if options == ["gp"] and importlib.util.find_spec("torch"):
        pytest.skip("torch is installed, so that nothing is missing")
    run = bench(tmp_path, "search", "mlp", "--dataset", "digits", "--sampler", *options, check=False)
    assert run.returncode == code
    assert said in run.stderr
    assert document(tmp_path, "studies")["rows"] == []


def test_a_search_in_which_nothing_completes_ends_early_with_exit_4_and_the_reason(tmp_path):
    family = tmp_path / "broken.py"
    family.write_text(FAMILY.format(fault="raise RuntimeError('no model today')", reference="None"))
    options = [str(family), "--dataset", "digits", "--workers", "1"]
    run = bench(tmp_path, "search", *options, "--trials", "3", check=False)
    assert run.returncode == 4
    assert f"no model today ({family}, line 10)" in run.stderr
    run = bench(tmp_path, "search", *options, "--trials", "3", "--no-final", check=False)
    assert run.returncode == 4 and "None of the 3 trials" in run.stderr, "asked again, the same"
    run = bench(tmp_path, "search", *options, "--trials", "50", check=False)
    assert run.returncode == 4
    assert "The first 5 trials failed" in run.stderr
    rows = document(tmp_path, "trials", str(family), "--dataset", "digits")["rows"]
    assert {row["state"] for row in rows} == {"failed"}
    assert len(rows) < 10
