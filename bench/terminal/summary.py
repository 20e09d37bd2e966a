"""The last lines of a search: what was found, and the commands that come next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from bench.formats import doubt, whole
from bench.terminal.sparkline import one_line


def summary(document: Mapping[str, Any], hints: bool = True) -> str:
    """The lines for one family's search document (see the JSON contract), with rich markup.

    Accuracies are shown in percent; everything that a user named is escaped. `hints`: end with what to type
    next.
    """
    trials, best, row = document["trials"], document["best"], document["final"]
    family, dataset = plain(document["family"]), plain(document["dataset"])
    lines = [
        f"[bold]{family}[/] on {dataset}: {trials['total']} trials "
        f"({trials['complete']} complete, {trials['pruned']} pruned, {trials['failed']} failed) "
        f"in {document['seconds']:.0f} s"
    ]
    if best:
        lines.append(f"best validation accuracy {100 * best['val_accuracy']:.2f} % (trial {best['number']})")
        lines.append("  " + plain(", ".join(f"{name}={short(value)}" for name, value in best["params"].items())))
    if row:
        low, high = row["ci95"]
        lines.append(
            f"[bold]test accuracy {100 * row['test_accuracy']:.2f} %[/], 95 % interval "
            f"{100 * low:.2f} to {100 * high:.2f}, mean of {row['seeds']} seeds, {row['errors']:.1f} errors a seed, "
            f"look {row['test_looks']} at this test set"
        )
    if row and row["reference"]:
        lines.append(_tuned(row["reference"]))
    newer = document.get("newer_final")
    if newer:
        lines.append(f"not the newest final of this study: the leaderboard shows the one of {newer['seeds']} seeds")
    if not hints:
        return "\n".join(lines)
    of = plain(arguments_for(document["family"], document["dataset"], document["study"]))
    following = [] if row else [f"bench final {of}"]
    following += [f"bench leaderboard --dataset {dataset}", f"bench show {of}"]
    lines.append("next: " + " · ".join(following))
    return "\n".join(lines)


def _tuned(reference: Mapping[str, Any]) -> str:
    """What tuning gained against the reference, in one line."""
    was = (
        f"reference {100 * reference['test_accuracy']:.2f} %, {reference['errors']:.1f} errors a seed, in the same look"
    )
    if reference["is_winner"]:
        return f"{was}: it is the winner, tuning gained nothing"
    if reference["error_reduction"] is None:
        return f"{was}: too few errors to say what tuning gained"
    gain, (low, high), verb = reference["error_reduction"], reference["error_reduction_ci95"], "reduced"
    if gain < 0:
        gain, low, high, verb = -gain, -high, -low, "raised"
    said = f"{whole(gain)} % ({whole(low)} to {whole(high)})"
    return f"{was}: tuning {verb} the error by {said}{doubt(reference)}"


def plain(text: object) -> str:
    """Text from outside on its way into markup: control characters replaced, markup escaped."""
    return escape(one_line(str(text)))


def arguments_for(family: str, dataset: str, study: str) -> str:
    """What to type after `bench show`, say, to mean this study of a family: 'cnn --dataset mnist'."""
    named = [] if study == f"{dataset}-{family}" else ["--study", study]
    return shlex.join([family, "--dataset", dataset, *named])


def short(value: object) -> str:
    """A parameter's value in few characters."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
