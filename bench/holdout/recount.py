"""What a stored result must say, made again from what stands beside it: its manifest and its predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from bench import references, statistics
from bench.records import Final
from bench.results import Predictions

TOLERANCE = 1e-9  # another version of a library may round otherwise


def copied(final: Final, manifest: Mapping[str, Any]) -> Final:
    """The result with everything that it has from its manifest taken from there again."""
    names = [field.name for field in fields(Final) if field.name in manifest]
    return replace(final, **{name: _frozen(manifest[name]) for name in names})


def counted(final: Final, correct: statistics.Correct) -> Final:
    """The result with accuracies and errors counted again.

    Args:
        correct: bool, shape (seeds, images).
    """
    return replace(
        final,
        test_accuracy=float(correct.mean()),
        seed_accuracies=tuple(correct.mean(axis=1).tolist()),
        test_images=correct.shape[1],
        errors=float((~correct).sum(axis=1).mean()),
    )


def estimated(final: Final, stored: Predictions, manifest: Mapping[str, Any]) -> Final:
    """The result with its interval estimated again, and what it says of the reference."""
    found, run = statistics.estimate(stored.correct), manifest.get("reference_run")
    reference = run and references.measured(run, stored.correct, stored.reference_correct)
    return replace(final, ci95=found.ci95, method=found.method, reference=reference)


def problem_of(stored: Predictions, final: Final) -> str | None:
    """Why predictions cannot be those of this final, or None."""
    labels, shape = stored.labels, (len(final.seeds), final.test_images)
    if labels is not None and labels.shape != shape[1:]:  # versions before kept none
        return f"labels have shape {labels.shape}, but there are {final.test_images} images"
    pairs = [(stored.probabilities, stored.correct)]
    if final.reference is not None and not final.reference["is_winner"]:
        pairs.append((stored.reference_probabilities, stored.reference_correct))
    for probabilities, correct in pairs:
        if probabilities is None or correct is None:
            return "the predictions of the reference are missing"
        if correct.shape != shape or probabilities.shape[:2] != shape:
            seen = probabilities.shape
            return f"predictions have shape {seen}, but there are {shape[0]} seeds x {final.test_images} images"
        if labels is not None and ((probabilities.argmax(axis=2) == labels) != correct).any():
            return "the labels do not say which predictions are correct"
    return None


def differences(stored: Final, again: Final) -> list[str]:
    """'name is 0.9, not 0.8' for every field that is not what it should be."""
    pairs = [(field.name, getattr(stored, field.name), getattr(again, field.name)) for field in fields(Final)]
    return [f"{name} is {was}, not {now}" for name, was, now in pairs if not same(was, now)]


def same(one: Any, other: Any) -> bool:
    """Equal, numbers but for rounding; mappings and sequences entry by entry."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
