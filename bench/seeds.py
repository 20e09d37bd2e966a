"""Do the seeds of a final differ as seeds do? What was noticed about them, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from bench.records import Final

MOST_TIMES = 2.0  # the expected spread; seeds that spread further are flagged


@dataclass(frozen=True)
class Spread:
    """Standard deviation of the seeds' accuracies, beside the one that is expected.

    `expected` is sqrt(e / 2n) for an error rate e on n images: what is seen where half of the errors are the family's,
    made by every seed, and half are the seed's own.
    """

    sd: float
    expected: float

    @property
    def unusual(self) -> bool:
        return self.sd > MOST_TIMES * self.expected


def spread(final: Final) -> Spread | None:
    """How far the seeds of a final lie apart; None of a single seed."""
    if len(final.seed_accuracies) < 2:
        return None
    error, count = 1 - final.test_accuracy, len(final.seed_accuracies)
    mean = math.fsum(final.seed_accuracies) / count
    variance = math.fsum((accuracy - mean) ** 2 for accuracy in final.seed_accuracies) / (count - 1)
    variance = 0.0 if len({*final.seed_accuracies}) == 1 else variance  # the mean of equal ones may be rounded
    return Spread(math.sqrt(variance), math.sqrt(error / (2 * final.test_images)))


def columns(final: Final) -> dict[str, float | None]:
    """`seed_sd` and `seed_sd_expected`; None of a single seed."""
    found = spread(final)
    return {"seed_sd": found.sd if found else None, "seed_sd_expected": found.expected if found else None}


def notes(finals: Sequence[Final], names: Mapping[str, str]) -> list[str]:
    """A sentence for everything unusual about the seeds of these finals.

    Args:
        names: final's id -> what it is called.
    """
    said = []
    for final in finals:
        found = spread(final)
        if found is not None and found.unusual:
            said.append(spread_note(names[final.id], found))
        said += [f"{names[final.id]}: {finding}" for finding in final.findings]
    return said


def spread_note(name: str, found: Spread) -> str:
    """What it means that seeds spread unusually far."""
    return (
        f"The seeds of {name} differ more than is usual: a standard deviation of {100 * found.sd:.2f} points, where "
        f"{100 * found.expected:.2f} are expected. Did one diverge? More seeds (--seeds) tell."
    )


def findings(seeds: Sequence[int], probabilities: Any, correct: Any) -> tuple[str, ...]:
    """What the predictions themselves show: pairs of seeds that answered every image alike.

    Two that are always right may well be two; alike in their probabilities or in their mistakes they hardly are.

    Args:
        probabilities: float32, shape (seeds, images, classes).
        correct: bool, shape (seeds, images).
    """
    answers = probabilities.argmax(axis=2)
    found = []
    for one, other in combinations(range(len(seeds)), 2):
        wrong = int((~correct[one]).sum())
        same = bool((probabilities[one] == probabilities[other]).all())
        if same or (wrong and bool((answers[one] == answers[other]).all())):
            what = "with the same probabilities" if same else f"{wrong} of them wrongly"
            pair = f"seeds {seeds[one]} and {seeds[other]}"
            found.append(f"{pair} answered all {correct.shape[1]:,} test images alike, {what}: were they two runs?")
    return tuple(found)
