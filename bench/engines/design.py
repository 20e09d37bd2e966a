"""Configurations spread evenly over a space: what a model-based sampler sees before it has a model."""

from __future__ import annotations

import numpy as np

from bench.space import Config, SearchSpace


def latin_hypercube(space: SearchSpace, points: int, seed: int) -> list[Config]:
    """`points` configurations; each parameter takes one value from each `points`-th of its range (McKay et al. 1979).

    Independent draws leave one of three options out of ten draws in one search of twenty; these never do.
    """
    generator = np.random.default_rng(seed)
    shares = {name: (generator.permutation(points) + generator.random(points)) / points for name in space.domains}
    return [space.walk(lambda name, domain, k=k: domain.at(float(shares[name][k]))) for k in range(points)]  # type: ignore[misc]
