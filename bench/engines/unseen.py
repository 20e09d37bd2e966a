"""What a judgement cannot tell of a configuration, since it comes before it."""

from __future__ import annotations

from bench.space import Choice, Domain, Fixed, SearchSpace, When
from bench.training.interface import Recipe


def unseen(space: SearchSpace, samples: float, train_images: int) -> frozenset[str]:
    """Parameters of the trainer's that change nothing in any run of this space before `samples` nominal samples.

    How long a run is, and over what share of it the learning rate falls, is not seen before it falls: all runs are
    alike until then. A sampler that were told values from before would take chance for their effect, and keep to
    what the first good trials happened to have. Where a rate rises first they are seen, and one that depends on another
    parameter, or on which another depends, is counted among the seen.
    """
    domains = {name: one.domain if isinstance(one, When) else one for name, one in space.domains.items()}
    epochs, cooldown = (domains.get(name) for name in ("epochs", "cooldown"))
    warm_up = domains.get("warm_up")
    if epochs is None or (warm_up is not None and _ends(warm_up)[1] > 0):
        return frozenset()
    longest_fall = Recipe.cooldown if cooldown is None else _ends(cooldown)[1]
    if (1.0 - longest_fall) * _ends(epochs)[0] * train_images < samples:
        return frozenset()
    conditional = {name for name, one in space.domains.items() if isinstance(one, When)}
    conditional |= {one.parent for one in space.domains.values() if isinstance(one, When)}
    return frozenset({"epochs", "cooldown"} & domains.keys() - conditional)


def _ends(domain: Domain | Fixed) -> tuple[float, float]:
    """The least and the most that a parameter may be; all of these are numbers."""
    if isinstance(domain, Fixed):
        return float(domain.value), float(domain.value)
    if isinstance(domain, Choice):
        return min(map(float, domain.options)), max(map(float, domain.options))
    return float(domain.low), float(domain.high)
