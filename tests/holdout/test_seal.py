import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from bench.data.arrays import open_arrays
from bench.data.catalog import KNOWN
from bench.data.sealed import Sealed, find
from bench.errors import DataError
from bench.holdout.seal import ensure, seal
from tests.holdout.tiny import tiny

pytestmark = pytest.mark.usefixtures("no_network_and_empty_caches")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_a_file_is_sealed_by_a_process_of_its_own_and_found_again(home, tmp_path, monkeypatch):
    path = tiny(tmp_path / "My cells.npz")
    sealed = ensure(home, path, None)
    assert (sealed.name, sealed.data_id) == ("My-cells", f"My-cells-{sealed.checksum[:8]}")
    assert (sealed.n_train, sealed.n_validation, sealed.n_test, sealed.overlap) == (50, 10, 9, 0)
    assert sealed.folder == home / "cache" / sealed.data_id
    monkeypatch.setattr(subprocess, "run", None)
    assert ensure(home, path, None) == sealed


def test_the_command_line_side_imports_no_numpy_and_opens_no_source(home, tmp_path):
    path = tiny(tmp_path / "tiny.npz")
    ensure(home, path, None)
    program = f"""
import sys
from pathlib import Path
from bench.data import guard
from bench.holdout.seal import ensure
guard.forbid([Path({path!r})])
ensure(Path({str(home)!r}), {path!r}, None)
assert not {{"numpy", "pooch", "sklearn", "filelock"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sealing_the_same_content_again_renews_only_seal_json(home, tmp_path):
    path = tmp_path / "tiny.npz"
    first = seal(home, tiny(path), None)
    before = first.train_path.stat().st_mtime_ns
    os.utime(path, ns=(1, 1))
    assert find(home, str(path), None) is None
    second = seal(home, str(path), None)
    assert second.folder == first.folder and second.source["mtime_ns"] == 1
    assert second.train_path.stat().st_mtime_ns == before
    assert find(home, str(path), None) == second


def test_other_content_is_another_data_set(home, tmp_path):
    path = tmp_path / "tiny.npz"
    first = seal(home, tiny(path), None)
    second = seal(home, tiny(path, seed=1), None)
    assert first.data_id != second.data_id and first.test_path.exists()
    assert find(home, str(path), None) == second


def test_the_sealed_files_depend_on_the_content_alone(tmp_path):
    one = seal(tmp_path / "a", tiny(tmp_path / "tiny.npz"), None)
    time.sleep(0.01)
    two = seal(tmp_path / "b", tiny(tmp_path / "tiny.npz"), None)
    assert one.train_path.read_bytes() == two.train_path.read_bytes()
    assert one.test_path.read_bytes() == two.test_path.read_bytes()


@pytest.mark.parametrize("name", ["train.npz", "test.npz", "seal.json"])
def test_a_sealed_copy_that_lost_a_file_or_a_part_of_one_is_made_again(home, tmp_path, name):
    path = tiny(tmp_path / "tiny.npz")
    first = seal(home, path, None)
    file = first.folder / name
    file.write_bytes(file.read_bytes()[:-20])
    assert find(home, path, None) is None
    assert seal(home, path, None) == first
    assert open_arrays(first).n_train == 50


def test_images_that_stand_in_both_sets_are_counted_and_warned_about(home, tmp_path):
    path = tiny(tmp_path / "tiny.npz")
    with np.load(path) as archive:
        x_test = archive["x_test"]
        x_test[[2, 5]] = archive["x_train"][[7, 40]]
    sealed = seal(home, tiny(tmp_path / "tiny.npz", x_test=x_test), None)
    assert sealed.overlap == 2
    assert sealed.warnings == (
        "2 of 9 test images also stand among the training images; test accuracy may be too high.",
    )


def test_validation_images_of_the_user_are_kept_as_they_are(home, tmp_path):
    x_val, y_val = np.full((6, 5, 4, 1), 9, np.uint8), np.arange(6) % 3
    arrays = open_arrays(seal(home, tiny(tmp_path / "tiny.npz", x_val=x_val, y_val=y_val), None))
    assert arrays.n_train == 60
    assert np.array_equal(arrays.validation[0], x_val) and np.array_equal(arrays.validation[1], y_val)


def test_floats_stay_floats(home, tmp_path):
    halves = {"x_train": np.full((60, 5, 4), 0.5), "x_test": np.full((9, 5, 4), 0.25)}
    arrays = open_arrays(seal(home, tiny(tmp_path / "tiny.npz", **halves), None))
    assert (arrays.x.dtype, arrays.scale, float(arrays.x.max())) == (np.float32, 1.0, 0.5)


def test_the_sealers_error_comes_back_with_all_its_problems(home, tmp_path):
    path = tiny(tmp_path / "tiny.npz", y_train=np.arange(59) % 3, x_test=np.full((9, 5, 4), np.nan))
    with pytest.raises(DataError) as caught:
        ensure(home, path, None)
    assert len(caught.value.problems) == 2
    assert str(caught.value).startswith(f"{path} cannot be used as a data set:\n  - x_train and y_train")
    assert not list(home.glob("cache/*/*"))


@pytest.mark.parametrize("size", [0, 10, -30])
def test_a_file_that_is_cut_short_or_no_zip_is_refused(home, tmp_path, size):
    path = tmp_path / "tiny.npz"
    tiny(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="cut short" if size else "not an .npz file"):
        seal(home, str(path), None)


def test_a_damaged_member_and_a_pickled_one_are_both_named(home, tmp_path):
    path = tmp_path / "tiny.npz"
    tiny(path, y_test=np.array([[1], [1, 2]], object))
    data = bytearray(path.read_bytes())
    data[data.index(b"x_train.npy") + 600] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        seal(home, str(path), None)
    assert [problem.split(" (")[0] for problem in caught.value.problems] == [
        "x_train is damaged",
        "y_test holds Python objects, which only pickle can read; save one plain array of numbers",
    ]


def test_two_processes_can_seal_at_once(home, tmp_path):
    path = tiny(tmp_path / "tiny.npz")
    command = [sys.executable, "-m", "bench.holdout.seal", "--home", str(home), "--dataset", path]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [run.communicate()[0] for run in runs]
    assert answers[0] == answers[1]
    assert open_arrays(Sealed.load(next(home.glob("cache/tiny-*")))).n_train == 50
    assert json.loads(answers[0])["schema"] == 1


def test_the_built_in_digits_need_nothing(home):
    sealed = ensure(home, "digits", None)
    known = KNOWN["digits"]
    assert (sealed.n_train, sealed.n_validation, sealed.n_test) == (1_197, 240, 360)
    assert (sealed.image_shape, sealed.class_names) == (known.image_shape, known.class_names)
    arrays = open_arrays(sealed)
    assert arrays.x.max() == 255 and set(np.unique(arrays.x)) <= {round(v * 255 / 16) for v in range(17)}
    with np.load(sealed.test_path) as test:
        assert np.abs(np.bincount(test["y"]) / (np.bincount(test["y"]) + np.bincount(arrays.y)) - 0.2).max() < 0.006


def test_what_the_sealer_begins_is_told_apart_from_what_it_warns_of(home, tmp_path, capfd):
    heard = []
    path = tiny(tmp_path / "tiny.npz")
    ensure(home, path, None, pytest.fail, heard.append)
    assert heard == [f"sealing tiny (file: {path})"]
    ensure(home, path, None, pytest.fail, pytest.fail)
    assert capfd.readouterr() == ("", ""), "the caller alone decides what is shown"


def test_a_sealer_that_dies_is_quoted(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "filelock.py").write_text("raise RuntimeError('no lock today')")
    with pytest.raises(DataError, match=r"exit code 1 and no answer.*It last said: RuntimeError: no lock today"):
        ensure(home, tiny(tmp_path / "tiny.npz"), None)


def test_a_stop_while_data_is_sealed_is_a_stop(home, tmp_path, monkeypatch):
    import sys

    from bench.errors import Interrupted
    from bench.holdout import seal

    monkeypatch.setattr(seal, "_sealer", lambda: [sys.executable, "-c", "raise SystemExit(130)"])
    with pytest.raises(Interrupted, match="begins again"):
        ensure(home, "digits", None, lambda line: None)
