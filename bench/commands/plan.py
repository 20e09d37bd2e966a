"""How many seeds and test images it takes to resolve a difference, told before any of it is spent."""

from __future__ import annotations

import argparse
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, dataset_name, print_json, waiting
from bench.commands.options import add_dataset
from bench.errors import InputError, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.commands.parser import Parser
    from bench.planning import Components
    from bench.records import Final

SEEDS = (2, 3, 5, 10, 20, 50)
ASSUMED_SEEDS, ASSUMED_IMAGES = 5, 10_000
EXAMPLES = """
  bench plan --resolve 0.1                every two families that have a final
  bench plan cnn mlp --resolve 0.1
  bench plan --error 0.8 --images 10000   before any final: two families that
                                          err on 0.8 % and share no mistakes
"""


def arguments(plan: Parser) -> None:
    plan.add_argument("families", nargs="*", metavar="FAMILY", help="two with a final (default: every pair)")
    add_dataset(plan)
    plan.add_argument("--resolve", type=_percent, default=0.001, metavar="POINTS", help="percentage points (0.1)")
    plan.add_argument("--error", type=_percent, metavar="PERCENT", help="assume this error rate of both")
    plan.add_argument("--images", type=_images, metavar="N", help="test images (default: those of the finals)")


def run(options: argparse.Namespace) -> None:
    from bench.terminal.resolution import resolution

    with waiting(options, "estimating the variance components"):
        document = _document(options)
    if options.json:
        print_json(document)
    else:
        console().print(resolution(document))


def _document(options: argparse.Namespace) -> dict[str, Any]:
    from bench.planning import ALPHA, POWER, assumed
    from bench.ranking import names_of

    dataset = dataset_name(options)
    notes: list[str] = []
    if options.error is not None:
        if options.families:
            raise UsageError("--error is about no families in particular; leave the names or --error out.")
        images = options.images or ASSUMED_IMAGES
        rows = [_row(assumed(options.error), options.resolve, ASSUMED_SEEDS, images)]
    else:
        finals, notes = _finals(options, dataset)
        names = names_of(finals)
        rows = [{**_of_pair(options, a, b), "families": [names[a.id], names[b.id]]} for a, b in combinations(finals, 2)]
    return {
        "schema": 1,
        "dataset": dataset,
        "resolve": options.resolve,
        "alpha": ALPHA,
        "power": POWER,
        "error": options.error,
        "rows": rows,
        "notes": notes,
    }


def _finals(options: argparse.Namespace, dataset: str) -> tuple[list[Final], list[str]]:
    """The finals that a leaderboard would compare, of the families that are named; two at least. What it leaves out."""
    from bench import ranking, results

    way_out = "Before any final, --error 1 tells it for two families that err on 1 % of the images."
    sound, wrong = results.sound(options.home, dataset)
    found, notes = ranking.contenders(sound)
    notes = [*(f"Left out: {why}" for why in wrong), *notes]
    there = sorted({final.family for final in found})
    for name in options.families:
        if name not in there:
            near = did_you_mean(name, there)
            raise InputError(
                f"{name!r} has no final on {dataset}.{near} There: {', '.join(there) or 'none'}. {way_out}"
            )
    lone = [final.family for final in found if len(final.seeds) < 2]
    chosen = [final for final in found if len(final.seeds) > 1 and final.family in (options.families or there)]
    if len(chosen) < 2:
        alone = f"; of one seed, which does not show how seeds differ: {', '.join(lone)}" if lone else ""
        told = " ".join([f"A plan needs the finals of two families on {dataset}, not {len(chosen)}{alone}.", *notes])
        raise InputError(f"{told} {way_out}")
    return chosen, notes


def _of_pair(options: argparse.Namespace, a: Final, b: Final) -> dict[str, Any]:
    from bench import results
    from bench.planning import components

    found = components(results.read_correct(options.home, a), results.read_correct(options.home, b))
    seeds, images = min(len(a.seeds), len(b.seeds)), options.images or a.test_images
    row = _row(found, options.resolve, seeds, images)
    return {**row, "difference": a.test_accuracy - b.test_accuracy}


def _row(found: Components, difference: float, seeds: int, images: int) -> dict[str, Any]:
    """What one pair of families takes; differences are fractions of the test images."""
    from bench.planning import detectable, images_for, seeds_for

    return {
        "families": None,
        "difference": None,
        "seeds": seeds,
        "images": images,
        "resolved": detectable(found, seeds, images),
        "resolved_by_seeds": {str(count): detectable(found, count, images) for count in SEEDS},
        "seeds_needed": seeds_for(found, difference, images),
        "images_needed": images_for(found, difference, seeds),
        "components": {"image": found.image, "residual": list(found.residual), "seed": list(found.seed)},
    }


def _percent(text: str) -> float:
    """A percentage as a fraction."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(f"must be a percentage above 0 and below 100, not {text!r}")
    return number / 100


def _images(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 2, not {text!r}")
    return int(text)
