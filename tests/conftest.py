"""Shared fixtures: a sealed data set, and a family whose parameter says what goes wrong.

Tests train on digits or synthetic arrays; MNIST is used only where it is found.
"""

import os
from pathlib import Path

import pytest
from postgresql import server, url  # noqa: F401  fixtures

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# As in a worker:
os.environ.setdefault("JAX_THREEFRY_PARTITIONABLE", "0")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@pytest.fixture
def mnist_dir() -> Path:
    """The folder that holds mnist.npz; skips where it is not on disk."""
    folder = os.environ.get("BENCH_DATA_DIR")
    if folder and (Path(folder) / "mnist.npz").is_file():
        return Path(folder)
    pytest.skip("mnist.npz is not in $BENCH_DATA_DIR")


@pytest.fixture(params=["postgresql", "sqlite"])
def storage(request, tmp_path):
    """The URL of an empty storage of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    return request.getfixturevalue("url")


@pytest.fixture
def update_golden():
    """Compare text with a golden file; with BENCH_WRITE_GOLDEN=1 write it instead."""

    def check(path: Path, text: str) -> None:
        if os.environ.get("BENCH_WRITE_GOLDEN"):
            path.write_text(text)
        assert path.read_text() == text

    return check


FAULTY = '''"""A family whose build does what its parameter says."""
import gc
import os
import signal
import subprocess
import time
from pathlib import Path

from bench.family import Family
from bench.space import Choice, Int, SearchSpace


def build(config, image_shape, classes):
    import keras
    import numpy as np

    fault = config["fault"]
    if fault == "exit":
        os._exit(3)
    if fault == "abort":
        os.kill(os.getpid(), signal.SIGABRT)
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "memory":
        raise MemoryError("no more of it")
    if fault == "raise":
        raise RuntimeError("a bug in build")
    if fault == "tell":
        raise RuntimeError(f"garbage is collected: {gc.isenabled()}, but of {gc.get_freeze_count()} objects")
    if fault.startswith("spawn:"):
        started = subprocess.Popen(["sleep", "3599"])
        Path(fault.removeprefix("spawn:")).write_text(str(started.pid))
    if fault.startswith("fork:"):
        if child := os.fork():
            Path(fault.removeprefix("fork:")).write_text(str(child))
            os._exit(3)
        time.sleep(3600)
    if fault == "hang":
        time.sleep(3600)
    if fault.startswith("open:"):
        np.load(fault.removeprefix("open:"))
    if fault.startswith("try:"):
        try:
            np.load(fault.removeprefix("try:"))
        except Exception:
            pass
    if fault == "once":
        flag = Path(os.environ["BENCH_TEST_FLAG"])
        if not flag.exists():
            flag.write_text("")
            os._exit(3)
    inputs = keras.Input(image_shape)
    scale = float("nan") if fault == "nan" else 1.0
    x = keras.layers.Flatten()(inputs * scale)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


FAULTS = Choice("none", "exit", "kill", "memory", "nan", "raise", "long")
FAMILY = Family("faulty", SearchSpace({"fault": FAULTS, "epochs": Int(1, 100_000)}), build)
'''


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    from bench.holdout.seal import ensure

    home = tmp_path_factory.mktemp("home")
    return ensure(home, "digits", None, lambda line: None)


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    return path
