"""Stored results -> the leaderboard's rows. Pure, and the standard library only.

Rank is 1 + the number of rows that are significantly better: Holm-adjusted p below 0.05 over all pairs. A row is tied
when it is not significantly better or worse than another row of its rank. Two rows of different rank may still be
unresolved (A beats C, B beats neither and is beaten by neither); the notes name every such group. Error reduction and
its p-value are against the baseline, the p-value as it stands (one comparison), the rank by the adjusted ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench import certainty, seeds
from bench.fairness import budget_notes, gap, gap_note, usual_trials
from bench.likeness import alike
from bench.records import WINNER, Final
from bench.results import newest
from bench.verdicts import Comparisons, Duels

DEFAULT_BASELINE = "mlp"
MOST_GROUPS = 8  # more sentences than this nobody reads
Z95 = 1.959963984540054
COLUMNS = (
    "rank", "tied", "family", "engine", "test_accuracy", "ci95", "seeds", "errors", "error_reduction",
    "error_reduction_ci95", "p_value", "val_accuracy", "trials", "pruned", "failed", "search_seconds", "params",
    "test_looks", "reference", "study", "method", "study_id", "samples", "device_seconds", "equal_budget",
    "val_minus_test", "val_minus_test_bounds", "implausible", "p_better", "p_better_ci95", "p_equivalence", "seed_sd",
    "seed_sd_expected",
)  # fmt: skip
VALIDATION_COLUMNS = (
    "rank", "tied", "family", "engine", "study", "val_accuracy", "ci95", "trials", "pruned", "failed", "search_seconds",
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
    at: Mapping[str, Any] | None = None  # the budget that each family had, `amount` and `unit`; None for all of its own


def leaderboard(
    dataset: str,
    finals: Sequence[Final],
    comparisons: Comparisons,
    looks: Callable[[Final], int],
    baseline: str | None = None,
    validation_images: Mapping[str, int] | None = None,
) -> Board:
    """Rank the newest final of each study, of tuned winners only.

    Args:
        finals: stored finals of one data set, oldest first.
        comparisons: as `bench.duels.read` gives them.
        looks: how often the test set was opened for a final's family.
        baseline: the family that errors are compared with; `mlp` when None.
        validation_images: how many there are, by data checksum; where that is not known, validation minus test is not
            judged.
    """
    rows, notes = contenders(finals)
    duels = Duels(comparisons)
    against = of_family(rows, baseline or DEFAULT_BASELINE)
    if against is None and rows and baseline:
        notes.append(f"The baseline {baseline} has no final yet: run `bench search {baseline}`.")
    ranks = duels.ranks(rows)
    ordered = sorted(rows, key=lambda final: (ranks[final.id], -final.test_accuracy, final.family))
    images = (validation_images or {}).get(rows[-1].data_checksum) if rows else None
    gaps = {final.id: gap(final, images) for final in ordered} if images else {}
    usual = usual_trials(ordered)
    shown = [
        {
            **_row(final, ordered, ranks, against, duels, looks),
            "equal_budget": final.trials == usual,
            "val_minus_test": final.val_accuracy - final.test_accuracy,
            "val_minus_test_bounds": [gaps[final.id].lowest, gaps[final.id].highest] if gaps else None,
            "implausible": gaps[final.id].implausible if gaps else None,
            **certainty.columns(*duels.pair(final, against)),
            **seeds.columns(final),
        }
        for final in ordered
    ]
    names = names_of(ordered)
    notes += _notes(ordered, against, duels)
    notes += certainty.notes(duels.equivalent(ordered), names)
    notes += seeds.notes(ordered, names)
    notes += [gap_note(names[final.id], gaps[final.id]) for final in ordered if gaps and gaps[final.id].implausible]
    notes += budget_notes(ordered, names)
    return Board(dataset, against.family if against else None, tuple(shown), tuple(notes))


def contenders(finals: Sequence[Final]) -> tuple[list[Final], list[str]]:
    """The finals that are compared, and a sentence for each reason to leave out others.

    Args:
        finals: stored finals of one data set, oldest first.
    """
    return alike(newest(final for final in finals if final.purpose == WINNER))


def of_family(rows: Sequence[Final], name: str) -> Final | None:
    """The final that a family's name alone means: the newest of the optuna engine, else the newest."""
    named = [final for final in reversed(rows) if final.family == name]
    return next((final for final in named if final.engine == "optuna"), named[0] if named else None)


def names_of(rows: Sequence[Final]) -> dict[str, str]:
    """Final's id -> its family, with engine, study and the study's id as far as it takes them to tell rows apart."""
    names = {row.id: row.family if row.engine == "optuna" else f"{row.family} ({row.engine})" for row in rows}
    studies = {row.id: row.study for row in rows}
    ids = {row.id: f"study {row.study_id[:8] if row.study_id else 'without an id'}" for row in rows}
    for more in (studies, ids):
        taken = list(names.values())
        names = {key: f"{name} ({more[key]})" if taken.count(name) > 1 else name for key, name in names.items()}
    return names


