"""Compare engines, samplers and pruners on one family, at the same budget and seeds.

A pair is written ENGINE:SAMPLER/PRUNER. Each searches the family once a seed,
until it has used the budget: samples, counted in epochs over the training
images. The random search without pruning is always there, as the baseline.
Validation accuracies alone are compared; the test set stays sealed. Searches
are studies of their own, kept apart from those of `bench search`; the same
command again continues them, and a larger budget or more repeats adds to them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands.common import check_output, console, print_json, waiting
from bench.commands.options import (
    add_accept,
    add_dataset,
    add_space,
    add_storage,
    add_workers,
    positive,
    study_name,
    whole,
)
from bench.commands.running import asked
from bench.errors import BenchError, FrozenStudy, Interrupted, UsageError
from bench.options import ENGINES, PRECISIONS

if TYPE_CHECKING:
    from bench.chain import Session
    from bench.comparison import Pair, Searched
    from bench.family import Family
    from bench.records import Event, Trial
    from bench.terminal.screen import Screen
    from bench.workers.stop import StopSignal

EXAMPLES = """
  bench compare-engines mlp --dataset digits --budget 60 --repeats 3
  bench compare-engines cnn --pairs optuna:tpe/asha,optuna:tpe/none -o cnn.html
  bench compare-engines cnn --repeats 10   five more seeds; those there are kept
