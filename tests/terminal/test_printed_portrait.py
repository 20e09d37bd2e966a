"""What `bench show` prints, of a fixed document: golden output, widths, colours, hostile names, many classes."""

import copy
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.terminal.heat import SHADES, count, heat
from bench.terminal.portrait import draw

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = "[red]x[/] \x1b[31m\r\n\u202e\x07"


def error(label, images, errors, low, high):
    return {
        "label": label,
        "name": str(label),
        "images": images,
        "errors": errors,
        "rate": errors / images,
        "ci95": [low, high],
    }


MATRIX = [
    [979, 0, 0, 0, 0, 0, 0.6, 0.4, 0, 0],
    [0, 1132.4, 0.6, 1, 0, 0, 0.4, 0.6, 0, 0],
    [0.8, 1, 1026.4, 0, 0.4, 0, 0, 3.4, 0, 0],
    [0, 0, 0.6, 1005.4, 0, 3, 0, 0.6, 0.4, 0],
    [0, 0, 0, 0, 976.4, 0, 1.2, 0, 0.4, 4],
    [0.6, 0, 0, 4.6, 0, 885.4, 1, 0, 0.4, 0],
    [2.4, 1.8, 0, 0, 0.8, 1.2, 951.8, 0, 0, 0],
    [0, 2.6, 3.4, 0, 0, 0, 0, 1021.2, 0.4, 0.4],
    [0.8, 0, 0.8, 0.6, 0.4, 0.6, 0, 0.8, 968.4, 1.6],
    [0, 0, 0, 0.6, 5.6, 2.6, 0, 1.6, 0.6, 998],
]
IMAGES = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
NAMES = [str(label) for label in range(10)]
ROW = {"value": 0, "searched": "1 to 3", "edge": None, "wider": None}
DOCUMENT = {
    "study": "mnist-cnn",
    "family": "cnn",
    "dataset": "mnist",
    "trials": {"total": 50, "complete": 7, "pruned": 42, "failed": 1},
    "trial": {
        "number": 31, "state": "complete", "reason": None, "detail": None, "val_accuracy": 0.9931, "samples": 300_000,
        "params": 298_314,
    },
    "best_trial": 12,
    "final": {
        "confirmed": [31, 12],
        "trial": 31, "test_accuracy": 0.99444, "ci95": [0.9931, 0.9957], "seeds": 5, "errors": 55.6, "trials": 40,
        "seed_sd": 0.00047, "seed_sd_expected": 0.00053, "findings": [],
    },
    "other_final": None,
    "configuration": [
        {**ROW, "name": "blocks", "value": 3, "searched": "2 to 3"},
        {
            **ROW, "name": "filters", "value": 32, "searched": "one of 16, 24, 32", "edge": "highest",
            "wider": "filters=16,24,32,40",
        },
        {**ROW, "name": "optimizer", "value": "sgd", "searched": "one of adam, rmsprop, sgd"},
        {**ROW, "name": "momentum", "value": 0.9423, "searched": "0.9 to 0.99 when optimizer is sgd"},
        {
            **ROW, "name": "learning_rate", "value": 0.0199, "searched": "0.001 to 0.02 (log)", "edge": "highest",
            "wider": "learning_rate=0.001:0.04",
        },
    ],
    "confusion": {"source": "test", "images": 10_000, "of": 10_000, "seeds": 5, "classes": NAMES, "matrix": MATRIX},
    "class_errors": [
        error(label, images, images - MATRIX[label][label], 0.001, 0.023) for label, images in enumerate(IMAGES)
    ],
    "confused_pairs": [
        {"true": "9", "predicted": "4", "images": 5.6},
        {"true": "5", "predicted": "3", "images": 4.6},
        {"true": "4", "predicted": "9", "images": 4.0},
    ],
    "importance": {
        "trials": 49, "reached": 49, "samples": 8333, "problem": None,
        "rows": [
            {"name": "learning_rate", "share": 0.55, "clear": True},
            {"name": "batch_norm", "share": 0.41, "clear": False},
            {"name": "filters", "share": 0.04, "clear": False},
        ],
    },
    "judged_by": "mean weights",
    "curve": [
        {"samples": 8_333, "epochs": 8333 / 50_000, "val_accuracy": 0.9512},
        {"samples": 25_000, "epochs": 0.5, "val_accuracy": 0.9803},
        {"samples": 300_000, "epochs": 6.0, "val_accuracy": 0.9931},
    ],
    "loss_curves": [
        {"seed": 7, "samples_and_loss": [[128, 2.61], [10_000, 0.31], [60_000, 0.052], [360_000, 0.0041]]},
        {"seed": 9, "samples_and_loss": [[128, 2.43], [10_000, 0.35], [60_000, 0.049], [360_000, 0.0052]]},
    ],
    "serving": {
        "device": "CPU", "threads": 2, "model_bytes": 3_615_230,
        "latency": [{"images": 1, "seconds": 0.000812, "passes": 200}, {"images": 128, "seconds": 0.0371, "passes": 6}],
    },
    "timing": {
        "workers": 2, "wall_seconds": 301.0, "worker_seconds": 602.0,
        "phases": {"build": 12.0, "trace": 61.0, "train": 420.0, "eval": 55.0, "wait": 14.0, "other": 40.0},
        "states": {
            "complete": {"trials": 7, "seconds": 290.0},
            "pruned": {"trials": 42, "seconds": 262.0},
            "failed": {"trials": 1, "seconds": 10.0},
        },
    },
    "rungs": [
        {"samples": 8_333, "trials": 49, "went_on": 16, "rank_correlation": 0.6153},
        {"samples": 24_999, "trials": 16, "went_on": 9, "rank_correlation": -0.25},
        {"samples": 74_997, "trials": 9, "went_on": 3, "rank_correlation": None},
    ],
    "code": "import keras\n\nconfig = {\n    'blocks': 3,\n}\n",
}  # fmt: skip


