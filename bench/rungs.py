"""How well the rungs of a search rank its trials: what an early judgement is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.records import Trial

LEAST = 4  # trials before ranks say anything


def rungs(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """One entry a rung, the lowest first.

    Returns:
        samples, trials (that reached it), went_on (of those, to a next judgement or to their end), rank_correlation
        (Spearman 1904, between what those had here and what they had next; None for fewer than LEAST, and where all
        values are equal). Who was stopped here has no next value, so that it speaks of the better ones alone.
    """
    following: dict[int, list[tuple[float, float]]] = {}
    reached: dict[int, int] = {}
    for trial in trials:
        for samples, _ in trial.rungs:
            reached[samples] = reached.get(samples, 0) + 1
        for (samples, value), (_, later) in zip(trial.curve, trial.curve[1:], strict=False):
            following.setdefault(samples, []).append((value, later))
    return [
        {
            "samples": samples,
            "trials": count,
            "went_on": len(following.get(samples, ())),
            "rank_correlation": _spearman(following.get(samples, ())),
        }
        for samples, count in sorted(reached.items())
    ]


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    here, later = ({*side} for side in zip(*pairs, strict=True)) if pairs else (set(), set())
    if len(pairs) < LEAST or len(here) == 1 or len(later) == 1:
        return None
    from scipy import stats

    found = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    return None if math.isnan(found) else found
