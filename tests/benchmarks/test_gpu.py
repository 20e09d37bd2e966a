"""The benchmark of a GPU is of use where there is one, and does no harm elsewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.hardware import listed_gpus


@pytest.mark.skipif(bool(listed_gpus("index")), reason="there is a GPU here, and measuring it takes minutes")
def test_without_a_gpu_it_says_so_and_ends_well():
    command = [sys.executable, str(Path(__file__).with_name("gpu.py"))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("No GPU")
