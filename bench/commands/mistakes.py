"""The images that families get wrong: all of them, or one family where another was right.

Without names the most accurate family is compared with mlp. With -o a gallery
of the images is written; that is noted in the ledger, because who sees test
images and then changes a family has learned from them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.common import check_output, console, dataset_name, print_json, waiting
from bench.commands.options import add_dataset
from bench.errors import InputError, RecordError, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.commands.parser import Parser
    from bench.data.sealed import Sealed
    from bench.errata import Examined
    from bench.records import Final

MOST_DRAWN = 24  # pictures a section
EXAMPLES = """
  bench mistakes                          what no family gets right
  bench mistakes cnn mlp                  what cnn fixes and breaks against mlp
  bench mistakes --dataset digits -o mistakes.png
"""


def arguments(mistakes: Parser) -> None:
    mistakes.add_argument(
        "families", nargs="*", metavar="FAMILY", help="two with a final: the first against the second"
    )
    add_dataset(mistakes)
    mistakes.add_argument("-o", "--output", type=Path, metavar="FILE", help="write a gallery of the images as PNG")


def run(options: argparse.Namespace) -> None:
    from bench.terminal.mistakes import draw

    _check(options)
    dataset = dataset_name(options)
    with waiting(options, "reading the predictions") as wait:
        document, sealed = _document(options, dataset)
        if options.output is not None:
            wait.step("drawing the images")
            _draw(options, document, sealed)
    if options.json:
        print_json(document)
    else:
        out = console()
        out.print(draw(document, out.width))


def _check(options: argparse.Namespace) -> None:
    if len(options.families) not in (0, 2) or len({*options.families}) != len(options.families):
        raise UsageError(f"bench mistakes compares two families, or takes no name; not {' '.join(options.families)}.")
    check_output(options.output)


def _document(options: argparse.Namespace, dataset: str) -> tuple[dict[str, Any], Sealed | None]:
    from bench import errata, results
    from bench.data.sealed import sealed_in
    from bench.ranking import contenders, names_of

    finals, notes = contenders(results.read_finals(options.home, dataset))
    if not finals:
        raise InputError(f"No final on {dataset} yet, so that no mistake is known. Next: bench search cnn --trials 50")
    names = names_of(finals)
    by_accuracy = sorted(finals, key=lambda final: (-final.test_accuracy, final.family))
    tested, without = [], []
    for final in by_accuracy:
        found = _tested(options.home, final, names[final.id])
        if found is None:
            without.append(names[final.id])
        else:
            tested.append(found)
    if without:
        notes.append(f"Left out, tested by a version that kept no labels: {', '.join(without)}.")
    if not tested:
        raise InputError(f"The finals on {dataset} kept no labels; run `bench final` again, which adds a look.")
    pair = _pair(options.families, tested, dataset)
    sealed = next((one for one in sealed_in(options.home) if one.checksum == finals[-1].data_checksum), None)
    classes = tested[0].answers.probabilities.shape[2]
    class_names = sealed.class_names if sealed else [str(label) for label in range(classes)]
    return errata.document(dataset, class_names, tested, pair, notes), sealed


def _tested(home: Path, final: Final, name: str) -> Examined | None:
    """None where the final's predictions have no labels beside them."""
    from bench import results
    from bench.disagreement import Answers
    from bench.errata import Examined

    stored = results.read_predictions(home, final)
    return None if stored.labels is None else Examined(final, Answers(name, stored.probabilities, stored.labels))


def _pair(named: list[str], tested: list[Examined], dataset: str) -> tuple[Examined, Examined] | None:
    """Those that are named; else the most accurate family against mlp, or against the next where it is mlp."""
    from bench.ranking import DEFAULT_BASELINE, of_family

    by_id = {one.final.id: one for one in tested}
    finals = sorted((one.final for one in tested), key=lambda final: (final.created, final.id))
    meant = {final.family: of_family(finals, final.family) for final in finals}
    of = {family: by_id[final.id] for family, final in meant.items() if final}
    for name in named:
        if name not in of:
            there = f"There: {', '.join(sorted(of))}."
            raise InputError(f"{name!r} has no final on {dataset}.{did_you_mean(name, of)} {there}")
    if named:
        return of[named[0]], of[named[1]]
    if len(tested) < 2:
        return None
    baseline = of.get(DEFAULT_BASELINE, tested[1])
    return tested[0], tested[1] if baseline is tested[0] else baseline


def _draw(options: argparse.Namespace, document: dict[str, Any], sealed: Sealed | None) -> None:
    """Write the gallery; the images come from the holdout's side, which notes that they were shown."""
    from bench.files import write_atomic
    from bench.holdout.gallery import images
    from dashboards.gallery import Section, gallery

    if sealed is None:
        raise RecordError("The sealed test images are gone from this home, so that none can be drawn.")
    found = [(heading, rows[:MOST_DRAWN]) for heading, rows in _sections(document)]
    wanted = [row["image"] for _, rows in found for row in rows]
    pictures = images(options.home, sealed, wanted) if wanted else []
    sections, begun = [], 0
    for heading, rows in found:
        captions = [(f"#{row['image']}: {row['name']}", _said(row, document)) for row in rows]
        sections.append(Section(heading, pictures[begun : begun + len(rows)], captions))
        begun += len(rows)
    drawn = gallery(f"{document['dataset']}: mistakes on {document['test_images']:,} test images", sections)
    write_atomic(options.output, lambda file: file.write(drawn))


def _sections(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """(heading, rows) of what is drawn; a heading says how many there are, drawn or not."""
    found = [
        ("No family gets right", document["unsolved"]),
        ("Likely label errors", document["likely_label_errors"]),
    ]
    pair = document["against"]
    if pair:
        found.append((f"Fixed by {pair['family']} against {pair['other']}", pair["images_fixed"]))
        found.append((f"Newly broken by {pair['family']}", pair["images_broken"]))
    return [(f"{heading}: {len(rows)}", rows) for heading, rows in found]


def _said(row: dict[str, Any], document: dict[str, Any]) -> str:
    if "said_name" in row:
        return f"said {row['said_name']}, {100 * row['probability']:.0f} %"
    mine, theirs = document["against"]["models"]
    return f"{row['right']}/{mine}, was {row['other_right']}/{theirs}"