def changed(**changes):
    return {**copy.deepcopy(DOCUMENT), **changes}


def render(document, width, **options):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(draw(document, width, **options))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_is_what_it_was_and_fits(width, update_golden):
    text = render(DOCUMENT, width, timing=True)
    update_golden(GOLDEN / f"show-{width}.txt", text)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "…" not in text


def test_in_ascii_there_is_nothing_else(update_golden):
    text = render(DOCUMENT, 80, timing=True, ascii_only=True)
    assert text.isascii()
    update_golden(GOLDEN / "show-ascii.txt", text)


def test_the_most_important_stands_first():
    text = render(DOCUMENT, 80, timing=True)
    wanted = [
        "test accuracy",
        "Configuration",
        "Confusion",
        "Errors by class",
        "Importance",
        "Learning curve",
        "Time",
        "As code",
    ]
    places = [text.index(heading) for heading in wanted]
    assert places == sorted(places)


def test_an_edge_names_a_concrete_range_and_the_hardest_class_comes_first():
    text = render(DOCUMENT, 80)
    assert "best value at the edge of its range: widen with --range filters=16,24,32,40" in " ".join(text.split())
    rows = re.findall(r"^(\d) +[\d,]+ +\S+ +(\d\.\d\d) ", text, re.MULTILINE)
    assert len(rows) == 10
    assert [float(rate) for _, rate in rows] == sorted((float(rate) for _, rate in rows), reverse=True)


def test_it_always_says_what_was_confused():
    assert "on 10,000 test images, mean of 5 seeds" in render(DOCUMENT, 80)
    half = {**DOCUMENT["confusion"], "source": "validation", "images": 5_000, "seeds": 1}
    text = render(changed(final=None, confusion=half), 80)
    assert "on 5,000 of 10,000 validation images, trial 31" in text
    assert "test" not in text.replace("fastest", "")


def test_what_is_not_known_is_said():
    nothing = changed(
        final=None, confusion=None, class_errors=[], confused_pairs=[], curve=[], loss_curves=None, serving=None,
        code=None,
        importance={**DOCUMENT["importance"], "problem": "Too few trials: 4.", "rows": []},
        trial={**DOCUMENT["trial"], "state": "failed", "reason": "diverged", "val_accuracy": None, "params": None},
    )  # fmt: skip
    text = render(nothing, 80)
    for said in (
        "failed: diverged",
        "Not known",
        "Too few trials: 4.",
        "never judged",
        "not measured",
        "data are gone",
    ):
        assert said in text


