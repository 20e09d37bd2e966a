"""What a stored comparison says beyond better or not: equivalence, and how often one run beats another. Pure, the
standard library only, since a leaderboard is printed with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.records import Final

MARGIN = 0.001  # accuracies that differ by less than a tenth of a point are as good as equal
ALPHA = 0.05
MOST_PAIRS = 8  # more sentences than this nobody reads
Pair = Mapping[str, Any]


def columns(pair: Pair | None, sign: int) -> dict[str, Any]:
    """`p_better`, its `p_better_ci95` and `p_equivalence` of a row against the baseline; None where not tested.

    Args:
        pair: the stored comparison of the two; None where there is none.
        sign: +1 where the row comes first in it, else -1.
    """
    if pair is None or pair["superiority"] is None:
        return {"p_better": None, "p_better_ci95": None, "p_equivalence": None}
    share, (low, high) = pair["superiority"]["probability"], pair["superiority"]["ci95"]
    if sign < 0:
        share, low, high = 1 - share, 1 - high, 1 - low
    return {"p_better": share, "p_better_ci95": [low, high], "p_equivalence": pair["p_equivalence"]}


def notes(equivalent: Iterable[tuple[Final, Final]], names: Mapping[str, str]) -> list[str]:
    """A sentence for each pair that is shown to be equivalent.

    Args:
        names: final's id -> what it is called.
    """
    said = [
        f"{names[a.id]} and {names[b.id]} are equivalent: they differ by less than {100 * MARGIN:.1f} points "
        "(TOST, 5 %, Holm-corrected)."
        for a, b in equivalent
    ]
    more = [f"{len(said) - MOST_PAIRS} more pairs are equivalent."] if len(said) > MOST_PAIRS else []
    return [*said[:MOST_PAIRS], *more]
