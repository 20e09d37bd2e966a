import dataclasses
import json
import zipfile

import numpy as np
import pytest

from bench.data.arrays import map_member, open_arrays
from bench.data.sealed import Sealed
from bench.errors import SealError
from bench.holdout.seal import seal


@pytest.fixture
def sealed(tmp_path):
    random = np.random.RandomState(0)
    y = np.arange(66) % 3
    path = tmp_path / "tiny.npz"
    np.savez(
        path,
        x_train=random.randint(0, 256, (60, 5, 4)).astype(np.uint8),
        y_train=y[:60],
        x_test=random.randint(0, 256, (6, 5, 4)).astype(np.uint8),
        y_test=y[60:],
    )
    return seal(tmp_path / "home", str(path), None)


def resave(sealed, **changed):
    with np.load(sealed.train_path) as archive:
        arrays = {**archive, **changed}
    np.savez(sealed.train_path, **arrays)


def test_arrays_are_mapped_aligned_and_read_only(sealed):
    arrays = open_arrays(sealed)
    with np.load(sealed.train_path) as archive:
        for name in ("x", "y", "index"):
            mapped = getattr(arrays, name)
            assert np.array_equal(mapped, archive[name])
            assert isinstance(mapped.base, np.memmap)
            assert mapped.ctypes.data % 64 == 0
    with pytest.raises(ValueError, match="read-only"):
        arrays.x[0] = 0


def test_train_and_validation_are_views_of_both(sealed):
    arrays = open_arrays(sealed)
    (x, y), (val_x, val_y), (all_x, _) = arrays.train, arrays.validation, arrays.both
    assert (x.shape, val_x.shape, all_x.shape) == ((50, 5, 4, 1), (10, 5, 4, 1), (60, 5, 4, 1))
    assert np.shares_memory(x, all_x) and np.shares_memory(val_x, all_x)
    assert (len(y), len(val_y), y.dtype) == (50, 10, np.int32)
    assert arrays.scale == 1 / 255


def test_the_index_leads_back_to_the_source(sealed, tmp_path):
    arrays = open_arrays(sealed)
    with np.load(tmp_path / "tiny.npz") as source:
        assert np.array_equal(source["x_train"][arrays.index], arrays.x[..., 0])
        assert np.array_equal(source["y_train"][arrays.index], arrays.y)


def test_a_split_that_changed_fails_loudly(sealed):
    with np.load(sealed.train_path) as archive:
        order = np.roll(np.arange(60), 1)
        moved = {name: archive[name][order] for name in ("x", "y", "index")}
    resave(sealed, **moved)
    with pytest.raises(SealError, match=r"The split in .*train\.npz changed: its fingerprint was [0-9a-f]{12}, and is"):
        open_arrays(sealed)


def test_a_border_between_train_and_validation_that_moved_fails_loudly(sealed):
    moved = dataclasses.replace(sealed, n_train=sealed.n_train + 1, n_validation=sealed.n_validation - 1)
    with pytest.raises(SealError, match="The split in"):
        open_arrays(moved)


def test_other_shapes_and_dtypes_are_all_named(sealed):
    with np.load(sealed.train_path) as archive:
        resave(sealed, x=archive["x"][:, :4], y=archive["y"].astype(np.int64))
    with pytest.raises(SealError) as caught:
        open_arrays(sealed)
    assert caught.value.problems == (
        "x was sealed as uint8 (60, 5, 4, 1), and is uint8 (60, 4, 4, 1)",
        "y was sealed as int32 (60,), and is int64 (60,)",
    )


@pytest.mark.parametrize("size", [0, 100, -1, -200])
def test_a_file_that_is_cut_short_is_refused(sealed, size):
    data = sealed.train_path.read_bytes()
    sealed.train_path.write_bytes(data[:size])
    with pytest.raises(SealError, match="is damaged or cut short"):
        open_arrays(sealed)


def test_compressed_and_pickled_members_are_not_mapped(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.zeros(3))
    with pytest.raises(ValueError, match="compressed"):
        map_member(path, "x")
    np.savez(path, x=np.array([{}, []], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        map_member(path, "x")


def test_a_header_that_promises_too_much_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.zeros(3, np.uint8))
    with zipfile.ZipFile(path) as archive:
        member = archive.read("x.npy").replace(b"(3,)", b"(9,)")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(ValueError, match=r"shorter or longer than its shape \(9,\)"):
        map_member(path, "x")


def test_seal_json_reads_back_as_it_was_written(sealed):
    assert Sealed.load(sealed.folder) == sealed
    (sealed.folder / "seal.json").write_text("{")
    with pytest.raises(SealError, match=r"seal\.json does not read back .* delete"):
        Sealed.load(sealed.folder)


def test_seal_json_of_another_schema_is_not_read(sealed):
    path = sealed.folder / "seal.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(SealError, match="another schema"):
        Sealed.load(sealed.folder)