def test_a_final_of_another_trial_and_trials_added_since_are_named():
    assert "10 trials were added since" in render(DOCUMENT, 80)
    assert "Trial 12 was best in the search" in render(DOCUMENT, 80)
    later = changed(final={**DOCUMENT["final"], "confirmed": [31, 8]})
    assert "was best in the search" not in render(later, 80), "it was never trained over seeds"
    other = render(changed(final=None, other_final=DOCUMENT["final"]), 80)
    assert "tested trial 31" in other


def test_many_classes_are_told_by_pairs():
    classes = [f"class {k}" for k in range(30)]
    matrix = [[5 if row == column else 0 for column in range(30)] for row in range(30)]
    many = changed(
        confusion={**DOCUMENT["confusion"], "classes": classes, "matrix": matrix},
        class_errors=[error(k, 10, k / 10, 0.0, 0.5) for k in range(30)],
    )
    text = render(many, 80)
    assert "30 classes do not fit as a matrix" in text
    assert "9 as 4 (5.6)" in text
    assert "and 18 classes with fewer" in text


def test_classes_with_names_are_numbered_and_wide_characters_keep_the_columns():
    names = ["airplane", "automobile", "猫猫猫猫猫猫猫猫猫猫"]
    lines = heat([[5, 1, 0], [0, 6, 0], [0, 0, 7]], names, 60).plain.splitlines()
    assert [line.split()[0] for line in lines] == ["true", "0", "1", "2"]
    assert len({cell_len(line) for line in lines}) == 1
    assert heat([[5, 1, 0], [0, 6, 0], [0, 0, 7]], names, 8) is None


def test_hostile_names_are_text():
    document = changed(
        study=HOSTILE, family=HOSTILE, dataset=HOSTILE, code=f"x = {HOSTILE}",
        trial={**DOCUMENT["trial"], "state": "failed", "reason": HOSTILE},
        configuration=[dict.fromkeys(("name", "value", "searched", "wider"), HOSTILE) | {"edge": "highest"}],
        confusion={**DOCUMENT["confusion"], "classes": [HOSTILE] * 10},
        class_errors=[{**DOCUMENT["class_errors"][0], "name": HOSTILE}],
        confused_pairs=[{"true": HOSTILE, "predicted": HOSTILE, "images": 1.0}],
        importance={**DOCUMENT["importance"], "rows": [{"name": HOSTILE, "share": 1.0, "clear": True}]},
        serving={**DOCUMENT["serving"], "device": HOSTILE},
    )  # fmt: skip
    text = render(document, 160, timing=True)
    assert "[red]x[/]" in text
    assert all(character.isprintable() or character == "\n" for character in text)


def luminance(colour):
    """Relative luminance of '#rrggbb'; WCAG 2.2."""
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_shade_brings_ink_that_is_legible_on_it_whatever_the_terminal():
    for _, style in SHADES:
        ink, ground = sorted(map(luminance, style.split(" on ")), reverse=True)
        assert (ink + 0.05) / (ground + 0.05) >= 4.5  # WCAG 2.2, level AA


def test_colour_is_added_to_numbers_that_say_the_same_without_it():
    text = heat([[5, 1], [0, 9]], ["a", "b"], 40)
    console = Console(width=40, color_system="truecolor", force_terminal=True)
    with console.capture() as capture:
        console.print(text)
    assert re.sub(r"\x1b\[[0-9;]*m", "", capture.get()) == text.plain + "\n"
    assert "48;2;" in capture.get()


@pytest.mark.parametrize(
    ("images", "said"),
    [(0, "·"), (0.04, "<.1"), (0.2, "0.2"), (3.0, "3"), (9.94, "9.9"), (9.96, "10"), (1132.4, "1132")],
)
def test_means_of_few_images_keep_a_tenth(images, said):
    assert count(images) == said
