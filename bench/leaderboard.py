"""Stored results -> the leaderboard's rows. Pure, and the standard library only.

Rank is 1 + the number of rows that are significantly better: Holm-adjusted p below 0.05 over all pairs. A row is tied
when at least one other row has its rank. Error reduction and its p-value are against the baseline, the p-value as it
stands (one comparison), the rank by the adjusted ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records import Final
from bench.results import newest

DEFAULT_BASELINE = "mlp"
ALPHA = 0.05
Z95 = 1.959963984540054
COLUMNS = (
    "rank", "tied", "family", "engine", "test_accuracy", "ci95", "seeds", "errors", "error_reduction",
    "error_reduction_ci95", "p_value", "val_accuracy", "trials", "pruned", "failed", "search_seconds", "params",
    "test_looks", "reference", "study", "method",
)  # fmt: skip
VALIDATION_COLUMNS = (
    "rank", "family", "engine", "study", "val_accuracy", "ci95", "trials", "pruned", "failed", "search_seconds",
    "params",
)  # fmt: skip


@dataclass(frozen=True)
class Board:
    """A leaderboard: its rows as the JSON contract has them, and sentences that belong below."""

    dataset: str
    baseline: str | None
    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = COLUMNS


def leaderboard(
    dataset: str,
    finals: Sequence[Final],
    comparisons: Mapping[str, Mapping[str, Any]],
    looks: Callable[[Final], int],
    baseline: str | None = None,
) -> Board:
    """Rank the newest final of each (family, engine, study).

    Args:
        finals: stored finals of one data set, oldest first.
        comparisons: as `bench.results.read_comparisons` gives them.
        looks: how often the test set was opened for a final's family.
        baseline: the family that errors are compared with; `mlp` when None.
    """
    notes: list[str] = []
    rows = newest(finals)
    if rows:
        checksum = rows[-1].data_checksum
        other = [final for final in rows if final.data_checksum != checksum]
        if other:
            names = ", ".join(f"{final.family} ({final.study})" for final in other)
            notes.append(f"Left out, made from other data of this name: {names}. Run `bench final` on today's data.")
        rows = [final for final in rows if final.data_checksum == checksum]
    against = _baseline(rows, baseline or DEFAULT_BASELINE)
    if against is None and rows and baseline:
        notes.append(f"The baseline {baseline} has no final yet: run `bench search {baseline}`.")
    ranks = {final.id: 1 + sum(_better(other, final, comparisons) for other in rows) for final in rows}
    ordered = sorted(rows, key=lambda final: (ranks[final.id], -final.test_accuracy, final.family))
    shown = [_row(final, ranks, against, comparisons, looks) for final in ordered]
    return Board(
        dataset, against.family if against else None, tuple(shown), (*notes, *_notes(ordered, ranks, comparisons))
    )


def _baseline(rows: Sequence[Final], name: str) -> Final | None:
    named = [final for final in rows if final.family == name]
    return next((final for final in named if final.engine == "optuna"), named[0] if named else None)


def _pair(a: Final, b: Final, comparisons: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Any] | None, int]:
    """The stored comparison of a and b, and +1 or -1 for the order that it was made in."""
    if f"{a.id} {b.id}" in comparisons:
        return comparisons[f"{a.id} {b.id}"], 1
    return comparisons.get(f"{b.id} {a.id}"), -1


def _better(a: Final, b: Final, comparisons: Mapping[str, Mapping[str, Any]]) -> bool:
    pair, sign = _pair(a, b, comparisons)
    if pair is None or pair["p_holm"] is None:
        return False
    return bool(pair["p_holm"] < ALPHA and sign * pair["difference"] > 0)


def _row(
    final: Final,
    ranks: Mapping[str, int],
    against: Final | None,
    comparisons: Mapping[str, Mapping[str, Any]],
    looks: Callable[[Final], int],
) -> dict[str, Any]:
    reduction, interval, p_value = None, None, None
    pair, sign = _pair(final, against, comparisons) if against else (None, 1)
    if pair is not None:
        p_value = pair["p_value"]
        if pair["log_ratio"] is not None:
            low, high = sorted(sign * bound for bound in pair["log_ratio_ci95"])
            reduction, interval = 1 - math.exp(sign * pair["log_ratio"]), [1 - math.exp(high), 1 - math.exp(low)]
    return {
        "rank": ranks[final.id],
        "tied": list(ranks.values()).count(ranks[final.id]) > 1,
        "family": final.family,
        "engine": final.engine,
        "test_accuracy": final.test_accuracy,
        "ci95": list(final.ci95),
        "seeds": len(final.seeds),
        "errors": final.errors,
        "error_reduction": reduction,
        "error_reduction_ci95": interval,
        "p_value": p_value,
        "val_accuracy": final.val_accuracy,
        "trials": final.trials,
        "pruned": final.pruned,
        "failed": final.failed,
        "search_seconds": final.search_seconds,
        "params": final.parameters,
        "test_looks": looks(final),
        "reference": None,
        "study": final.study,
        "method": final.method,
    }


def _notes(
    ordered: Sequence[Final], ranks: Mapping[str, int], comparisons: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    notes = []
    for rank in sorted(set(ranks.values())):
        names = [final.family for final in ordered if ranks[final.id] == rank]
        if len(names) > 1:
            notes.append(
                f"{', '.join(names[:-1])} and {names[-1]} cannot be separated by this data (5 %, Holm-corrected)."
            )
    if any(len(final.seeds) == 1 for final in ordered):
        notes.append("A row of one seed is never called better or worse: how much seeds differ is not known.")
    notes += sorted({warning for final in ordered for warning in final.warnings})
    if len({final.trials for final in ordered}) > 1:
        notes.append("The families had unequal budgets; see the trials column.")
    return notes


def validation_board(dataset: str, studies: Sequence[Mapping[str, Any]]) -> Board:
    """Best validation accuracies, before any look at the test set.

    Args:
        studies: mappings with family, engine, study, val_accuracy (of the best trial), validation_images, trials,
            pruned, failed, search_seconds, params.
    """
    ordered = sorted(studies, key=lambda study: (-study["val_accuracy"], study["study"]))
    rows = [
        {**study, "rank": rank, "ci95": list(wilson(study["val_accuracy"], study["validation_images"]))}
        for rank, study in enumerate(ordered, 1)
    ]
    note = "The best of many trials on the data that chose it: optimistic. `bench final` measures on unseen images."
    return Board(dataset, None, tuple(rows), (note,) if rows else (), VALIDATION_COLUMNS)


def wilson(accuracy: float, images: int) -> tuple[float, float]:
    """95 % score interval of a proportion; Wilson 1927."""
    z2 = Z95**2
    centre = (accuracy + z2 / (2 * images)) / (1 + z2 / images)
    half = Z95 / (1 + z2 / images) * math.sqrt(accuracy * (1 - accuracy) / images + z2 / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)
