"""The three models of the notebook that bench grew out of, beside its figures.

A model is a study of its own: one run on train, judged on validation after
every epoch, then the final. Where a run was lost to a kill, the same command
runs it again. The arithmetic is float32 unless asked otherwise, as the
notebook's was: what is compared with its figures shall differ from it in
nothing that can be helped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, print_json, waiting
from bench.commands.options import add_dataset, add_seeds, add_storage, add_workers, whole
from bench.commands.running import asked
from bench.errors import Interrupted, NoTrialSucceeded, RecordError
from bench.options import HARMLESS

if TYPE_CHECKING:
    from bench.chain import Session
    from bench.data.sealed import Sealed
    from bench.family import Family
    from bench.leases import Leases
    from bench.notebook import Model
    from bench.records import Trial
    from bench.reproduction import Reproduced
    from bench.study import Outcome
    from bench.terminal.screen import Screen
    from bench.workers.stop import StopSignal

EXAMPLES = """
  bench reproduce                         on MNIST, five seeds a model
  bench reproduce --dataset digits --seeds 2
"""

PRECISION = "float32"
LOST = ("killed", "crashed", "hung")  # the machine's faults; a run that ended so is made up for


def arguments(reproduce: argparse.ArgumentParser) -> None:
    add_dataset(reproduce)
    reproduce.add_argument(
        "--study", metavar="NAME", help="studies are <NAME>-<family>; default: <dataset>-<family>-notebook"
    )
    add_storage(reproduce)
    add_seeds(reproduce)
    reproduce.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), help=f"default: {PRECISION}, as the notebook"
    )
    reproduce.add_argument("--seed", type=whole, metavar="S", help="the studies' seed (0)")
    reproduce.add_argument(
        "--accept", action="append", default=[], choices=HARMLESS, help="go on although these differ from the studies'"
    )
    add_workers(reproduce)


def run(options: argparse.Namespace) -> None:
    from bench.chain import Session
    from bench.family import load
    from bench.notebook import MODELS, check_reference
    from bench.terminal.screen import open_screen
    from bench.workers.stop import StopSignal

    families = [load(model.family) for model in MODELS]
    for model, family in zip(MODELS, families, strict=True):
        check_reference(model, family)
    with StopSignal() as stop:
        session = Session(asked(options), stop)
        try:
            with open_screen(session.console, quiet=options.quiet) as screen:
                pairs = zip(MODELS, families, strict=True)
                found = [_reproduce(session, model, family, screen, stop) for model, family in pairs]
        finally:
            session.close()
    with waiting(options, "comparing with the notebook"):
        shown = _document(session.sealed, found)
    _show(shown, options.json)


def _document(sealed: Sealed, found: list[Reproduced]) -> dict[str, Any]:
    from bench.reproduction import document

    comparable = sealed.name == "mnist" and sealed.source["kind"] != "file"
    return document(sealed.name, comparable, found)


def _show(shown: dict[str, Any], as_json: bool) -> None:
    from bench.terminal.reproduction import reproduction

    if as_json:
        print_json(shown)
    else:
        out = console()
        out.print(reproduction(shown, out.width, ascii_only=not out.encoding.lower().startswith("utf")))


def _reproduce(session: Session, model: Model, family: Family, screen: Screen, stop: StopSignal) -> Reproduced:
    from bench import results
    from bench.finals import final
    from bench.holding import hold, still_testing
    from bench.holdout import ledger
    from bench.reproduction import Reproduced

    home, seeds = session.home, session.options.seeds
    named = session.options.study
    study = f"{named}-{family.name}" if named else f"{session.sealed.name}-{family.name}-notebook"
    with hold(session.store, home, study) as leases:
        outcome = _trained(session, study, model, family, screen, stop, leases)
        check = partial(still_testing, session.store, study, leases, join=False)
        given = (outcome, family, session.sealed, home, seeds, session.pool, screen, lambda: stop.asked)
        stored = final(*given, still_ours=check)
    assert outcome.best is not None
    said = results.read_predictions(home, stored)
    if said.labels is None:
        raise RecordError(
            f"The final of {study!r} was stored by an earlier version, without the labels of its images. Make it anew "
            "under another name: --study NAME."
        )
    predicted = said.probabilities.argmax(axis=2)
    looks = ledger.looks(home, stored.data_checksum, family.name)
    return Reproduced(model, outcome.settings["precision"], outcome.best, stored, predicted, said.labels, looks)


def _trained(
    session: Session, study: str, model: Model, family: Family, screen: Screen, stop: StopSignal, leases: Leases
) -> Outcome:
    """The study with its one complete trial, made if it is not there.

    Raises:
        Interrupted: a stop came first.
        NoTrialSucceeded: the run failed for a reason that it would fail for again.
    """
    from bench.chain import search_on_screen
    from bench.records import NOTEBOOK
    from bench.request import Request
    from bench.space import Fixed, SearchSpace

    options = session.options
    made = session.store.settings(study) is not None
    stored = session.store.trials(study) if made else []
    only = SearchSpace({name: Fixed(value) for name, value in model.config.items()})
    request = Request(
        study,
        replace(family, space=only),
        "optuna",
        target=1 + sum(_lost(trial) for trial in stored),
        sampler="random",  # of a space with one point
        pruner="none",
        seed=options.seed,
        precision=options.precision or (None if made else PRECISION),
        accept=tuple(options.accept),
        purpose=NOTEBOOK,
        every_epoch=True,
    )
    outcome = search_on_screen(session, request, screen, stop, leases)
    if not outcome.reached:
        raise Interrupted(f"Stopped before {study!r} was done; the same command continues.")
    if outcome.best is None:
        reasons = "; ".join(f"{trial.reason}: {trial.detail}" for trial in outcome.trials)
        raise NoTrialSucceeded(f"{study!r} did not complete ({reasons}). Begin others with --study NAME.")
    return outcome


def _lost(trial: Trial) -> bool:
    """The run ended by no fault of its own, or was under way in as many processes as one may be."""
    from bench.engines.local import ATTEMPTS

    if trial.state == "running":
        return trial.attempts >= ATTEMPTS
    return trial.state == "failed" and trial.reason in LOST
