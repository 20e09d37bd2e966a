"""The notebook's figures: what they allow by themselves, and that the families' references are its models."""

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import UsageError
from bench.family import load
from bench.notebook import MODELS, PAIRS, TEST_IMAGES, check_reference, katz, model_of, one_more_run, place


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_the_reference_of_the_built_in_family_is_the_notebooks_model(model):
    import keras

    family = load(model.family)
    check_reference(model, family)
    assert family.build(dict(model.config), (28, 28, 1), 10).count_params() == model.parameters
    keras.backend.clear_session()


def test_a_family_of_the_same_name_that_is_another_is_refused_naming_the_value():
    family = load("mlp")
    other = replace(family, reference={**family.reference, "width": 256})
    with pytest.raises(UsageError, match=r"its width is 256, not 512.*search_spaces/mlp\.py"):
        check_reference(MODELS[0], other)
    with pytest.raises(UsageError, match="must be the notebook's model"):
        check_reference(MODELS[0], replace(family, reference=None))


def test_its_figures_give_56_48_and_15_percent_with_their_intervals():
    found = [
        [round(100 * reduction, 1), round(100 * low), round(100 * high)]
        for a, b in PAIRS
        for reduction, (low, high) in [katz(model_of(a).errors, model_of(b).errors, TEST_IMAGES)]
    ]
    assert found == [[56.1, 43, 66], [48.4, 33, 60], [14.8, -5, 31]]


def test_the_katz_interval_covers_the_ratio_of_two_independent_runs():
    generator = np.random.default_rng(0)
    a, b = 0.008, 0.018
    draws = zip(generator.binomial(10_000, a, 2000), generator.binomial(10_000, b, 2000), strict=True)
    inside = [place(1 - a / b, katz(int(x), int(y), 10_000)[1]) == "inside" for x, y in draws]
    assert 0.94 < np.mean(inside) < 0.96


def test_one_more_run_falls_into_its_interval_19_times_in_20():
    generator = np.random.default_rng(1)
    runs = generator.normal(0.98, 0.001, (4000, 6))
    inside = [place(last, one_more_run(seeds)) == "inside" for *seeds, last in runs]
    assert 0.94 < np.mean(inside) < 0.96
    assert one_more_run([0.98, 0.98]) is None


def test_a_value_is_placed_beside_an_interval():
    assert [place(value, (0.2, 0.4)) for value in (0.1, 0.2, 0.3, 0.4, 0.5)] == [
        "below", "inside", "inside", "inside", "above",
    ]  # fmt: skip
