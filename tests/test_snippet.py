"""The code that is shown is run, as it stands, on real digits."""

import os
import re
import subprocess
import sys

import pytest

from bench.family import load
from bench.holdout.seal import ensure
from bench.snippet import snippet
from bench.training.interface import OPTIMIZERS


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    return ensure(tmp_path_factory.mktemp("home"), "digits", None, lambda line: None)


def config(**changes):
    return {**load("mlp").reference, **changes}


@pytest.mark.slow
def test_it_trains_the_models_with_every_setting_and_learns(sealed, tmp_path):
    """Plain gradient descent, whose three settings all show, under a schedule."""
    settings = config(
        optimizer="sgd", momentum=0.9, learning_rate=0.02, weight_decay=1e-4, warm_up=0.1, cooldown=0.5, width=64
    )
    code = snippet("mlp", settings, sealed, "float32", 7)
    path = tmp_path / "model.py"  # not code.py, a name of the standard library
    probe = (
        "\nfor done in (0, 0.05, 0.5, 0.75, 1):"
        "\n    print('rate', done, float(rate(done * steps)))"
        "\nprint('optimizer', model.optimizer.get_config())\n"
    )
    path.write_text(code + probe)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stderr
    assert float(re.findall(r"val_accuracy: ([0-9.]+)", run.stdout)[-1]) > 0.7
    rates = [float(text) for text in re.findall(r"^rate \S+ (\S+)$", run.stdout, re.MULTILINE)]
    assert rates == pytest.approx([0, 0.01, 0.02, 0.01, 0], abs=1e-6)  # the trapezoid of `Recipe`
    for said in ("'momentum': 0.9", "'nesterov': True", "'weight_decay': 0.0001"):
        assert said in run.stdout


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_optimizer_is_the_trainers_own(sealed, optimizer):
    import keras

    from bench.training.interface import Recipe
    from bench.training.loop import make_optimizer

    for decay in (0.0, 0.01):
        settings = config(optimizer=optimizer, weight_decay=decay)
        code = snippet("mlp", settings, sealed, "float32", 1)
        (line,) = [line for line in code.splitlines() if "keras.optimizers." in line]
        made = eval(line.strip().rstrip(","), {"keras": keras, "rate": settings["learning_rate"]})
        assert made.get_config() == {**make_optimizer(Recipe.of(settings)).get_config(), "name": made.name}


def test_names_stay_strings_and_other_precisions_are_set(sealed):
    hostile = 'a\'); import os  # \n"""'
    code = snippet(hostile, config(note=hostile), sealed, "bfloat16", None)
    compile(code, "code", "exec")
    assert repr(hostile) in code
    assert "mixed_bfloat16" in code
    assert "test.npz" not in code
