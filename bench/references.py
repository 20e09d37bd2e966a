"""The reference configuration beside the winner: trained over the same seeds, tested in the same look, so that what
tuning gained shows with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.family import Family
from bench.files import sha256
from bench.records import Final, Trial

if TYPE_CHECKING:
    from bench.statistics import Correct


def check(families: Iterable[Family]) -> None:
    """Raise UsageError where a family has no reference to test."""
    without = [family.name for family in families if family.reference is None]
    if without:
        raise UsageError(
            f"Family {without[0]!r} has no reference configuration, so that none can be tested beside the winner. Give "
            "it one in its file (Family(..., reference={...})), or leave --with-reference out."
        )


def reference_of(trials: Sequence[Trial]) -> Trial:
    """The study's trial 0, which is the family's reference.

    Raises:
        UsageError: it is not over.
    """
    for trial in trials:
        if trial.number == 0 and trial.state != "running":
            return trial
    raise UsageError("Trial 0, the reference, is not over; run `bench search` first, or leave --with-reference out.")


def frozen(reference: Trial, winner: Trial, trained: Sequence[Trial], models: Sequence[Path]) -> dict[str, Any]:
    """What the manifest says of the reference.

    Args:
        trained: its retrainings, none where the winner is the reference.
        models: the files of those, in the same order.
    """
    return {
        "trial": reference.number,
        "config": dict(reference.params),
        "val_accuracy": reference.val_accuracy if reference.state == "complete" else None,
        "parameters": trained[0].parameters if trained else winner.parameters,
        "is_winner": not trained,
        "model_sha256": [sha256(model) for model in models],
    }


def measured(run: Mapping[str, Any], tuned: Correct, untuned: Correct | None) -> dict[str, Any]:
    """The `reference` of a result: the fields of a leaderboard's row, with the winner's error reduction against it.

    Where the winner is the reference, its figures stand here again, and nothing was gained.

    Args:
        run: what the manifest says of the reference.
        tuned: of the winner, bool, shape (seeds, images).
        untuned: of the reference, on the same images; None where it is the winner.
    """
    from bench import statistics

    correct = tuned if untuned is None else untuned
    found = statistics.estimate(correct)
    gain: dict[str, Any] = {
        "error_reduction": 0.0, "error_reduction_ci95": None, "p_value": None, "difference": 0.0,
        "difference_ci95": None,
    }  # fmt: skip
    if untuned is not None:
        compared = statistics.compare(tuned, untuned)
        gain |= {"difference": compared.difference, "difference_ci95": list(compared.ci95)}
        gain |= {"error_reduction": None, "p_value": compared.p_value if compared.tested else None}
        if compared.log_ratio is not None and compared.log_ratio_ci95 is not None:
            low, high = compared.log_ratio_ci95
            gain["error_reduction"] = 1 - math.exp(compared.log_ratio)
            gain["error_reduction_ci95"] = [1 - math.exp(high), 1 - math.exp(low)]
    return {
        "trial": run["trial"],
        "is_winner": run["is_winner"],
        "test_accuracy": found.mean,
        "ci95": list(found.ci95),
        "method": found.method,
        "seeds": len(correct),
        "seed_accuracies": correct.mean(axis=1).tolist(),
        "errors": float((~correct).sum(axis=1).mean()),
        "val_accuracy": run["val_accuracy"],
        "params": run["parameters"],
        **gain,
    }


def untested(final: Final) -> str:
    """What it means that a final which is asked for with its reference was made without."""
    return (
        f"The final of {final.study!r} was tested without its reference, and stands as it is: what tuning gained is "
        "not known. To test the reference now would be another look at this test set. It goes along with the study's "
        "next final, which takes a look of its own: after more trials, or with another --seeds."
    )
