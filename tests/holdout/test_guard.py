"""An audit hook cannot be taken off again, so every test runs in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

PRELUDE = """
import os, shutil, sys
from pathlib import Path
import numpy as np
from bench.data import guard
from bench.errors import SealError
root = Path(sys.argv[1])
guard.forbid([root / "cache/test.npz", root / "results", root / "later/source.npz"])
os.chdir(root / "cache")
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "results/mnist").mkdir(parents=True)
    np.savez(tmp_path / "cache/test.npz", x=np.zeros(3))
    np.savez(tmp_path / "cache/train.npz", x=np.zeros(3))
    (tmp_path / "results/mnist/result.json").write_text("{}")
    (tmp_path / "link.npz").symlink_to(tmp_path / "cache/test.npz")
    (tmp_path / "folder").symlink_to(tmp_path / "results")
    os.link(tmp_path / "cache/test.npz", tmp_path / "hard.npz")

    def run(line):
        command = [sys.executable, "-c", PRELUDE + line, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True)

    return run


@pytest.mark.parametrize(
    "line",
    [
        "open(root / 'cache/test.npz')",
        "np.load('test.npz')",
        "np.load(b'../cache/./test.npz')",
        "os.open('test.npz', os.O_RDONLY)",
        "Path('test.npz').read_bytes()",
        "np.memmap('test.npz')",
        "np.load(root / 'link.npz')",
        "np.load(root / 'hard.npz')",
        "shutil.copyfile('test.npz', 'mine.npz')",
        "os.rename('test.npz', 'mine.npz')",
        "os.link('test.npz', 'mine.npz')",
        "open(root / 'results/mnist/result.json')",
        "open(root / 'folder/mnist/result.json')",
        "os.listdir(root / 'results')",
        "list(os.walk(root / 'results', onerror=print))",
        "os.mkdir(root / 'later'); open(root / 'later/source.npz', 'w')",
    ],
)
def test_what_is_sealed_cannot_be_opened(run, line):
    done = run(line)
    assert done.returncode == 1
    assert "SealError: Nothing that searches may open the test images" in done.stderr


def test_the_message_names_the_rule_and_the_path_and_the_next_step(run):
    message = run("np.load('test.npz')").stderr.splitlines()[-1]
    assert "(rule: " in message and "cache/test.npz)" in message
    assert "tried to open test.npz. Take what you need from train.npz" in message


def test_an_except_for_missing_files_does_not_swallow_it(run):
    assert "SealError" in run("try: open('test.npz')\nexcept OSError: pass").stderr


@pytest.mark.parametrize(
    "line",
    [
        "np.load('train.npz')['x']",
        "os.listdir('.')",
        "import json.tool, email.message",
        "open(root / 'results.txt', 'w').close()",
        "try: open('nothing')\nexcept FileNotFoundError: pass",
        "try: open('a\\0b')\nexcept ValueError: pass",
    ],
)
def test_everything_else_opens_as_before(run, line):
    done = run(line)
    assert (done.returncode, done.stderr) == (0, "")
