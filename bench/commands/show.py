"""One study in full: its best configuration, mistakes, importances, curves, and where the time went."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING, Any

from bench.commands.common import check_family, console, print_json, study_of, waiting
from bench.commands.options import add_study, whole

if TYPE_CHECKING:
    from bench.portrait import Examined
    from bench.study import Outcome

EXAMPLES = """
  bench show cnn                        the final's winner, else the best trial
  bench show cnn --trial 12 --timing    one trial; where the time went
  bench show cnn --dataset digits --json
"""


def arguments(show: argparse.ArgumentParser) -> None:
    show.add_argument("family", metavar="FAMILY", help="a name, or a path of a family file")
    add_study(show)
    show.add_argument(
        "--trial", type=whole, metavar="N", help="this trial (default: the final's winner, else the best)"
    )
    show.add_argument("--timing", action="store_true", help="where the time of the search went")


def run(options: argparse.Namespace) -> None:
    from bench.terminal.portrait import draw

    with waiting(options, "reading the study"):
        document = _document(options)
    if options.json:
        print_json(document)
    else:
        out = console()
        out.print(draw(document, out.width, timing=options.timing, ascii_only=not out.encoding.startswith("utf")))


def _document(options: argparse.Namespace) -> dict[str, Any]:
    from bench import sessions
    from bench.data.sealed import sealed_in
    from bench.portrait import Searched, portrait
    from bench.store import Store
    from bench.study import outcome

    with closing(Store(options.home, options.storage, make=False)) as store:
        name, family = study_of(options, store)
        found = outcome(store, name)
        known = sessions.of(store, name)
    settings = found.settings
    check_family(found, family)
    data = [sealed for sealed in sealed_in(options.home) if sealed.checksum == settings["data_checksum"]]
    study = Searched(name, settings, found.trials, found.seconds, known, data[0] if data else None)
    return portrait(study, _tested(options, found), options.trial, options.family)


def _tested(options: argparse.Namespace, found: Outcome) -> Examined | None:
    """The study's newest final."""
    from bench import results
    from bench.portrait import Examined

    home, settings = options.home, found.settings
    stored = results.read_finals(home, settings["dataset"])
    finals = results.of_study(home, stored, found.study, settings, found.trials)
    if not finals:
        return None
    final = finals[-1]
    where = results.folder(home, final.dataset, final.family, final.id)
    return Examined(
        final,
        results.read_manifest(where),
        results.read_predictions(home, final),
        results.read_beside(where, "curves.json"),
        results.read_beside(where, "serving.json"),
    )
