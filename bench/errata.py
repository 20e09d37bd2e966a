"""What `bench mistakes` says of the families of a data set, as one JSON-ready document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import statistics
from bench.disagreement import ALPHA, SURE, Answers, against, likely_label_errors, models_needed, unsolved
from bench.records import Final

SCHEMA = 1


@dataclass(frozen=True)
class Examined:
    """A family's final with what its models said."""

    final: Final
    answers: Answers


def document(
    dataset: str,
    class_names: Sequence[str],
    tested: Sequence[Examined],
    pair: tuple[Examined, Examined] | None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The document of `bench mistakes --json`; images are numbered as in the test set, from 0.

    Args:
        tested: every family, that of the highest test accuracy first.
        pair: whose mistakes are compared, the first against the second; None where there is only one family.
    """
    every = [one.answers for one in tested]
    models = sum(len(answers.probabilities) for answers in every)
    return {
        "schema": SCHEMA,
        "dataset": dataset,
        "test_images": len(every[0].labels),
        "models": models,
        "classes": list(class_names),
        "families": [
            {
                "name": one.answers.name,
                "family": one.final.family,
                "study": one.final.study,
                "final": one.final.id,
                "seeds": len(one.final.seeds),
                "errors": one.final.errors,
                "test_accuracy": one.final.test_accuracy,
            }
            for one in tested
        ],
        "sure": SURE,
        "unsolved": [_named(asdict(one), class_names) for one in unsolved(every)],
        "likely_label_errors": [_named(asdict(one), class_names) for one in likely_label_errors(every)],
        "against": pair and _against(*pair, class_names),
        "notes": list(notes),
    }


def _named(row: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    said = {"said_name": names[row["said"]]} if "said" in row else {}
    return {**row, "name": names[row["label"]], **said}


def _against(one: Examined, other: Examined, class_names: Sequence[str]) -> dict[str, Any]:
    compared = statistics.compare(one.answers.correct, other.answers.correct)
    found = against(one.answers, other.answers, len(class_names))
    models = (len(one.final.seeds), len(other.final.seeds))
    return {
        "family": one.answers.name,
        "other": other.answers.name,
        "errors": one.final.errors,
        "other_errors": other.final.errors,
        "fixed": found.fixed,
        "broken": found.broken,
        "difference": compared.difference,
        "difference_ci95": list(compared.ci95),
        "p_value": compared.p_value if compared.tested else None,
        "classes": [_named(asdict(row), class_names) for row in found.classes],
        "models": list(models),
        "models_needed": models_needed(*models),
        "questions": found.questions,
        "false_discovery_rate": ALPHA,
        "images_fixed": [_named(asdict(change), class_names) for change in found.images_fixed],
        "images_broken": [_named(asdict(change), class_names) for change in found.images_broken],
    }
