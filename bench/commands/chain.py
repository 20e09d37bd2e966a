"""What `bench search` and `bench final` share: the chain seal > search > final over one or more families."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import disk
from bench.commands.common import console, print_json, say, waiting
from bench.errors import FrozenStudy, Interrupted, UsageError

if TYPE_CHECKING:
    from bench.data.sealed import Sealed
    from bench.family import Family
    from bench.records import Final
    from bench.store import Store
    from bench.study import Outcome
    from bench.terminal.screen import Screen
    from bench.workers.pool import Pool
    from bench.workers.stop import StopSignal


class Session:
    """What the families of one command share: the sealed data, the storage, one warm pool, each made when needed."""

    def __init__(self, options: argparse.Namespace, stop: StopSignal) -> None:
        from rich.console import Console

        from bench.data.catalog import source_of

        self.options = options
        self.home: Path = options.home
        _check_writable(self.home)
        if options.dataset:
            source_of(options.dataset, options.data_dir)  # a name that is wrong is said at once
        disk.wait_for_room(self.home, say, lambda: stop.asked)
        with waiting(options, f"looking for {options.dataset or 'mnist'}") as wait:
            from bench.holdout.seal import ensure
            from bench.store import Store

            self.sealed: Sealed = ensure(self.home, options.dataset, options.data_dir, say, wait.step)
            wait.step("opening the storage")
            self.store: Store = Store(self.home, options.storage)
        self.console = Console(stderr=True)
        self._pool: Pool | None = None

    def pool(self) -> Pool:
        from bench.workers.devices import places
        from bench.workers.pool import Pool

        if self._pool is None:
            where = places(self.options.workers, self.options.gpus, self.options.per_gpu)
            source = self.sealed.source.get("path")
            forbidden = [self.sealed.test_path, self.home / "results", *([Path(source)] if source else [])]
            self._pool = Pool(where, self.sealed.folder, forbidden, self.home / "logs")
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self.store.close()

    def study_name(self, family: Family) -> str:
        engine = getattr(self.options, "engine", "optuna")
        suffix = "" if engine == "optuna" else f"-{engine}"
        return str(self.options.study or f"{self.sealed.name}-{family.name}{suffix}")


def run_families(options: argparse.Namespace, families: list[Family], search_first: bool) -> None:
    from bench.terminal.screen import open_screen
    from bench.workers.stop import StopSignal

    if options.study and len(families) > 1:
        raise UsageError(f"--study names one study, but {len(families)} families were given; search them one by one.")
    with StopSignal() as stop:
        session = Session(options, stop)
        try:
            with open_screen(session.console, quiet=options.quiet) as screen:
                documents = [_run_one(session, family, search_first, screen, stop) for family in families]
        finally:
            session.close()
    if options.json:
        print_json(documents[0] if len(documents) == 1 else {"schema": 1, "searches": documents})
    else:
        _print_summary(documents)


def _run_one(session: Session, family: Family, search_first: bool, screen: Screen, stop: StopSignal) -> dict[str, Any]:
    from bench import lock
    from bench.finals import final
    from bench.study import outcome

    options, study = session.options, session.study_name(family)
    with lock.hold(session.home, study):
        if search_first:
            found = _search(session, family, study, screen, stop)
        else:
            found = outcome(session.store, study)
            _check_searched(family, session.sealed, found)
        stored: Final | None = None
        if not (search_first and options.no_final) and found.reached:
            stored = final(
                found, family, session.sealed, session.home, options.seeds, session.pool, screen, lambda: stop.asked
            )
    if stop.asked and not found.reached:
        raise Interrupted(
            f"Stopped with {found.finished} finished trials of {study!r} saved; the same command continues."
        )
    return _search_document(session, family, found, stored)


def _search(session: Session, family: Family, study: str, screen: Screen, stop: StopSignal) -> Outcome:
    from bench.study import Request, search

    options = session.options
    request = Request(
        study,
        family,
        options.engine,
        options.trials,
        options.sampler,
        options.pruner,
        options.seed,
        options.precision,
        options.timeout,
        options.trial_timeout,
        tuple(options.accept),
    )

    def pool() -> Pool:
        started = session.pool()
        stored = session.store.trials(study) if session.store.settings(study) else []
        finished = [trial for trial in stored if trial.state != "running"]
        title = f"{family.name} on {session.sealed.name}"
        screen.begin_search(title, options.trials, finished, len(started), options.timeout)
        return started

    room = partial(disk.wait_for_room, session.home, screen.message, lambda: stop.asked)
    return search(request, session.sealed, session.store, pool, [screen], lambda: stop.asked, room)


def _check_searched(family: Family, sealed: Sealed, found: Outcome) -> None:
    """`bench final` takes the configuration from the study; only `build` comes from the family's file."""
    if family.name != found.settings["family"]:
        raise UsageError(f"Study {found.study!r} searched {found.settings['family']!r}, not {family.name!r}.")
    for name, now in (("data_checksum", sealed.checksum), ("split_fingerprint", sealed.split_fingerprint)):
        if found.settings[name] != now:
            raise FrozenStudy(
                f"Study {found.study!r} searched other data: its {name} was {found.settings[name][:12]}, that of "
                f"{sealed.name!r} is {now[:12]}. Restore the data, or search anew with --study NAME."
            )


def load_families(options: argparse.Namespace) -> list[Family]:
    from bench.family import discover, load

    names = sorted(discover()) if options.families == ["all"] else list(dict.fromkeys(options.families))
    loaded = [load(name) for name in names]
    fixed, ranges = dict(getattr(options, "fixed", [])), dict(getattr(options, "ranges", []))
    if fixed or ranges:
        loaded = [family.overridden(family.space.override(fixed, ranges)) for family in loaded]
    return loaded


def _search_document(session: Session, family: Family, found: Outcome, stored: Final | None) -> dict[str, Any]:
    best = found.best
    return {
        "schema": 1,
        "study": found.study,
        "family": family.name,
        "dataset": session.sealed.name,
        "engine": found.settings["engine"],
        "trials": {
            "total": found.finished,
            **{state: found.count(state) for state in ("complete", "pruned", "failed")},
        },
        "best": best and {"number": best.number, "val_accuracy": best.val_accuracy, "params": dict(best.params)},
        "seconds": found.seconds,
        "final": _row_of(session, stored) if stored else None,
    }


def _row_of(session: Session, stored: Final) -> dict[str, Any] | None:
    from bench.commands.boards import make_board
    from bench.formats import to_json

    rows = to_json(make_board(session.home, session.sealed.name, None))["rows"]
    return next((row for row in rows if row["study"] == stored.study and row["family"] == stored.family), None)


def _print_summary(documents: list[dict[str, Any]]) -> None:
    from bench.terminal.summary import summary

    out = console()
    for document in documents:
        out.print(summary(document))


def _check_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError as error:
        raise UsageError(f"The home {home} cannot be made: {error.strerror}. Give another with --home DIR.") from None
    if not writable:
        raise UsageError(f"The home {home} is not writable. Give another with --home DIR or $BENCH_HOME.")
