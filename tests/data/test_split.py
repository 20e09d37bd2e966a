import numpy as np
import pytest

from bench.data.catalog import KNOWN
from bench.data.split import fingerprint, stratified, validation_size

# Changing it means that every study made before has another split.
PUBLISHED = "0c422304e414c4a4d9bd408e1b6bf384f706f8a2a6d72190c2adb8c2cafb84c8"


def test_a_sixth_of_the_training_images_is_held_out_and_mnist_gets_ten_thousand():
    assert validation_size(60_000) == 10_000
    assert validation_size(3) == 1


def test_the_catalog_states_the_sizes_that_the_split_gives():
    for known in KNOWN.values():
        assert known.n_validation == validation_size(known.n_train + known.n_validation), known.name


def test_every_class_keeps_its_share_and_the_total_is_exact():
    y = np.repeat(np.arange(4, dtype=np.int32), [600, 301, 59, 7])
    kept, held_out = stratified(y, 161)
    assert len(held_out) == 161
    assert sorted([*kept, *held_out]) == list(range(len(y)))
    shares = np.bincount(y[held_out], minlength=4)
    assert np.abs(shares - np.bincount(y) * 161 / len(y)).max() < 1


def test_the_split_is_the_same_every_time_and_on_every_machine():
    y = (np.arange(1_000) * 7 % 10).astype(np.int32)
    first, second = stratified(y, 166), stratified(y, 166)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    index = np.concatenate(first)
    assert fingerprint(index, y[index], len(first[0])) == PUBLISHED


def test_no_class_loses_its_last_training_image():
    y = np.array([0, 1, 2, 3, 3, 3, 3, 3, 3, 3], np.int32)
    kept, held_out = stratified(y, 3)
    assert set(y[kept]) == {0, 1, 2, 3}
    assert set(y[held_out]) == {3}


def test_holding_out_too_many_images_is_refused():
    with pytest.raises(ValueError, match="3 of 4 images cannot be held out"):
        stratified(np.array([0, 0, 1, 1], np.int32), 3)


def test_the_fingerprint_depends_on_order_labels_and_border():
    index, y = np.arange(6), np.array([0, 1, 0, 1, 0, 1], np.int32)
    prints = {fingerprint(index, y, 4), fingerprint(index, y, 5), fingerprint(index[::-1], y, 4)}
    assert len(prints | {fingerprint(index, 1 - y, 4)}) == 4
