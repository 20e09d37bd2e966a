"""What `bench reproduce` prints, at three widths: golden text of a document made from answers that are drawn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.notebook import MODELS
from bench.records import Trial
from bench.reproduction import Reproduced, document
from bench.statistics import estimate
from bench.terminal.reproduction import reproduction
from tests.test_ranking import CNN, DROPOUT, MLP

GOLDEN = Path(__file__).parents[1] / "golden"
LABELS = np.repeat(np.arange(10), 1000)
FINALS = {"mlp": MLP, "mlp_dropout": DROPOUT, "cnn": CNN}


def made(model, error, seeds=5):
    """A model whose errors share the hard images; the classes 4, 5 and 8 are twice as hard, the last epoch is worse."""
    generator = np.random.default_rng(0)
    hard = error * np.where(np.isin(LABELS, (4, 5, 8)), 2.0, 0.57)
    difficulty = generator.beta(0.5 * hard, 0.5 * (1 - hard))
    wrong = np.random.default_rng(round(1e6 * error)).random((seeds, len(LABELS))) < difficulty
    accuracies = tuple((1 - wrong.mean(axis=1)).tolist())
    final = replace(
        FINALS[model.family], test_accuracy=float(np.mean(accuracies)), seed_accuracies=accuracies,
        ci95=estimate(~wrong).ci95, seeds=tuple(range(seeds)), errors=float(wrong.sum(axis=1).mean()),
        parameters=model.parameters,
    )  # fmt: skip
    late = model.family == "mlp"
    curve = tuple(
        (50_000 * e, 1 - error * (1 + 3 / e + late * (e == model.epochs))) for e in range(1, model.epochs + 1)
    )
    losses = tuple((samples, 0.5 / e) for e, (samples, _) in enumerate(curve, 1))
    trial = Trial(0, "complete", model.config, curve[-1][1], curve[-1][0], curve=curve, losses=losses)
    return Reproduced(model, "float32", trial, final, np.where(wrong, (LABELS + 1) % 10, LABELS), LABELS, 1)


DOCUMENTS = {
    "mnist": lambda: document("mnist", True, [made(m, e) for m, e in zip(MODELS, (0.018, 0.016, 0.009), strict=True)]),
    "other": lambda: document(
        "sha[red]pes", False, [made(m, e, 1) for m, e in zip(MODELS, (0.018, 0.016, 0.009), strict=True)]
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_is_printed_as_before_and_fits(name, width, update_golden):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(reproduction(DOCUMENTS[name](), width))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= width for line in lines)
    update_golden(GOLDEN / f"reproduction-{name}-{width}.txt", "\n".join(lines) + "\n")


def test_figures_of_the_notebook_stand_beside_those_of_mnist_alone():
    assert all(model["notebook"] for model in DOCUMENTS["mnist"]()["models"])
    other = DOCUMENTS["other"]()
    assert not any(part["notebook"] for part in (*other["models"], *other["reductions"]))
    assert other["claims"] == []


def test_the_claims_are_not_asked_of_other_classes_under_a_known_name():
    found = [made(model, 0.01) for model in MODELS]
    three = [replace(one, predicted=one.predicted % 3, labels=one.labels % 3) for one in found]
    assert document("digits", False, found)["claims"]
    assert document("digits", False, three)["claims"] == []


def test_a_console_that_knows_only_ascii_gets_ascii():
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(reproduction(DOCUMENTS["mnist"](), 80, ascii_only=True))
    assert capture.get().isascii()
