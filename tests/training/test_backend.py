"""Which framework trains is named by the environment, and refused where it is not there."""

import importlib.util
import subprocess
import sys

import pytest

from bench.errors import MissingPackage, UsageError
from bench.training import backend


def installed(*names):
    find = importlib.util.find_spec
    return lambda name: find("sys") if name in names else None


def test_tensorflow_trains_unless_the_environment_names_another(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", installed("tensorflow", "jax"))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert backend.chosen() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend.chosen() == "jax"


def test_another_framework_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    with pytest.raises(UsageError, match=r"one of tensorflow, jax, not 'jaxx'. Did you mean jax\?"):
        backend.chosen()


def test_one_that_is_not_installed_is_refused_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr(backend, "find_spec", installed())
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(MissingPackage, match="pip install jax"):
        backend.chosen()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    with pytest.raises(MissingPackage, match=r"pip install tensorflow$"):
        backend.chosen()
    monkeypatch.setattr(backend, "find_spec", installed("jax"))
    with pytest.raises(MissingPackage, match="KERAS_BACKEND=jax"):
        backend.chosen()


def test_a_search_with_an_unknown_framework_ends_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    command = [sys.executable, "-m", "bench", "search", "mlp", "--dataset", "digits", "--home", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "KERAS_BACKEND must be one of tensorflow, jax, not 'torch'" in run.stderr
    assert "Traceback" not in run.stderr


def test_choosing_imports_nothing():
    code = "import sys; from bench.training import backend; backend.asked(); backend.chosen()\n"
    code += "print([name for name in ('jax', 'keras', 'tensorflow', 'numpy') if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


def test_workers_take_quick_routines_on_every_processor_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert backend.environment("tensorflow", 1, None, tmp_path)["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert "TF_ENABLE_ONEDNN_OPTS" not in backend.environment("tensorflow", None, None, tmp_path)  # an exam's
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert backend.environment("tensorflow", 1, None, tmp_path)["TF_ENABLE_ONEDNN_OPTS"] == "0"
