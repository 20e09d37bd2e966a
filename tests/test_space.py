import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SpaceError
from bench.space import Choice, Fixed, Float, Int, SearchSpace, When, fingerprint, restore

SPACE = SearchSpace(
    {
        "width": Int(8, 64, log=True),
        "optimizer": Choice("adam", "sgd"),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "norm": Choice(False, True),
    }
)


def lowest(name, domain):
    return domain.options[0] if isinstance(domain, Choice) else domain.low


def test_a_walk_leaves_inactive_parameters_out():
    assert SPACE.walk(lowest) == {"width": 8, "optimizer": "adam", "learning_rate": 1e-4, "norm": False}
    with_sgd = SPACE.walk(lambda n, d: "sgd" if n == "optimizer" else lowest(n, d))
    assert list(with_sgd) == ["width", "optimizer", "momentum", "learning_rate", "norm"]


def test_a_wrong_space_gets_every_problem_at_once():
    with pytest.raises(SpaceError) as caught:
        SearchSpace(
            {
                "width": Int(64, 8),
                "rate": Float(0.0, 1.0, log=True),
                "kind": Choice(),
                "momentum": When("optimzer", ("sgd",), Float(0.5, 0.9)),
                "optimizer": Choice("adam", "sgd"),
                "decay": When("optimizer", ("sdg",), Float(0.0, 1.0)),
                "depth": "three",
                "units": Int(1.5, 3),
                "2x": Int(1, 2),
            }
        )
    text = str(caught.value)
    for expected in (
        "'width': low must not exceed high, but 64 > 8",
        "'rate': a log range needs low > 0, not 0.0",
        "'kind': a choice needs at least one option",
        "Did you mean optimizer?",
        "'optimizer' is never 'sdg'; its options are adam, sgd. Did you mean sgd?",
        "'depth': must be Int, Float, Choice or When, not 'three'",
        "'units': bounds must be whole numbers, not 1.5",
        "'2x': a parameter name must be a Python identifier",
    ):
        assert expected in text
    assert len(caught.value.problems) == 8


def test_a_condition_on_a_parameter_below_is_refused():
    with pytest.raises(SpaceError, match="must be declared above it"):
        SearchSpace({"momentum": When("optimizer", ("sgd",), Float(0, 1)), "optimizer": Choice("sgd", "adam")})


def test_overrides_fix_and_narrow():
    space = SPACE.override({"width": "32"}, {"learning_rate": "1e-3:1e-2", "optimizer": "sgd"})
    assert space.domains["width"] == Fixed(32)
    assert space.domains["learning_rate"] == Float(1e-3, 1e-2, log=True)
    assert space.domains["optimizer"] == Choice("sgd")
    assert space.walk(lowest)["width"] == 32
    assert "momentum" in space.walk(lowest)


def test_an_option_that_others_depend_on_may_be_left_out():
    space = SearchSpace({**SPACE.domains, "optimizer": Choice("adam", "sgd", "rmsprop")})
    space = space.override(ranges={"optimizer": "adam,rmsprop"})
    assert space.domains["optimizer"] == Choice("adam", "rmsprop")
    assert "momentum" not in space.walk(lowest)
    assert restore(space.describe()).describe() == space.describe()


def test_equal_numbers_are_one_option_however_they_are_typed_and_others_may_be_set():
    space = SearchSpace({"rate": Choice(1e-5, 1.0), "batch": Choice(64, 128)})
    for text, value in (("1e-5", 1e-5), ("0.00001", 1e-5), ("1", 1.0), (1, 1.0)):
        assert space.override({"rate": text}).domains["rate"] == Fixed(value)
    assert space.override({"batch": 512}).domains["batch"] == Fixed(512)


def test_a_range_below_zero_is_refused_where_nothing_is_negative():
    space = SearchSpace({"dropout": Float(0.0, 0.5), "shift": Float(-1.0, 1.0)})
    with pytest.raises(SpaceError, match="must not be negative"):
        space.override(ranges={"dropout": "-0.5:0.5"})
    assert space.override(ranges={"shift": "-2:1"}).domains["shift"] == Float(-2.0, 1.0)


def test_a_fixed_parameter_under_a_condition_stays_conditional():
    space = SPACE.override({"momentum": "0.9"})
    assert "momentum" not in space.walk(lowest)
    assert space.walk(lambda n, d: "sgd" if n == "optimizer" else lowest(n, d))["momentum"] == 0.9


def test_booleans_are_read_as_they_are_typed():
    assert SPACE.override({"norm": "true"}).domains["norm"] == Fixed(True)


def test_wrong_overrides_are_listed_together_with_near_names():
    with pytest.raises(SpaceError) as caught:
        SPACE.override(
            {"widht": "3", "optimizer": "addam", "width": "big", "norm": "true"},
            {"learning_rate": "1", "width": "9:1", "norm": "x", "momentum": "nan:1"},
        )
    text = str(caught.value)
    for expected in (
        "Did you mean width?",
        "must be one of adam, sgd, not 'addam'. Did you mean adam?",
        "a whole number is needed, not 'big'",
        "a range is written low:high",
        "'width' has both --set and --range",
        "a finite number is needed, not 'nan'",
    ):
        assert expected in text


def test_equal_spaces_have_equal_fingerprints_and_changed_ones_do_not():
    assert fingerprint(SPACE.describe()) == fingerprint(SearchSpace(dict(SPACE.domains)).describe())
    assert fingerprint(SPACE.describe()) != fingerprint(SPACE.override(ranges={"width": "8:32"}).describe())


def test_the_nearest_point_lies_in_the_space():
    point = SPACE.nearest({"width": 512, "optimizer": "lion", "learning_rate": 1.0, "norm": True})
    assert point == {"width": 64, "optimizer": "adam", "learning_rate": 0.1, "norm": True}
    assert SPACE.problems_of(point) == []


def test_a_wrong_configuration_gets_every_problem():
    problems = SPACE.problems_of({"width": 7, "optimizer": "adam", "momentum": 0.9, "nrom": True, "norm": True})
    assert len(problems) == 4
    assert any("'learning_rate' is active but has no value" in p for p in problems)
    assert any("'momentum' is not active" in p for p in problems)


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(-10_000, 10_000))
def test_the_nearest_whole_number_is_inside_and_keeps_what_is_inside(low, span, value):
    domain = Int(low, low + span)
    assert domain.contains(domain.nearest(value))
    if domain.contains(value):
        assert domain.nearest(value) == value


@pytest.mark.parametrize("domain", [Int(3, 9), Int(8, 64, log=True), Float(0.0, 0.5), Float(1e-4, 1e-1, log=True)])
def test_shares_run_through_a_range_from_bound_to_bound(domain):
    values = [domain.at(k / 20) for k in range(21)]
    assert (values[0], values[-1]) == (domain.low, domain.high)
    assert values == sorted(values)
    assert all(domain.contains(value) for value in values)


def test_shares_give_every_option_and_every_whole_number_its_part():
    assert [Choice("a", "b").at(share) for share in (0.0, 0.49, 0.5, 1.0)] == ["a", "a", "b", "b"]
    assert [Int(1, 4).at((k + 0.5) / 4) for k in range(4)] == [1, 2, 3, 4]


def test_a_space_is_restored_from_what_a_study_keeps_of_it_whose_names_are_sorted():
    stored = json.loads(json.dumps(SPACE.describe(), sort_keys=True))
    space = restore(stored)
    assert space.describe() == SPACE.describe()
    assert space.domains == SPACE.domains
    fixed = SPACE.override({"width": "32"})
    assert restore(fixed.describe()).domains == fixed.domains
