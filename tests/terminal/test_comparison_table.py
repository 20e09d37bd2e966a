"""What `bench compare-engines` prints, at three widths: golden text of documents made from given scores."""

from pathlib import Path

import pytest
from rich.console import Console

from bench.comparison import BASELINE
from bench.terminal.comparison import comparison
from tests.test_comparison import AHEAD, BASE, QMC, SAME, TPE, compared

GOLDEN = Path(__file__).parents[1] / "golden"
DOCUMENTS = {
    "resolved": lambda: compared({BASELINE: BASE, TPE: AHEAD, QMC: SAME}),
    "one-seed": lambda: {**compared({BASELINE: [0.9], TPE: [0.8]}), "family": "[red]mlp"},
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_is_printed_as_before_and_fits(name, width, update_golden):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(comparison(DOCUMENTS[name](), width))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= width for line in lines)
    update_golden(GOLDEN / f"comparison-{name}-{width}.txt", "\n".join(lines) + "\n")


def test_what_is_not_resolved_is_said_to_be_so():
    console = Console(width=160, color_system=None)
    with console.capture() as capture:
        console.print(comparison(compared({BASELINE: BASE, TPE: SAME}), 160))
    assert "optuna:tpe/asha: no difference from the baseline resolved" in capture.get()