def _row(
    final: Final,
    rows: Sequence[Final],
    ranks: Mapping[str, int],
    against: Final | None,
    duels: Duels,
    looks: Callable[[Final], int],
) -> dict[str, Any]:
    reduction, interval, p_value = None, None, None
    pair, sign = duels.pair(final, against)
    if pair is not None:
        p_value = None if pair["p_holm"] is None else pair["p_value"]  # of one seed it would know nothing of seeds
        if pair["log_ratio"] is not None:
            low, high = sorted(sign * bound for bound in pair["log_ratio_ci95"])
            reduction, interval = 1 - math.exp(sign * pair["log_ratio"]), [1 - math.exp(high), 1 - math.exp(low)]
    level = [other for other in rows if other.id != final.id and ranks[other.id] == ranks[final.id]]
    return {
        "rank": ranks[final.id],
        "tied": not all(duels.apart(final, other) for other in level),
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
        "reference": final.reference,
        "study": final.study,
        "method": final.method,
        "samples": final.samples,
        "device_seconds": final.device_seconds,
        "study_id": final.study_id,
    }


def _notes(ordered: Sequence[Final], against: Final | None, duels: Duels) -> list[str]:
    notes = []
    names = names_of(ordered)
    groups = duels.unresolved(ordered)
    for group in groups[:MOST_GROUPS]:
        *some, last = (names[final.id] for final in group)
        notes.append(f"{', '.join(some)} and {last} cannot be separated by this data (5 %, Holm-corrected).")
    if len(groups) > MOST_GROUPS:
        notes.append(f"{len(groups) - MOST_GROUPS} more groups of families cannot be separated.")
    missing = duels.missing(ordered)
    if missing:
        a, b = (names[final.id] for final in missing[0])
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        notes.append(
            f"No comparison of {a} and {b}{more} is stored, so neither is ranked below the other for it; the next new "
            "`bench final` on this data makes it."
        )
    lone = [names[final.id] for final in ordered if len(final.seeds) == 1]
    if lone:
        notes.append(
            "A row of one seed is never called better or worse, and intervals that involve it hold for that seed "
            f"alone: {', '.join(lone)}."
        )
    met = {names[final.id]: duels.pair(final, against)[0] for final in ordered if against}
    undefined = [name for name, pair in met.items() if pair is not None and pair["log_ratio"] is None]
    if undefined and against:
        without = f"Too few errors, or the very same, for an error reduction against {names[against.id]}"
        notes.append(f"{without}: {', '.join(undefined)}.")
    return [*notes, *sorted({warning for final in ordered for warning in final.warnings})]


def validation_board(dataset: str, studies: Sequence[Mapping[str, Any]]) -> Board:
    """Best validation accuracies, before any look at the test set.

    Args:
        studies: mappings with family, engine, study, data_checksum, val_accuracy (of the best trial),
            validation_images, trials, pruned, failed, search_seconds, params; the one made last at the end.
    """
    if not studies:
        return Board(dataset, None, (), (), VALIDATION_COLUMNS)
    notes = ["The best of many trials on the data that chose it: optimistic. `bench final` measures on unseen images."]
    checksum = studies[-1]["data_checksum"]
    other = [study for study in studies if study["data_checksum"] != checksum]
    if other:
        names = ", ".join(f"{study['family']} ({study['study']})" for study in other)
        notes.append(f"Left out, made from other data of this name: {names}. Search today's data with --study NAME.")
    shown = [study for study in studies if study["data_checksum"] == checksum]
    rows = [{**study, "ci95": list(wilson(study["val_accuracy"], study["validation_images"]))} for study in shown]
    return Board(dataset, None, tuple(by_value(rows)), tuple(notes), VALIDATION_COLUMNS)


def by_value(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows in order of their validation accuracy, with `rank` and `tied`: equal values are tied, nothing is tested."""
    accuracies = [row["val_accuracy"] for row in rows]
    return [
        {
            **row,
            "rank": 1 + sum(other > row["val_accuracy"] for other in accuracies),
            "tied": accuracies.count(row["val_accuracy"]) > 1,
        }
        for row in sorted(rows, key=lambda row: (-row["val_accuracy"], row["study"]))
    ]


def wilson(accuracy: float, images: float, z: float = Z95) -> tuple[float, float]:
    """95 % score interval of a proportion; Wilson 1927.

    Args:
        z: the two-sided 95 % quantile of what the estimate's error is distributed as.
    """
    z2 = z**2
    centre = (accuracy + z2 / (2 * images)) / (1 + z2 / images)
    half = z / (1 + z2 / images) * math.sqrt(accuracy * (1 - accuracy) / images + z2 / (4 * images**2))
    # Rounding may put a bound a hair on the wrong side of the accuracy at 0 and 1, where it meets it exactly.
    return max(0.0, min(accuracy, centre - half)), min(1.0, max(accuracy, centre + half))
