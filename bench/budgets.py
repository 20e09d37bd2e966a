"""Searches at equal budgets: the board as it would have been after so many trials or device-seconds. Pure, and the
standard library only.

A budget is a number of trials, or device-seconds: seconds that workers spent on trials, each with a core or a GPU of
its own, so that a search with more workers is not taken for a cheaper one. A trial is charged when it is over, stopped
and failed ones too, in the order in which they ended; the best by then is that of the complete trials charged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any, Literal

from bench.options import seconds_in
from bench.ranking import Board, by_value, wilson
from bench.records import Final, Trial

Unit = Literal["trials", "device_seconds"]
UNITS: tuple[Unit, ...] = ("trials", "device_seconds")
COLUMNS = (
    "rank", "tied", "family", "engine", "study", "val_accuracy", "ci95", "trial", "trials", "pruned", "failed",
    "samples", "device_seconds", "reached", "params", "test_accuracy", "test_ci95",
)  # fmt: skip
WRITTEN = "is written like 20 for trials, or 40s, 10m, 1h for device time"
LONGEST = 15  # characters of a budget; what is longer is no number that anybody means
OPTIMISTIC = (
    "The best of many trials on the images that chose it is optimistic, the more so the more trials there were."
)


@dataclass(frozen=True)
class Spent:
    """What trials that are over have used."""

    trials: int
    samples: int
    device_seconds: float


@dataclass(frozen=True)
class Budget:
    """So many trials or device-seconds for each family."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return words(self.amount, self.unit)


def budget_of(text: str) -> Budget | None:
    """'20' is so many trials; '40s', '10m' or '1h30m' is device-seconds; None where it is not WRITTEN so."""
    if len(text) > LONGEST:
        return None
    if text.isdecimal():
        return Budget(int(text), "trials") if int(text) else None
    seconds = seconds_in(text) if text[-1:] in ("s", "m", "h") else None
    return None if seconds is None else Budget(seconds, "device_seconds")


@dataclass(frozen=True)
class Searched:
    """A study, as it is stored.

    Attributes:
        validation_images: what its accuracies were measured on.
        tested: trial number -> the newest final that trained this trial again.
        seconds: wall time of all its searches.
    """

    family: str
    engine: str
    study: str
    data_checksum: str
    validation_images: int
    trials: Sequence[Trial]
    tested: Mapping[int, Final]
    seconds: float = 0.0


@dataclass(frozen=True)
class Step:
    """A search after one more trial: what it has used, and its best complete trial so far."""

    spent: Spent
    best: Trial | None

    def at(self, unit: Unit) -> float:
        return float(getattr(self.spent, unit))


def ended(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that are over, in the order in which they ended."""
    over = (trial for trial in trials if trial.state != "running")
    return sorted(over, key=lambda trial: (trial.elapsed or 0.0, trial.number))


def spent(trials: Sequence[Trial]) -> Spent:
    """What the trials that are over have used."""
    over = ended(trials)
    return Spent(len(over), sum(trial.samples for trial in over), sum(trial.seconds.total for trial in over))


def steps(trials: Sequence[Trial]) -> list[Step]:
    """The search after each trial that is over; of equals the one of the lower number is the best."""
    over = ended(trials)
    seconds = accumulate(trial.seconds.total for trial in over)
    samples = accumulate(trial.samples for trial in over)
    found: list[Step] = []
    best: Trial | None = None
    for count, (trial, used, images) in enumerate(zip(over, seconds, samples, strict=True), 1):
        if trial.state == "complete" and trial.val_accuracy is not None:
            best = max((best or trial, trial), key=lambda one: (one.val_accuracy or 0.0, -one.number))
        found.append(Step(Spent(count, images, used), best))
    return found


def words(amount: float, unit: Unit) -> str:
    """'20 trials', '40 s'."""
    if unit == "trials":
        return f"{amount:.0f} trial{'' if amount == 1 else 's'}"
    return f"{amount:.0f} s" if amount >= 10 or amount == round(amount) else f"{amount:.1f} s"


def names(studies: Sequence[Searched]) -> dict[str, str]:
    """Study -> its family, with engine or study where the family alone would not tell them apart."""
    short = {one.study: one.family if one.engine == "optuna" else f"{one.family} ({one.engine})" for one in studies}
    several = {name for name in short.values() if list(short.values()).count(name) > 1}
    return {study: f"{name} ({study})" if name in several else name for study, name in short.items()}


def board_at(dataset: str, studies: Sequence[Searched], budget: Budget) -> Board:
    """The families after the same budget, by their best validation accuracy then.

    A test accuracy stands where the best trial by then is the one that had the final: no other was ever tested.

    Args:
        studies: of one data set, the one made last at the end.
    """
    shown, notes = of_one_checksum(studies)
    called = names(shown)
    rows, late = [], []
    for one in shown:
        within = [step for step in steps(one.trials) if step.at(budget.unit) <= budget.amount]
        if not within or within[-1].best is None:
            late.append(called[one.study])
            continue
        rows.append(_row(one, within[-1], budget))
    ranked = by_value(rows)
    short = [called[row["study"]] for row in ranked if not row["reached"]]
    if ranked:
        each = f"after {budget}{' of device time' if budget.unit == 'device_seconds' else ''} each"
        notes.insert(
            0,
            f"Ranked on validation accuracy {each}: the test set was opened for the final winners only, so that no "
            "earlier board has test accuracies. Ranks are by value; nothing here is tested.",
        )
        notes.insert(1, OPTIMISTIC)
    if any(row["test_accuracy"] is not None for row in ranked):
        notes.append("A test accuracy stands where the best trial by then is the very one that had its final.")
    if short:
        notes.append(f"* Searched no further than shown, and so with less than {budget}: {', '.join(short)}.")
    if late:
        notes.append(f"No complete trial by then: {', '.join(late)}.")
    return Board(dataset, None, tuple(ranked), tuple(notes), COLUMNS, asdict(budget))


def of_one_checksum(studies: Sequence[Searched]) -> tuple[list[Searched], list[str]]:
    """The studies of the data that was searched last, and a sentence on those of other data of its name."""
    shown = [one for one in studies if one.data_checksum == studies[-1].data_checksum]
    other = [f"{one.family} ({one.study})" for one in studies if one not in shown]
    if not other:
        return shown, []
    return shown, [
        f"Left out, made from other data of this name: {', '.join(other)}. Search today's data with --study NAME."
    ]


def _row(one: Searched, step: Step, budget: Budget) -> dict[str, Any]:
    best = step.best
    assert best is not None
    within = ended(one.trials)[: step.spent.trials]
    final = one.tested.get(best.number)
    accuracy = best.val_accuracy or 0.0
    return {
        "family": one.family,
        "engine": one.engine,
        "study": one.study,
        "val_accuracy": accuracy,
        "ci95": list(wilson(accuracy, one.validation_images)),
        "trial": best.number,
        **asdict(step.spent),
        "pruned": sum(trial.state == "pruned" for trial in within),
        "failed": sum(trial.state == "failed" for trial in within),
        "reached": getattr(spent(one.trials), budget.unit) >= budget.amount,
        "params": best.parameters,
        "test_accuracy": final.test_accuracy if final else None,
        "test_ci95": list(final.ci95) if final else None,
    }
