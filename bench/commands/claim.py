"""Does a sentence about two families hold? Supported, not resolved, or contradicted by the stored results.

What can be said:

  A is better than B
  A halves the error of B
  A reduces the error of B by 40 %              read as by 35 to 45 %
  A reduces the error of B by at least 40 %
  A and B are equivalent                        within 0.1 points
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, dataset_name, print_json, waiting
from bench.commands.options import add_dataset
from bench.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.commands.parser import Parser
    from bench.records import Final

STYLES = {"supported": "bold green", "not resolved": "bold yellow", "contradicted": "bold red"}
EXAMPLES = """
  bench claim "cnn halves the error of mlp"
  bench claim "mlp_dropout is better than mlp" --dataset digits --json
"""


def arguments(claim: Parser) -> None:
    claim.add_argument("words", nargs="+", metavar="SENTENCE", help="about two families that have a final")
    add_dataset(claim)


def run(options: argparse.Namespace) -> None:
    with waiting(options, "comparing the families"):
        document = _document(options)
    if options.json:
        print_json(document)
    else:
        _print(document)


def _document(options: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import asdict

    from bench import duels, ranking, results
    from bench.statements import judge, parse
    from bench.verdicts import Duels

    statement, dataset = parse(" ".join(options.words)), dataset_name(options)
    sound, wrong = results.sound(options.home, dataset)
    rows, notes = ranking.contenders(sound)
    a, b = (_final(rows, name, dataset) for name in (statement.a, statement.b))
    judged = judge(statement, a, b, Duels(duels.complete(options.home, dataset, sound)))
    return {
        "schema": 1,
        "claim": " ".join(options.words),
        "dataset": dataset,
        "read_as": asdict(statement),
        **asdict(judged),
        "finals": [_described(options, final) for final in (a, b)],
        "notes": [*(f"Left out: {why}" for why in wrong), *notes],
    }


def _final(rows: Sequence[Final], name: str, dataset: str) -> Final:
    from bench.ranking import of_family

    found = of_family(rows, name)
    if found is None:
        there = sorted({final.family for final in rows})
        raise InputError(
            f"{name!r} has no final on {dataset}.{did_you_mean(name, there)} There: {', '.join(there) or 'none'}. "
            f"Next: bench search {name}."
        )
    return found


def _described(options: argparse.Namespace, final: Final) -> dict[str, Any]:
    from bench import results

    folder = results.folder(options.home, final.dataset, final.family, final.id)
    return {
        "family": final.family,
        "study": final.study,
        "seeds": len(final.seeds),
        "test_images": final.test_images,
        "manifest": str(folder / "manifest.json"),
        "manifest_sha256": final.manifest_sha256,
    }


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from bench.terminal.sparkline import one_line

    out, verdict = console(), document["verdict"]
    out.print(Text.assemble((verdict, STYLES[verdict]), f": {one_line(document['claim'])}"))
    out.print(Text(one_line(document["why"])))
    out.print(Text.assemble("What holds: ", (one_line(document["strongest"]), "bold")))
    for final in document["finals"]:
        where = f"{final['manifest']} (SHA-256 {final['manifest_sha256'][:12]})"
        out.print(Text(one_line(f"{final['family']}: {final['seeds']} seeds, {where}"), "dim"))
    for note in document["notes"]:
        out.print(Text(one_line(note), "dim"))
