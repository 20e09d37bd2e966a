"""What a judgement cannot tell of a configuration, since it comes before it."""

from __future__ import annotations

import math

from bench.space import Choice, Domain, Fixed, SearchSpace, When
from bench.training.budget import has_rung
from bench.training.interface import Recipe


def unseen(space: SearchSpace, samples: float, train_images: int) -> frozenset[str]:
    """`epochs` and `cooldown`, where they change nothing in any run of this space before `samples` nominal samples.

    How long a run is, and over what share of it the learning rate falls, is not seen before it falls: all runs are
    alike until then. A sampler that were told values from before would take chance for their effect, and keep to
    what the first good trials happened to have. Where a rate rises first, or the shortest run is not judged there, they
    are seen; so is one that depends on another parameter, or on which another depends. That they are what the trainer
    means by these names is taken for granted.

    Args:
        samples: where trials are compared; infinity for their end.
    """
    declared = {name: one.domain if isinstance(one, When) else one for name, one in space.domains.items()}
    epochs, cooldown, warm_up = (
        _ends(declared[name]) if name in declared else (default, default)
        for name, default in (("epochs", math.nan), ("cooldown", Recipe.cooldown), ("warm_up", Recipe.warm_up))
    )
    shortest = epochs[0] * train_images
    # Asked so that what is not a number answers no.
    alike = warm_up[1] <= 0 and samples <= (1.0 - cooldown[1]) * shortest
    if not (alike and has_rung(samples, shortest)):
        return frozenset()
    conditional = {name for name, one in space.domains.items() if isinstance(one, When)}
    conditional |= {one.parent for one in space.domains.values() if isinstance(one, When)}
    return frozenset({"epochs", "cooldown"} & declared.keys() - conditional)


def _ends(domain: Domain | Fixed) -> tuple[float, float]:
    """The least and the most that a parameter may be; not a number where it is none, as in families of their own."""
    if isinstance(domain, (Choice, Fixed)):
        options = domain.options if isinstance(domain, Choice) else (domain.value,)
        numbers = [float(option) if isinstance(option, (int, float)) else math.nan for option in options]
        return (min(numbers), max(numbers)) if not any(map(math.isnan, numbers)) else (math.nan, math.nan)
    return float(domain.low), float(domain.high)
