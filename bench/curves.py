"""Best validation accuracy against trials and device-seconds, family by family, and who led when. Pure, and the
standard library only.

What a trial costs and when it counts is said in `bench.budgets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from bench.budgets import OPTIMISTIC, UNITS, Searched, Step, Unit, names, of_one_checksum, steps, words
from bench.formats import inert_markdown
from bench.ranking import Board

SCHEMA = 1
MOST_MARKS = 6  # budgets in a table of values
COLUMNS = ("family", "engine", "study", "trials", "samples", "device_seconds", "trial", "val_accuracy")


def curves(dataset: str, studies: Sequence[Searched]) -> dict[str, Any]:
    """Best validation accuracy against trials and device-seconds, who led when, and that in words; JSON-ready.

    Families are compared as far as all of them were searched.

    Args:
        studies: of one data set, the one made last at the end.
    """
    shown, notes = of_one_checksum(studies) if studies else ([], [])
    called = names(shown)
    drawn = {one.study: [step for step in steps(one.trials) if step.best is not None] for one in shown}
    late = [called[study] for study, found in drawn.items() if not found]
    shown = [one for one in shown if drawn[one.study]]
    leads = {unit: _leads([(called[one.study], drawn[one.study]) for one in shown], unit) for unit in UNITS}
    ends = {unit: min((drawn[one.study][-1].at(unit) for one in shown), default=0.0) for unit in UNITS}
    says = [sentence for unit in UNITS if (sentence := _said(leads[unit], unit)) and len(shown) > 1]
    if shown:
        notes.insert(0, OPTIMISTIC)
    if len(shown) > 1:
        notes.insert(0, "One search a family: another seed of the same searches would cross elsewhere.")
    if late:
        notes.append(f"No complete trial yet: {', '.join(late)}.")
    return {
        "schema": SCHEMA,
        "dataset": dataset,
        "compared_up_to": ends,
        "curves": [_curve(one, called[one.study], drawn[one.study]) for one in shown],
        "leads": leads,
        "says": says,
        "notes": notes,
    }


def _curve(one: Searched, name: str, found: Sequence[Step]) -> dict[str, Any]:
    """Points where the best rises, and the end."""
    kept = [found[0], *(after for before, after in pairwise(found) if after.best is not before.best)]
    if kept[-1] is not found[-1]:
        kept.append(found[-1])
    points = [{**asdict(step.spent), "trial": step.best.number, "val_accuracy": step.best.val_accuracy}
              for step in kept if step.best is not None]  # fmt: skip
    return {"name": name, "family": one.family, "engine": one.engine, "study": one.study, "points": points}


def _leads(found: Sequence[tuple[str, Sequence[Step]]], unit: Unit) -> list[dict[str, Any]]:
    """Stretches of the budget, in order: who has the highest best there. Several where they are level.

    Who leads stays the leader until another one is better.
    """
    if not found:
        return []
    horizon = min(found_steps[-1].at(unit) for _, found_steps in found)
    marks = sorted({step.at(unit) for _, found_steps in found for step in found_steps if step.at(unit) <= horizon})
    stretches: list[dict[str, Any]] = []
    for mark in marks:
        best = {name: _best_at(found_steps, mark, unit) for name, found_steps in found}
        top = max(best.values())
        ahead = [name for name, value in best.items() if value == top]
        before = stretches[-1]["families"] if stretches else []
        still = [name for name in before if name in ahead]
        leaders = still or ahead
        if leaders != before:
            if stretches:
                stretches[-1]["to"] = mark
            stretches.append({"families": leaders, "from": mark, "to": horizon})
    return stretches


def _best_at(found: Sequence[Step], mark: float, unit: Unit) -> float:
    return max((step.best.val_accuracy or 0.0 for step in found if step.best and step.at(unit) <= mark), default=0.0)


def _said(stretches: Sequence[Mapping[str, Any]], unit: Unit) -> str:
    """'mlp leads below 40 s, cnn from there on (compared up to 61 s of device time).'"""
    if not stretches:
        return ""
    first, *others = stretches
    verb = "leads" if len(first["families"]) == 1 else "are level"
    end = f"(compared up to {words(stretches[-1]['to'], unit)}{' of device time' if unit == 'device_seconds' else ''})"
    if not others:
        return f"{_and(first['families'])} {verb} from the first complete trial on {end}."
    parts = [f"{_and(first['families'])} {verb} below {words(first['to'], unit)}"]
    for stretch in others[:-1]:
        span = f"from {words(stretch['from'], unit)} to {words(stretch['to'], unit)}"
        parts.append(f"{_level(stretch['families'])} {span}")
    last = f"{_level(others[-1]['families'])} from {words(others[-1]['from'], unit)} on {end}."
    return ", ".join([*parts, last])


def _level(families: Sequence[str]) -> str:
    return f"{_and(families)}{' level' if len(families) > 1 else ''}"


def _and(items: Sequence[str]) -> str:
    *some, last = items
    return f"{', '.join(some)} and {last}" if some else last


def points_board(document: Mapping[str, Any]) -> Board:
    """The points of all curves as rows, for `--csv`."""
    rows = [{**{name: curve[name] for name in ("family", "engine", "study")}, **point}
            for curve in document["curves"] for point in curve["points"]]  # fmt: skip
    return Board(document["dataset"], None, tuple(rows), (), COLUMNS)


def checkpoints(document: Mapping[str, Any], unit: Unit) -> tuple[list[float], dict[str, list[float | None]]]:
    """Round budgets, and each family's best at them; None before its first complete trial and after its end.

    The last value of each is its best at its own end, for which there is no budget.
    """
    every = document["curves"]
    if not every:
        return [], {}
    first = min(curve["points"][0][unit] for curve in every)
    last = max(curve["points"][-1][unit] for curve in every)
    series = (digit * 10.0**power for power in range(7) for digit in (1, 2, 5))
    marks = [mark for mark in series if first <= mark <= last][-MOST_MARKS:]
    return marks, {curve["name"]: [*(best_at(curve, mark, unit) for mark in marks),
                                   curve["points"][-1]["val_accuracy"]] for curve in every}  # fmt: skip


def best_at(curve: Mapping[str, Any], amount: float, unit: Unit) -> float | None:
    """A curve's value after this budget; None before its first complete trial and after its end."""
    points = curve["points"]
    if amount > points[-1][unit]:
        return None
    return next((float(point["val_accuracy"]) for point in reversed(points) if point[unit] <= amount), None)


def to_markdown(document: Mapping[str, Any]) -> str:
    """The crossings in words, then the values at round budgets."""
    lines = [f"- {inert_markdown(sentence)}" for sentence in (*document["says"], *document["notes"])]
    for unit in UNITS:
        marks, values = checkpoints(document, unit)
        if not values:
            continue
        heads = ["family", *(words(mark, unit) for mark in marks), "end"]
        lines += ["", f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
        for name, row in values.items():
            cells = [inert_markdown(name), *("" if value is None else f"{100 * value:.2f}" for value in row)]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
