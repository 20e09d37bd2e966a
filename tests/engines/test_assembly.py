"""What a user is told of a sampler before the first trial."""

import pytest

from bench.engines.assembly import advice
from bench.family import load


@pytest.mark.parametrize(
    ("sampler", "stored", "said"),
    [
        ("tpe", 7, []),
        ("gp", 7, ["does not learn momentum, which"]),
        ("cmaes", 0, ["does not learn batch_norm, batch_size, optimizer, momentum, which"]),
        ("cmaes", 7, ["drawn at random", "begins anew, and makes nothing of the 7 trials"]),
    ],
)
def test_what_a_sampler_does_not_learn_is_said_once(sampler, stored, said):
    found = advice("optuna", load("mlp"), sampler, 50, stored)
    assert all(part in found for part in said) if said else found is None
