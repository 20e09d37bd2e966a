"""Where a value lies in its range, and that the wider range which is named is one that the command line takes."""

import pytest

from bench.edges import place
from bench.errors import SpaceError
from bench.space import Choice, Fixed, Float, Int, SearchSpace, When

RANGES = [Int(5, 15), Float(1e-3, 2e-2, log=True), Choice(64, 128, 256), Choice(0.1, 0.2, 0.4)]


def placed(domain, value):
    (found,) = place(SearchSpace({"x": domain}).describe(), {"x": value})
    return found.edge, found.wider and found.wider.removeprefix("x=")


@pytest.mark.parametrize(
    ("domain", "value", "edge", "wider"),
    [
        (Int(5, 15), 15, "highest", "5:20"),
        (Int(5, 15), 14, None, None),
        (Int(5, 15), 5, "lowest", "1:15"),
        (Int(1, 3), 3, "highest", "1:4"),
        (Int(1, 3), 1, None, None),  # a count
        (Int(5, 6), 6, None, None),  # no inside
        (Int(64, 512, log=True), 512, "highest", "64:1024"),
        (Int(64, 512, log=True), 64, "lowest", "32:512"),
        (Int(1, 2_000_000), 2_000_000, "highest", "1:3000000"),
        (Int(4_000_001, 8_000_003), 4_000_001, "lowest", "2000000:8000003"),
        (Int(4_000_001, 8_000_003), 8_000_003, "highest", "4000001:10000004"),
        (Float(1e-3, 2e-2, log=True), 0.0199, "highest", "0.001:0.04"),
        (Float(1e-3, 2e-2, log=True), 0.00101, "lowest", "0.0005:0.02"),
        (Float(1e-3, 2e-2, log=True), 0.01, None, None),
        (Float(0.0, 0.7), 0.0, None, None),  # nothing below 0
        (Float(0.0, 0.7), 0.699, "highest", "0:0.85"),
        (Float(0.0, 0.1), 0.1, "highest", "0:0.15"),
        (Float(0.0, 1.0), 1.0, None, None),  # nothing above the whole
        (Float(0.9, 0.99), 0.99, "highest", "0.9:0.995"),
        (Float(0.1, 0.6), 0.1, "lowest", "0:0.6"),
        (Float(-2.0, 2.0), -2.0, "lowest", "-4:2"),  # no limit where there are negative ones
        (Int(-4, 4), -4, "lowest", "-8:4"),
        (Choice(-1, 0, 1), -1, "lowest", "-2,-1,0,1"),
        (Choice(0.25, 0.5, 0.75), 0.75, "highest", "0.25,0.5,0.75,0.875"),
        (Choice(0.0, 0.5, 1.0), 1.0, None, None),
        (Float(1.0, 1.0), 1.0, None, None),
        (Choice(64, 128, 256), 256, "highest", "64,128,256,512"),
        (Choice(64, 128, 256), 64, "lowest", "32,64,128,256"),
        (Choice(16, 24, 32), 32, "highest", "16,24,32,40"),
        (Choice(256, 64, 128), 256, "highest", "64,128,256,512"),
        (Choice(1, 2, 3), 1, None, None),
        (Choice(0.1, 0.2, 0.4), 0.4, "highest", "0.1,0.2,0.4,0.8"),
        (Choice(128, 256), 256, None, None),
        (Choice(False, True), True, None, None),
        (Choice("a", "b", "c"), "c", None, None),
        (Choice(1, 2, "many"), 2, None, None),
    ],
)  # fmt: skip
def test_an_edge_is_named_with_a_wider_range_and_a_natural_limit_is_none(domain, value, edge, wider):
    assert placed(domain, value) == (edge, wider)


@pytest.mark.parametrize(
    "domain",
    [Int(5, 15), Int(4_000_001, 8_000_003), Float(1e-3, 2e-2, log=True), Choice(64, 128, 256), Choice(0.1, 0.2, 0.4)],
)
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_what_is_suggested_can_be_typed_and_has_the_value_inside(domain, end):
    space, value = SearchSpace({"x": domain}), domain.at(end)
    (found,) = place(space.describe(), {"x": value})
    wide = space.override(ranges=dict([found.wider.split("=")]))
    assert wide.domains["x"].contains(value)
    assert place(wide.describe(), {"x": value})[0].edge is None


def test_conditional_fixed_and_unknown_parameters():
    space = SearchSpace(
        {
            "optimizer": Choice("sgd", "adam"),
            "momentum": When("optimizer", ("sgd",), Float(0.9, 0.99)),
            "width": Fixed(3),
        }
    )
    params = {"optimizer": "sgd", "momentum": 0.99, "width": 3, "gone": 1}
    found = {row.name: row for row in place(space.describe(), params)}
    assert (found["momentum"].edge, found["momentum"].wider) == ("highest", "momentum=0.9:0.995")
    assert found["momentum"].searched == "0.9 to 0.99 when optimizer is sgd"
    assert (found["width"].searched, found["width"].edge) == ("3 (fixed)", None)
    assert (found["gone"].searched, found["gone"].edge) == ("not searched", None)


def test_numbers_that_are_no_options_yet_may_be_typed_but_not_nonsense():
    space = SearchSpace({"batch": Choice(64, 128), "rate": Choice(0.1, 0.5), "kind": Choice("a", "b")})
    assert space.override(ranges={"batch": "64,512"}).domains["batch"] == Choice(64, 512)
    assert space.override(ranges={"rate": "0.5,1"}).domains["rate"] == Choice(0.5, 1.0)
    for name, text in (
        ("batch", "1.5"),
        ("batch", "0"),
        ("batch", "x"),
        ("rate", "-1"),
        ("rate", "nan"),
        ("kind", "c"),
    ):
        with pytest.raises(SpaceError):
            space.override(ranges={name: text})
