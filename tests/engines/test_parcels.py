"""What travels to a node: the training part of the data and a family's files, and what is left of them there."""

import numpy as np

from bench.data.arrays import open_arrays
from bench.data.sealed import Sealed
from bench.engines.parcels import DataParcel, FilesParcel, Shelf
from bench.family import load, load_file


def test_the_data_arrive_whole_and_without_the_test_images_and_the_last_to_leave_removes_them(
    digits, tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    parcel = DataParcel.of(digits)
    first, second = parcel.unpack(), parcel.unpack()
    assert first.folder == second.folder
    assert sorted(path.name for path in first.folder.iterdir()) == ["lock", "seal.json", "train.npz", "writing"]
    arrays = open_arrays(Sealed.load(first.folder))  # checks shapes and the split's fingerprint
    np.testing.assert_array_equal(arrays.x, open_arrays(digits).x)
    first.leave()
    assert second.folder.is_dir()
    second.leave()
    assert list(tmp_path.iterdir()) == []
    third = parcel.unpack()
    assert (third.folder / "train.npz").stat().st_size == digits.train_bytes
    third.leave()


def test_a_familys_files_arrive_with_what_they_import_and_are_called_by_their_own_names(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "before")
    family = load("mlp")
    parcel = FilesParcel.of(family.source)
    assert {name for name, _ in parcel.files} == {"mlp.py", "_common.py", "__init__.py"}
    path = parcel.unpack(tmp_path)
    assert path == tmp_path / "search_spaces" / "mlp.py"
    assert load_file(path).code == family.code
    said = parcel.named(f"TypeError ({path}, line 3)", tmp_path)
    assert said == f"TypeError ({family.source}, line 3)"


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path):
    for name in ("bench-ray-killed", "bench-data-0-digits-killed"):
        Shelf(tmp_path / name)._lock.close()  # as the kernel does
        (tmp_path / name / "something").touch()
    used = Shelf.new(str(tmp_path))
    own = Shelf.new(str(tmp_path))
    assert sorted(tmp_path.iterdir()) == sorted([used.folder, own.folder])
    used.leave()
    own.leave()
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_called_like_a_folder_of_ours_is_left_alone(tmp_path):
    home = tmp_path / "bench-ray-home"
    home.mkdir()
    (home / "bench.db").write_text("every trial so far")
    Shelf.new(str(tmp_path)).leave()
    assert (home / "bench.db").read_text() == "every trial so far"
