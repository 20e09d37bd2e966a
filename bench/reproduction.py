"""What `bench reproduce` found, as one document: the notebook's figures beside ours. Pure: from what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench import claims, notebook, statistics
from bench.notebook import PAIRS, Model
from bench.records import Final, Trial
from bench.statistics import Comparison, Correct

SCHEMA = 1
HANDWRITTEN = ("mnist", "digits")  # where classes 4, 5 and 8 are the digits that the notebook speaks of


@dataclass(frozen=True)
class Reproduced:
    """One of the notebook's models under this protocol.

    Attributes:
        trial: trained on train alone, judged on validation after every epoch.
        final: its test over seeds.
        predicted: labels, shape (seeds, test images), from the probabilities that the exam stored.
        labels: of the test images, shape (test images,), as stored beside them.
        looks: how often the test set was opened for its family.
    """

    model: Model
    precision: str
    trial: Trial
    final: Final
    predicted: claims.Labels
    labels: claims.Labels
    looks: int

    @property
    def correct(self) -> Correct:
        right: Correct = self.predicted == self.labels
        return right


def document(dataset: str, comparable: bool, found: Sequence[Reproduced]) -> dict[str, Any]:
    """Everything that is printed, JSON-ready; accuracies and error rates are fractions.

    Args:
        comparable: the data are the notebook's, so that its figures belong beside ours.
        found: one of each model, in the notebook's order.
    """
    by_family = {one.model.family: one for one in found}
    compared = {(a, b): statistics.compare(by_family[a].correct, by_family[b].correct) for a, b in PAIRS}
    # A file of somebody's own may have the name and other classes, or one image of a class.
    images = Counter(found[0].labels.tolist())
    digits = dataset in HANDWRITTEN and set(images) == set(range(10)) and min(images.values()) > 1
    return {
        "schema": SCHEMA,
        "dataset": dataset,
        "comparable": comparable,
        "seeds": len(found[0].final.seeds),
        "precision": sorted({one.precision for one in found}),
        "models": [_model(one, comparable) for one in found],
        "reductions": _reductions(compared, comparable),
        "claims": [asdict(claim) for claim in _claims(comparable, by_family, compared)] if digits else [],
        "notes": _notes(dataset, comparable, digits, found),
    }


def _model(one: Reproduced, comparable: bool) -> dict[str, Any]:
    model, final = one.model, one.final
    bounds = notebook.one_more_run(final.seed_accuracies)
    theirs = {
        "test_accuracy": model.test_accuracy,
        "errors": model.errors,
        "parameters": model.parameters,
        "place": notebook.place(model.test_accuracy, bounds) if bounds else None,
    }
    return {
        "family": model.family,
        "about": model.about,
        "epochs": model.epochs,
        "study": final.study,
        "final": final.id,
        "notebook": theirs if comparable else None,
        "test_accuracy": final.test_accuracy,
        "ci95": list(final.ci95),
        "method": final.method,
        "seed_accuracies": list(final.seed_accuracies),
        "one_more_run95": list(bounds) if bounds else None,
        "errors": final.errors,
        "parameters": final.parameters,
        "precision": one.precision,
        "val_accuracy": one.trial.val_accuracy,
        "test_looks": one.looks,
        "curve": _curve(one.trial),
        "habit": _habit(one.trial),
    }


def _curve(trial: Trial) -> list[dict[str, Any]]:
    """One entry an epoch. The loss is the mean over the epoch's batches, as Keras shows it."""
    losses = dict(trial.losses)
    return [
        {"epoch": epoch, "train_loss": losses.get(samples), "val_accuracy": val_accuracy}
        for epoch, (samples, val_accuracy) in enumerate(trial.curve, 1)
    ]


def _habit(trial: Trial) -> dict[str, Any]:
    """Where the notebook's habit, to stop at the top of the curve, would have stopped; on validation, not on test."""
    accuracies = [val_accuracy for _, val_accuracy in trial.curve]
    best = accuracies.index(max(accuracies))  # the first of equals
    return {
        "epoch": best + 1,
        "val_accuracy": accuracies[best],
        "epochs_used": len(accuracies),
        "val_accuracy_at_epochs_used": accuracies[-1],
    }


def _reductions(compared: Mapping[tuple[str, str], Comparison], comparable: bool) -> list[dict[str, Any]]:
    tested = [pair for pair, comparison in compared.items() if comparison.tested]
    adjusted = dict(zip(tested, statistics.holm([compared[pair].p_value for pair in tested]), strict=True))
    rows = []
    for pair, comparison in compared.items():
        ours, theirs = claims.reduction(comparison), _katz(*pair)
        rows.append(
            {
                "family": pair[0],
                "against": pair[1],
                "notebook": {"error_reduction": theirs[0], "ci95": list(theirs[1])} if comparable else None,
                "error_reduction": ours[0] if ours else None,
                "error_reduction_ci95": list(ours[1]) if ours else None,
                "p_holm": adjusted.get(pair),
            }
        )
    return rows


def _claims(
    comparable: bool,
    by_family: Mapping[str, Reproduced],
    compared: Mapping[tuple[str, str], Comparison],
) -> list[claims.Claim]:
    mlp, dropout = by_family["mlp"], by_family["mlp_dropout"]
    halves = claims.halves_error(compared["cnn", "mlp"])
    if comparable:
        halves = replace(halves, says=(*halves.says, _their_cut()))
    return [
        claims.weak_classes(mlp.predicted, mlp.labels),
        claims.dropout_helps(mlp.correct, dropout.correct, mlp.labels),
        halves,
    ]


def _their_cut() -> str:
    """What the notebook's own figures say to its 'almost 50 %'."""
    said = []
    for against in ("mlp", "mlp_dropout"):
        value, (low, high) = _katz("cnn", against)
        said.append(f"{100 * value:.1f} % against {against} ({100 * low:.1f} to {100 * high:.1f})")
    return f"The notebook's own figures give {' and '.join(said)}."


def _katz(family: str, against: str) -> tuple[float, tuple[float, float]]:
    a, b = notebook.model_of(family), notebook.model_of(against)
    return notebook.katz(a.errors, b.errors, notebook.TEST_IMAGES)


def _notes(dataset: str, comparable: bool, digits: bool, found: Sequence[Reproduced]) -> list[str]:
    notes = []
    if comparable:
        notes += [
            "The notebook chose its epochs on the curve of this test set, and its classes 4, 5 and 8 from mistakes on "
            "it. Using them here carries that look along: what these 10,000 images favoured then, they favour now.",
            "Its interval of a reduction is for two independent runs (Katz); ours takes the images as shared and the "
            "seeds as drawn anew.",
        ]
    else:
        asked = "Its claims are asked of these digits all the same." if digits else "Its claims are not checked here."
        notes.append(f"The notebook's figures are of MNIST, so that none stands beside these of {dataset}. {asked}")
    arithmetic = sorted({one.precision for one in found})
    if arithmetic != ["float32"]:
        notes.append(f"Trained in {' and '.join(arithmetic)}; the notebook trained in float32.")
    notes.append(
        "Not the notebook's: initial weights after He instead of Glorot in the hidden layers, max pooling before the "
        "activation (the same function), no short batch at an epoch's end, other versions of Keras."
    )
    if comparable:
        notes += [
            f"{one.model.family} has {one.final.parameters:,} parameters here, in the notebook "
            f"{one.model.parameters:,}: it is another model."
            for one in found
            if one.final.parameters != one.model.parameters
        ]
    return [*notes, *sorted({warning for one in found for warning in one.final.warnings})]
