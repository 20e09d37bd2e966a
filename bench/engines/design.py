"""Configurations spread evenly over a space, with nothing learned."""

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


def sobol(space: SearchSpace, index: int, seed: int) -> Config:
    """Point `index` of the space's scrambled Sobol' sequence (Owen 1998): the more points, the finer they cover it."""
    from scipy.stats import qmc  # deferred: half a second that no other sampler needs

    sequence = qmc.Sobol(len(space.domains), rng=seed)
    if index:
        sequence.fast_forward(index)
    (shares,) = sequence.random(1)
    at = dict(zip(space.domains, shares, strict=True))
    return space.walk(lambda name, domain: domain.at(float(at[name])))
