import numpy as np
import pytest

from bench.data.catalog import KNOWN
from bench.errors import DataError
from bench.holdout.checks import check


def good(**changes):
    y = np.arange(30) % 3
    arrays = {
        "x_train": np.full((30, 6, 5), 200, np.uint8),
        "y_train": y,
        "x_test": np.full((9, 6, 5), 100, np.uint8),
        "y_test": y[:9],
    }
    arrays.update(changes)
    return {name: array for name, array in arrays.items() if array is not None}


def problems(arrays, known=None):
    with pytest.raises(DataError) as caught:
        check(arrays, "tiny.npz", known=known)
    return list(caught.value.problems)


def one_problem(**changes):
    found = problems(good(**changes))
    assert len(found) == 1, found
    return found[0]


def test_good_arrays_pass_with_a_channel_axis_and_int32_labels():
    checked = check(good(y_train=(np.arange(30) % 3)[:, None].astype(np.uint8)), "tiny.npz")
    assert checked.x["train"].shape == (30, 6, 5, 1) and checked.x["train"].dtype == np.uint8
    assert checked.y["train"].shape == (30,) and checked.y["train"].dtype == np.int32
    assert (checked.classes, checked.class_names, checked.warnings) == (3, ("0", "1", "2"), ())


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.int64, np.uint8), (np.uint16, np.uint8), (np.float64, np.float32), (np.float16, np.float32)]
)
def test_other_number_types_become_uint8_or_float32(dtype, kept):
    value = 0.5 if np.dtype(dtype).kind == "f" else 200
    checked = check(
        good(x_train=np.full((30, 6, 5), value, dtype), x_test=np.full((9, 6, 5), value, dtype)), "tiny.npz"
    )
    assert checked.x["train"].dtype == checked.x["test"].dtype == kept
    assert float(checked.x["test"][0, 0, 0, 0]) == value


def test_every_problem_is_in_one_error():
    x_train = np.full((30, 6, 5), 0.5)
    x_train[4, 2, 1] = np.nan
    y_train = np.arange(30) % 3
    y_train[7] = 9
    found = problems(good(x_train=x_train, y_train=y_train, x_test=None, y_test=np.zeros(9)))
    assert len(found) == 4
    for text in ("x_test is missing", "x_train[4, 2, 1] is nan", "no image of class 3, 4, 5, 6, 7, 8", "not float64"):
        assert any(text in problem for problem in found), text


def test_the_error_names_the_input_and_lists_one_problem_a_line():
    with pytest.raises(DataError) as caught:
        check({}, "tiny.npz")
    lines = str(caught.value).splitlines()
    assert lines[0] == "tiny.npz cannot be used as a data set:"
    assert [line.split()[1] for line in lines[1:]] == ["x_train", "y_train", "x_test", "y_test"]


def test_flat_images_get_the_reshape_that_helps():
    problem = one_problem(x_train=np.zeros((30, 784), np.uint8))
    assert "not (30, 784); use x_train.reshape(-1, 28, 28)" in problem


def test_channels_first_images_get_the_transpose_that_helps():
    problem = one_problem(x_train=np.zeros((30, 3, 32, 32), np.uint8))
    assert "channels come last: use x_train.transpose(0, 2, 3, 1)" in problem


def test_five_channels_are_refused():
    assert "use 1 to 4 channels" in one_problem(x_train=np.zeros((30, 32, 32, 5), np.uint8))


def test_empty_sets_are_refused():
    found = problems(good(x_test=np.zeros((0, 6, 5), np.uint8), y_test=np.zeros(0, int)))
    assert "x_test is empty: its shape is (0, 6, 5)" in found[0]
    assert "y_test is empty" in found[1]


