"""Shared fixtures. Tests train on digits or synthetic arrays; MNIST is used only where it is found."""

import os
from pathlib import Path

import pytest
from postgresql import server, url  # noqa: F401  fixtures

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


@pytest.fixture
def mnist_dir() -> Path:
    """The folder that holds mnist.npz; skips where it is not on disk."""
    folder = os.environ.get("BENCH_DATA_DIR")
    if folder and (Path(folder) / "mnist.npz").is_file():
        return Path(folder)
    pytest.skip("mnist.npz is not in $BENCH_DATA_DIR")


@pytest.fixture
def update_golden():
    """Compare text with a golden file; with BENCH_WRITE_GOLDEN=1 write it instead."""

    def check(path: Path, text: str) -> None:
        if os.environ.get("BENCH_WRITE_GOLDEN"):
            path.write_text(text)
        assert path.read_text() == text

    return check
