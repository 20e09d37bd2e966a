"""The gallery as a PNG, of whatever images and names there are."""

import struct

import numpy as np
import pytest

from dashboards.gallery import Section, gallery


def size(content):
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", content[16:24])


def section(heading, count, channels=1, name="5"):
    pictures = np.random.default_rng(0).random((count, 8, 8, channels)).astype(np.float32)
    return Section(heading, pictures, [(f"#{k}: {name}", "said 3, 97 %") for k in range(count)])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_number_of_channels_is_drawn(channels):
    assert size(gallery("digits", [section("wrong", 3, channels)]))[0] > 900


def test_it_grows_by_rows_and_a_section_may_be_empty():
    heights = [size(gallery("digits", [section("wrong", count), section("none", 0)]))[1] for count in (0, 8, 9)]
    assert heights[0] < heights[1] < heights[2]


def test_names_are_drawn_as_they_are():
    hostile = "$\\frac{a}{b}$ 猫 \x1b[31m\n" + "x" * 100
    assert size(gallery(hostile, [section(hostile, 2, name=hostile)]))
