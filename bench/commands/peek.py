"""What reporting the best of many looks would have pretended, from validation images alone.

A study's best configurations are trained again over fresh seeds and judged
after every epoch. One random half of the validation images chooses the best
look, the other half judges it: what it loses there is what choosing and
reporting on the same images pretends. No test image is read, and nothing is
added to the ledger.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, print_json, waiting
from bench.commands.options import add_accept, add_study, add_workers, positive
from bench.commands.running import asked

if TYPE_CHECKING:
    from bench.chain import Session
    from bench.commands.parser import Parser
    from bench.family import Family
    from bench.peeking import Seen
    from bench.study import Outcome
    from bench.workers.stop import StopSignal

SEEDS, CONFIGS = 3, 5
EXAMPLES = """
  bench peek cnn                          the best 5 configurations, 3 seeds
  bench peek mlp --configs 1 --seeds 5    the epoch alone, as the notebook did
"""


def arguments(peek: Parser) -> None:
    peek.add_argument("family", metavar="FAMILY", help="one that was searched: a name, or a path of a family file")
    add_study(peek)
    add_accept(peek)
    peek.add_argument("--configs", type=positive, default=CONFIGS, metavar="N", help=f"of the study's best ({CONFIGS})")
    peek.add_argument("--seeds", type=positive, default=SEEDS, metavar="K", help=f"runs of each of them ({SEEDS})")
    add_workers(peek)


def run(options: argparse.Namespace) -> None:
    from bench.chain import Session, load_families
    from bench.errors import UsageError
    from bench.peeking import document
    from bench.workers.stop import StopSignal

    family, *others = load_families([options.family])
    if others:
        raise UsageError("bench peek looks at one family at a time; name it.")
    with StopSignal() as stop:
        session = Session(asked(options), stop)
        try:
            outcome, found = _looked(session, family, options.configs, stop)
        finally:
            session.close()
    with waiting(options, "halving the validation images"):
        shown = document(outcome, session.sealed, found)
    _show(shown, options.json)


def _looked(session: Session, family: Family, configs: int, stop: StopSignal) -> tuple[Outcome, list[Seen]]:
    from dataclasses import replace

    from bench.chain import check_searched
    from bench.holding import hold
    from bench.peeking import peek
    from bench.request import accept
    from bench.study import outcome
    from bench.terminal.screen import open_screen

    options, study = session.options, session.study_name(family)
    with open_screen(session.console, quiet=options.quiet) as screen, hold(session.store, session.home, study):
        found = outcome(session.store, study)
        check_searched(family, session.sealed, found)
        accepted = {"source"} & {*options.accept}  # as with a final
        found = replace(found, settings=accept(study, family, accepted, dict(found.settings), session.store))
        given = (found, family, session.sealed, session.home, options.seeds, configs, session.pool, screen)
        return found, peek(*given, lambda: stop.asked)


def _show(shown: dict[str, Any], as_json: bool) -> None:
    from bench.terminal.peek import peek_table

    if as_json:
        print_json(shown)
    else:
        out = console()
        out.print(peek_table(shown, out.width))
