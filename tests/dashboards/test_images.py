"""The images are PNG, and show what they were given."""

import io
from concurrent.futures import ThreadPoolExecutor

import matplotlib.image
import numpy as np
import pytest

from dashboards.images import confusion_matrix, learning_curve


def pixels(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return matplotlib.image.imread(io.BytesIO(png))


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_a_confusion_matrix_is_drawn_for_few_and_for_many_classes(classes):
    cells = (*((label, label, 9) for label in range(classes)), (0, 1, 3))
    height, width, _ = pixels(confusion_matrix(cells)).shape
    assert 300 < height < 1200
    assert 300 < width < 1200


def test_an_error_shows():
    right = pixels(confusion_matrix(tuple((label, label, 100) for label in range(10))))
    wrong = pixels(confusion_matrix((*((label, label, 100) for label in range(10)), (2, 7, 1))))
    assert right.shape == wrong.shape
    assert np.abs(right - wrong).max() > 0.1


def test_a_pruned_curve_ends_in_a_cross():
    curve = ((5000, 0.7), (15000, 0.8))
    assert not np.array_equal(pixels(learning_curve(curve, 2, "pruned")), pixels(learning_curve(curve, 2, "running")))


def test_one_point_is_a_curve_too():
    assert pixels(learning_curve(((5000, 1.0),), 0, "complete")).shape[2] in (3, 4)


def test_several_threads_draw_the_same():
    def draw(number):
        return confusion_matrix(((0, 0, number), (1, 1, 5)))

    alone = [draw(number) for number in range(8)]
    confusion_matrix.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(draw, range(8))) == alone