def test_images_without_height_are_refused():
    assert "no side may be 0" in one_problem(x_train=np.zeros((30, 0, 5), np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_the_first_is_named(value):
    x = np.full((9, 6, 5), 0.5, np.float32)
    x[3, 1, 4] = x[5, 0, 0] = value
    problem = one_problem(x_train=np.full((30, 6, 5), 0.5), x_test=x)
    assert f"x_test[3, 1, 4] is {value} (2 such values)" in problem


def test_float_pixels_up_to_255_get_the_division_that_helps():
    x = np.zeros((30, 6, 5), np.float32)
    x[2, 0, 3] = 254.0
    assert "x_train[2, 0, 3] is 254.0; divide by 255" in one_problem(x_train=x, x_test=np.zeros((9, 6, 5)))


def test_values_out_of_range_are_refused_with_the_range_seen():
    x = np.zeros((30, 6, 5), np.int16)
    x[1, 2, 3], x[9, 0, 0] = -4, 300
    assert "x_train[1, 2, 3] is -4; scale them; they range from -4 to 300" in one_problem(x_train=x)


@pytest.mark.parametrize("dtype", [bool, "U3", complex])
def test_pixels_that_are_no_numbers_are_refused(dtype):
    assert "must hold integers 0 to 255 or floats 0 to 1" in one_problem(x_train=np.ones((30, 6, 5), dtype))


def test_lengths_must_agree():
    assert "have 30 images and 28 labels" in one_problem(y_train=np.arange(28) % 3)


def test_train_and_test_must_have_one_image_shape_and_one_scale():
    found = problems(good(x_test=np.zeros((9, 6, 6), np.float32)))
    assert "x_train has (6, 5, 1) and x_test (6, 6, 1)" in found[0]
    assert "must both be integers or both floats" in found[1]


@pytest.mark.parametrize("y", [np.arange(30) % 3 * 1.0, np.array(["a", "b", "c"] * 10), np.arange(30) % 2 == 0])
def test_labels_must_be_integers(y):
    assert "y_train must hold integers, not" in one_problem(y_train=y)


def test_one_hot_labels_get_the_argmax_that_helps():
    assert "use y_train.argmax(axis=1)" in one_problem(y_train=np.eye(3, dtype=int)[np.arange(30) % 3])


def test_negative_labels_are_refused_at_the_first_one():
    y = np.arange(30) % 3
    y[11] = -1
    assert "y_train[11] is -1" in one_problem(y_train=y)


def test_labels_from_one_get_the_subtraction_that_helps():
    found = problems(good(y_train=np.arange(30) % 3 + 1, y_test=np.arange(9) % 3 + 1))
    assert len(found) == 1
    assert "no image of class 0, though its labels go up to 3 (first at index 2); subtract 1" in found[0]


def test_a_huge_label_does_not_list_every_class_below_it():
    y = np.arange(30) % 3
    y[5] = 2_000_000_000
    problem = one_problem(y_train=y)
    assert "no image of class 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 ..." in problem and "(first at index 5)" in problem


def test_a_test_label_without_training_images_is_named():
    y = np.arange(9) % 3
    y[4] = 3
    assert "y_test[4] is 3, a class without an image in y_train (1 such labels)" in one_problem(y_test=y)


def test_one_class_is_not_a_classification():
    assert "one class only (1)" in problems(good(y_train=np.ones(30, int)))[0]


def test_a_training_set_too_small_to_split_is_refused():
    x, y = np.zeros((3, 6, 5), np.uint8), np.arange(3)
    assert "leave none for validation" in one_problem(x_train=x, y_train=y)


def test_validation_images_need_their_labels():
    assert "y_val is missing" in one_problem(x_val=np.zeros((4, 6, 5), np.uint8))


def test_class_names_must_fit_the_classes():
    names = np.array(["cat", "dog", "frog"])
    assert check(good(class_names=names), "tiny.npz").class_names == ("cat", "dog", "frog")
    for wrong in (names[:2], np.arange(3), np.array(["cat", "dog", "\x1b[31m"])):
        assert "class_names must be 3 printable strings" in one_problem(class_names=wrong)


def test_a_named_data_set_must_look_like_itself():
    found = problems(good(), KNOWN["mnist"])
    assert any("mnist has 10 classes, not 3" in problem for problem in found)
    assert any("mnist has images of shape (28, 28, 1), not (6, 5, 1)" in problem for problem in found)


def test_part_of_a_named_data_set_and_doubtful_pixels_are_warned_about():
    y = np.arange(30) % 10
    ones = np.ones((30, 28, 28), np.uint8)
    arrays = {"x_train": ones, "y_train": y, "x_test": ones[:9], "y_test": y[:9]}
    warnings = check(arrays, "mnist.npz", known=KNOWN["mnist"]).warnings
    assert warnings == (
        "The test set has no image of class 9.",
        "The integer pixels are 0 and 1 only; 0 to 255 is expected, so the images are almost black.",
        "This is not the whole of mnist: 30 training and 9 test images instead of 60,000 and 10,000.",
    )
