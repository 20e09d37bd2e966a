"""A trial's note: Markdown that says why it ended and where its seconds went. Pure.

The page that shows it takes Markdown with tables and no HTML. What comes from outside, a failure's own words, stands in
a fenced block, in which nothing is markup or a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import get_args

from bench.formats import printable
from bench.records import Reason, Trial


def note(trial: Trial, trials: Sequence[Trial], images: Mapping[str, str]) -> str:
    """The note of one trial among all of its study.

    Args:
        images: title -> URL of the images below the text; both are ours.
    """
    parts = [*_ending(trial, trials), _facts(trial)]
    parts += [f"![{title}]({url})" for title, url in images.items()]
    return "\n\n".join(parts)


def fenced(text: str) -> str:
    """Text as a block that no text of its own can end; control characters but line ends are replaced."""
    lines = "\n".join(printable(line) for line in text.splitlines())
    longest = max((len(run) for run in re.findall("~+", lines)), default=0)
    fence = "~" * max(3, longest + 1)
    return f"{fence}text\n{lines}\n{fence}"


def _ending(trial: Trial, trials: Sequence[Trial]) -> list[str]:
    if trial.state == "complete":
        others = [t.val_accuracy or 0.0 for t in trials if t.state == "complete"]
        return [
            "### Complete",
            f"Right on {_percent(trial.val_accuracy)} of the validation images, "
            f"rank {_rank(trial.val_accuracy, others)} of {len(others)} complete trials.",
        ]
    if trial.state == "failed":
        known = trial.reason in get_args(Reason)
        said = [trial.detail] if known else [trial.reason, trial.detail]
        text = "\n".join(str(part) for part in said if part)
        reached = f" It had been judged at {len(trial.rungs)} rungs." if trial.rungs else ""
        heading = f"### Failed: {trial.reason}" if known else "### Failed"
        return [heading, f"It has no accuracy and counts as a failure.{reached}", *([fenced(text)] if text else [])]
    if not trial.rungs:
        return [f"### {trial.state.capitalize()}", "It has not been judged yet."]
    samples, accuracy = trial.rungs[-1]
    judged = [a for t in trials for s, a in t.rungs if s == samples]
    stood = f"{_percent(accuracy)}, rank {_rank(accuracy, judged)} of {len(judged)} trials judged there so far"
    best = f"the best there had {_percent(max(judged))}"
    if trial.state == "pruned":
        return [f"### Pruned at {samples:,} samples", f"Validation accuracy there: {stood}; {best}."]
    return ["### Running", f"Last judged at {samples:,} samples: {stood}; {best}."]


def _facts(trial: Trial) -> str:
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in asdict(trial.seconds).items())
    rows = {
        "seconds": f"{trial.seconds.total:.2f} ({phases})" if trial.seconds.total else "",
        "samples seen": f"{trial.samples:,}" if trial.samples else "",
        "parameters": f"{trial.parameters:,}" if trial.parameters is not None else "",
        "worker": f"{trial.worker:d}" if trial.worker is not None else "",
        "seed": f"{trial.seed:d}" if trial.seed is not None else "",
        "attempts": f"{trial.attempts:d}",
    }
    lines = ["| what | value |", "| :--- | :--- |"]
    return "\n".join(lines + [f"| {name} | {value} |" for name, value in rows.items() if value])


def _percent(accuracy: float | None) -> str:
    return f"{100 * (accuracy or 0.0):.2f} %"


def _rank(accuracy: float | None, others: Sequence[float]) -> int:
    return 1 + sum(other > (accuracy or 0.0) for other in others)