"""

REPEATS = 5
BUDGET = 200


def arguments(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("family", metavar="FAMILY", help="a name, or the path of a family file")
    add_dataset(compare)
    compare.add_argument(
        "--pairs",
        metavar="LIST",
        help=f"ENGINE:SAMPLER/PRUNER, with commas; engines: {', '.join(ENGINES)} (default: each as it comes)",
    )
    compare.add_argument("--budget", type=positive, default=BUDGET, metavar="N", help=f"epochs a search ({BUDGET})")
    compare.add_argument("--repeats", type=positive, default=REPEATS, metavar="K", help=f"seeds a pair ({REPEATS})")
    compare.add_argument("--seed", type=whole, default=0, metavar="S", help="the first seed (0)")
    compare.add_argument("--precision", choices=PRECISIONS, help="of all searches (auto: measured once)")
    add_space(compare)
    compare.add_argument(
        "--study", type=study_name, metavar="NAME", help="studies are NAME-<pair>-<seed>; default: <dataset>-<family>"
    )
    add_storage(compare)
    add_accept(compare)
    add_workers(compare)
    compare.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the curves as one HTML page")


def run(options: argparse.Namespace) -> None:
    from bench.chain import Session, load_families
    from bench.comparison import document
    from bench.terminal.screen import open_screen
    from bench.workers.stop import StopSignal

    pairs = _pairs(options.pairs)
    check_output(options.output)
    (family,) = load_families([options.family], dict(options.fixed), dict(options.ranges))
    _check(family, pairs, options.budget)
    with StopSignal() as stop:
        session = Session(asked(options), stop)
        try:
            with open_screen(session.console, quiet=options.quiet) as screen:
                found, precision = _compare(session, options, family, pairs, screen, stop)
        finally:
            session.close()
    sealed = session.sealed
    with waiting(options, "comparing the searches"):
        shown = document(sealed.name, family.name, sealed.n_train, options.budget * sealed.n_train, precision, found)
        if options.output is not None:
            _draw(shown, options.output)
    _show(shown, options)


def _pairs(text: str | None) -> list[Pair]:
    """Those asked for, the baseline first."""
    from bench.comparison import BASELINE, pair_of

    named = [*ENGINES] if text is None else [part for part in text.split(",") if part.strip()]
    return list(dict.fromkeys([BASELINE, *map(pair_of, named)]))


def _check(family: Family, pairs: list[Pair], budget: int) -> None:
    """What a pair cannot do is said before anything is searched.

    Raises:
        UsageError: an engine cannot do what is asked, or the budget ends before one trial might.
    """
    from bench.engines.assembly import check, longest_epochs

    longest = longest_epochs(family)
    if budget < longest:
        raise UsageError(
            f"--budget {budget}: one trial of {family.name} may train for {longest:g} epochs; give at least as many, "
            "or shorten the trials with --range epochs=LOW:HIGH."
        )
    for one in pairs:
        check(one.engine, family, one.sampler, one.pruner)


def _compare(
    session: Session,
    options: argparse.Namespace,
    family: Family,
    pairs: list[Pair],
    screen: Screen,
    stop: StopSignal,
) -> tuple[list[Searched], str]:
    """Every pair with every seed, and the precision that all have."""
    from bench.comparison import Searched

    stem = options.study or f"{session.sealed.name}-{family.name}"
    names = {
        (one, seed): f"{stem}-compare-{one.engine}-{one.sampler}-{one.pruner}-{seed}"
        for seed in range(options.seed, options.seed + options.repeats)
        for one in pairs
    }
    _check_rungs(session, [*names.values()], options.budget * session.sealed.n_train)
    precision = _precision(session, [*names.values()], options.precision)
    found = []
    for index, (one, seed) in enumerate(_in_turn(pairs, options)):
        study = names[one, seed]
        title = (
            f"search {index + 1} of {len(names)}: {family.name}, {one}, seed {seed}, {options.budget} epochs at most"
        )
        trials = _search(session, options, family, one, seed, study, precision, screen, stop, title)
        found.append(Searched(one, seed, study, trials))
    found.sort(key=lambda searched: (pairs.index(searched.pair), searched.seed))
    return found, precision


def _in_turn(pairs: list[Pair], options: argparse.Namespace) -> list[tuple[Pair, int]]:
    """Seed by seed; another pair begins each, so that none always meets the machine as the others left it."""
    turns = []
    for repeat in range(options.repeats):
        first = repeat % len(pairs)
        turns += [(one, options.seed + repeat) for one in pairs[first:] + pairs[:first]]
    return turns


def _check_rungs(session: Session, studies: list[str], budget: int) -> None:
    """A comparison of before can be read again, but nothing is added to it.

    Raises:
        FrozenStudy: rungs of some searches judge, or would judge, something else than those of others.
    """
    from bench.frozen import EARLIER, RUNGS

    store, others = session.store, {}
    for study in studies:
        settings = store.settings(study)
        judged = RUNGS if settings is None else settings.get("rungs", EARLIER["rungs"])
        if judged != RUNGS:
            others[study] = judged
    if others and (len(others) < len(studies) or any(Meter(store.trials(study), budget).left > 0 for study in others)):
        study, judged = next(iter(others.items()))
        raise FrozenStudy(
            f"Searches are compared only where their rungs judge the same: those of {study!r} judged {judged} "
            f"({len(others)} of {len(studies)} searches), one that trains now judges {RUNGS}. "
            "Search all of them anew with --study NAME."
        )


def _precision(session: Session, studies: list[str], asked_for: str | None) -> str:
    """One for all searches: what those that are there have, else what was asked for, else what is measured."""
    from bench.inquiry import measured_precision

    if asked_for in (None, "auto"):
        made = [settings["precision"] for study in studies if (settings := session.store.settings(study)) is not None]
        return str(made[0]) if made else measured_precision(session.pool())
    return str(asked_for)


def _search(
    session: Session,
    options: argparse.Namespace,
    family: Family,
    one: Pair,
    seed: int,
    study: str,
    precision: str,
    screen: Screen,
    stop: StopSignal,
    title: str,
) -> list[Trial]:
    """The trials of one search that has used its budget, as far as its space goes.

    Raises:
        Interrupted: a stop came first.
        NoTrialSucceeded: the budget is used and no trial is complete.
    """
    from bench.chain import search_on_screen
    from bench.holding import hold
    from bench.records import COMPARISON
    from bench.request import Request

    store, budget = session.store, options.budget * session.sealed.n_train
    with hold(session.store, session.home, study) as leases:
        while True:
            stored = store.trials(study) if store.settings(study) is not None else []
            meter = Meter(stored, budget)
            left = meter.left
            request = Request(
                study,
                family,
                one.engine,
                # As many as the budget allows at most; the meter ends the search before.
                meter.finished + max(math.ceil(meter.left / _least(session, family)), 0 if stored else 1),
                one.sampler,
                one.pruner,
                seed,
                precision,
                accept=tuple(options.accept),
                purpose=COMPARISON,
            )
            outcome = search_on_screen(session, request, screen, stop, leases, title, meter)
            if stop.asked and meter.left > 0:
                raise Interrupted(
                    f"Stopped with {outcome.finished} trials of {study!r} saved; the same command continues."
                )
            # A round in which no trial could train is not gone through again, nor one that found nothing to try.
            if meter.left <= 0 or meter.left == left or outcome.finished == meter.before:
                return list(outcome.trials)


def _least(session: Session, family: Family) -> int:
    """The fewest samples that a trial uses which does not fail."""
    from bench.engines.assembly import longest_epochs
    from bench.training.budget import rungs

    images = session.sealed.n_train
    return min([*rungs(images, longest_epochs(family)), images])


class Meter:
    """Counts what a search uses; a subscriber.

    Args:
        stored: its trials so far.
        budget: samples.
    """

    def __init__(self, stored: list[Trial], budget: int) -> None:
        from bench.comparison import used

        self.before = self.finished = sum(trial.state != "running" for trial in stored)
        self._budget, self._used = budget, {trial.number: used(trial) for trial in stored}

    def __call__(self, event: Event) -> None:
        from bench.records import Finished, Reported, Shelved

        if isinstance(event, (Finished, Shelved)):
            self.finished += isinstance(event, Finished)
            self._used[event.trial.number] = event.trial.samples
        elif isinstance(event, Reported):  # of one that is run again, the rungs that it passes again are not new
            self._used[event.number] = max(self._used.get(event.number, 0), event.samples)

    @property
    def left(self) -> int:
        return self._budget - sum(self._used.values())

    @property
    def used_up(self) -> bool:
        return self.left <= 0

    @property
    def share(self) -> float:
        return min(1 - self.left / self._budget, 1.0)


def _draw(shown: dict[str, Any], path: Path) -> None:
    from bench.files import write_atomic
    from dashboards.figures import comparison

    page: str = comparison(shown).to_html(include_plotlyjs=True, full_html=True)
    try:
        write_atomic(path, lambda file: file.write(page.encode()))
    except OSError as error:
        raise BenchError(f"-o {path}: {error.strerror}. The searches are stored; run the command again.") from None


def _show(shown: dict[str, Any], options: argparse.Namespace) -> None:
    from bench.terminal.comparison import comparison

    if options.json:
        print_json(shown)
    else:
        out = console()
        out.print(comparison(shown, out.width))
