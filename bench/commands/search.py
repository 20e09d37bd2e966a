"""Search one or more families, then confirm, retrain and test the winner."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, print_json, waiting
from bench.commands.options import (
    add_accept,
    add_ray_address,
    add_reference,
    add_seeds,
    add_space,
    add_study,
    add_workers,
    duration,
    positive,
    whole,
)
from bench.commands.running import asked, families_of, run_and_print
from bench.options import ENGINES, PRECISIONS

if TYPE_CHECKING:
    from bench.chain import Session
    from bench.family import Family
    from bench.terminal.waiting import Waiting

EXAMPLES = """
  bench search cnn --trials 50            search, retrain the winner, test once
  bench search all --dataset digits       every family, the same budget each
  bench search mlp --set depth=2 --range width=64:512
  bench search cnn --timeout 30m          stop after half an hour; resumable
  bench search cnn --dry-run              what would run, and for how long
  bench search cnn -q --json > cnn.json   nothing but the result
"""


def arguments(search: argparse.ArgumentParser) -> None:
    search.add_argument("families", nargs="+", metavar="FAMILY", help="a name, a path of a family file, or all")
    add_study(search)
    search.add_argument("--trials", type=positive, default=50, metavar="N", help="reach N finished trials (50)")
    search.add_argument("--engine", choices=ENGINES, default="optuna", help="who runs trials (optuna, on this machine)")
    for what in ("sampler", "pruner"):
        offered = {engine: getattr(offer, f"{what}s") for engine, offer in ENGINES.items()}
        every = dict.fromkeys(name for names in offered.values() for name in names)
        search.add_argument(f"--{what}", choices=every, metavar=what.upper(), help=_by_engine(offered))
    search.add_argument("--precision", choices=PRECISIONS, help="default: auto, by measurement")
    search.add_argument("--seed", type=whole, metavar="S", help="the study's seed (0)")
    add_space(search)
    search.add_argument("--timeout", type=duration, metavar="30m", help="stop the search after this long; resumable")
    search.add_argument("--trial-timeout", type=duration, metavar="5m", help="a longer trial has failed")
    search.add_argument(
        "--join", action="store_true", help="work on the study together with every other `bench search` that says so"
    )
    add_accept(search)
    add_workers(search)
    add_ray_address(search)
    add_seeds(search)
    add_reference(search)
    search.add_argument("--no-final", action="store_true", help="stop after the search; the test set stays sealed")
    search.add_argument(
        "--dry-run", action="store_true", help="say what would run and how long it would take, and run nothing"
    )


def _by_engine(offered: Mapping[str, Sequence[str]]) -> str:
    """What each engine offers; engines that offer the same are named together."""
    engines: dict[tuple[str, ...], list[str]] = {}
    for engine, names in offered.items():
        engines.setdefault(tuple(names), []).append(engine)
    parts = [f"{', '.join(names)} (default: {names[0]})" for names in engines]
    if len(parts) == 1:
        return parts[0]
    return "; ".join(f"{', '.join(who)}: {part}" for who, part in zip(engines.values(), parts, strict=True))


def run(options: argparse.Namespace) -> None:
    families = families_of(options)
    if options.dry_run:
        _dry_run(options, families)
    else:
        run_and_print(options, families, search_first=True)


def _dry_run(options: argparse.Namespace, families: list[Family]) -> None:
    """Measures in a worker, and writes nothing to the storage."""
    from bench.chain import Session, check_asked
    from bench.terminal.plan import plan_lines
    from bench.workers.stop import StopSignal

    given = asked(options)
    check_asked(given, families)
    session = Session(given, StopSignal())  # not entered: there is nothing to save, so that Ctrl-C ends it at once
    try:
        with waiting(options, "starting the workers") as wait:
            plans = [_plan(options, session, family, wait) for family in families]
    finally:
        session.close()
    if options.json:
        print_json(plans[0] if len(plans) == 1 else {"schema": 1, "plans": plans})
        return
    for plan in plans:
        console().print(plan_lines(plan))


def _plan(options: argparse.Namespace, session: Session, family: Family, wait: Waiting) -> dict[str, Any]:
    from bench import frozen
    from bench.chain import request_of
    from bench.estimate import estimate
    from bench.inquiry import measured_precision
    from bench.request import checked, steers

    sealed, study = session.sealed, session.study_name(family)
    request = request_of(session.options, family, study)
    settings = checked(request, sealed, session.store)
    done = len([t for t in session.store.trials(study) if t.state != "running"]) if settings else 0
    left = max(options.trials - done, 0)
    if settings and left:
        frozen.check(study, settings, steers(request, settings), request.accept)
    wait.step(f"measuring the smallest and the largest {family.name}")
    precision = settings["precision"] if settings else options.precision or "auto"
    if precision == "auto":
        precision = measured_precision(session.pool())
    offer = ENGINES[options.engine]
    pruner = settings["pruner"] if settings else offer.pruner(options.sampler, options.pruner)
    seeds = 0 if options.no_final else options.seeds
    runs = 2 * seeds if options.with_reference else seeds
    found = estimate(family, sealed, session.pool(), precision, left, runs, pruner)
    return {
        "schema": 1,
        "study": study,
        "family": family.name,
        "exists": settings is not None,
        "trials": {"target": options.trials, "finished": done, "left": left},
        "seeds": seeds,
        "dataset": sealed.name,
        "data_checksum": sealed.checksum,
        "split_fingerprint": sealed.split_fingerprint,
        "images": {"train": sealed.n_train, "validation": sealed.n_validation, "test": sealed.n_test},
        "workers": len(session.pool()),
        "device": session.pool().device_of(0),
        "frozen": {
            "sampler": settings["sampler"] if settings else offer.sampler(options.sampler),
            "pruner": pruner,
            "precision": precision,
            "seed": settings["seed"] if settings else options.seed or 0,
        },
        "space": family.space.describe(),
        "reference": dict(family.reference) if family.reference else None,
        **found.to_json(),
    }
