"""An audit hook cannot be taken off again, so every test runs in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

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
        "open('.test.npz.a1b2.tmp')",
        "np.load(root / 'hard.npz')",
        "import io; io.open_code(str(root / 'cache/test.npz'))",
        "open('/proc/self/cwd/test.npz')",
        "import mmap; mmap.mmap(os.open('test.npz', os.O_RDONLY), 0, prot=mmap.PROT_READ)",
        "os.symlink('test.npz', 'mine.npz'); np.load('mine.npz')",
        "os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) if (pid := os.fork()) else np.load('test.npz')",
        "import numpy.lib.npyio; np.fromfile('test.npz', np.uint8)",
        "import zipfile; zipfile.ZipFile('test.npz')",
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


def test_the_copies_of_a_known_data_set_that_a_habit_would_find_are_known(tmp_path, monkeypatch):
    from sklearn import datasets

    from bench.data.catalog import copies_of

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    copies = copies_of("mnist", tmp_path / "data")
    assert tmp_path / "keras" / "datasets" / "mnist.npz" in copies
    assert tmp_path / "data" / "mnist.npz" in copies
    assert Path("/tmp/.keras/datasets/mnist.npz") in copies, "of a Keras whose own folder cannot be written"
    (digits,) = copies_of("digits", None)
    assert digits.is_file() and digits.is_relative_to(Path(datasets.__file__).parent)
    assert copies_of("my-images", tmp_path) == []


@pytest.mark.parametrize("line", ["keras.datasets.mnist.load_data()", "sklearn.datasets.load_digits()"])
def test_the_loaders_that_everybody_knows_are_refused(tmp_path, line):
    """The very calls, in a process that is guarded as a worker is."""
    (tmp_path / "datasets").mkdir()
    shape = np.zeros((2, 28, 28), np.uint8)
    np.savez(tmp_path / "datasets/mnist.npz", x_train=shape, y_train=[0, 1], x_test=shape, y_test=[0, 1])
    code = f"""
from bench.data import guard
from bench.data.catalog import copies_of
import keras, sklearn.datasets
guard.forbid([*copies_of("mnist", None), *copies_of("digits", None)])
{line}
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "KERAS_HOME": str(tmp_path)}
    )
    assert run.returncode == 1
    assert "SealError: Nothing that searches may open" in run.stderr
