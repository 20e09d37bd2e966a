"""What `bench search`, `bench final` and Python share: the chain seal > search > final over one or more families."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench import disk
from bench.data.catalog import source_of
from bench.errors import FrozenStudy, Interrupted, UsageError
from bench.family import Family, discover, load
from bench.inert import inert
from bench.options import Options

if TYPE_CHECKING:
    from bench.boards import Standing
    from bench.data.sealed import Sealed
    from bench.leases import Leases
    from bench.records import Event, Final, Subscriber
    from bench.request import Request
    from bench.store import Store
    from bench.study import Outcome
    from bench.terminal.screen import Screen
    from bench.workers.pool import Pool
    from bench.workers.stop import StopSignal


@dataclass(frozen=True)
class Searched:
    """What the chain found for one family; `final` and where it stands are None without a final."""

    family: Family
    sealed: Sealed
    outcome: Outcome
    final: Final | None
    standing: Standing | None = None


class Session:
    """What the families of one command share: the sealed data, the storage, one warm pool, each made when needed."""

    def __init__(self, options: Options, stop: StopSignal) -> None:
        from rich.console import Console

        from bench.terminal.waiting import Waiting

        self.options = options
        self.home = options.home
        # A notebook shows what is written to stderr as if it were an error.
        self.console = Console(stderr=not Console().is_jupyter)
        _check_writable(self.home)
        if options.dataset:
            source_of(options.dataset, options.data_dir)  # a name that is wrong is said at once
        disk.wait_for_room(self.home, self.say, lambda: stop.asked)
        with Waiting(f"looking for {options.dataset or 'mnist'}", quiet=options.quiet, console=self.console) as wait:
            from bench.holdout.seal import ensure
            from bench.store import Store

            self.sealed: Sealed = ensure(self.home, options.dataset, options.data_dir, self.say, wait.step)
            wait.step("opening the storage")
            self.store: Store = Store(self.home, options.storage)
        self._pool: Pool | None = None

    def say(self, line: str) -> None:
        if not self.options.quiet:
            print(inert(line), file=self.console.file, flush=True)

    def pool(self) -> Pool:
        from bench.data.catalog import copies_of
        from bench.workers.devices import places
        from bench.workers.pool import Pool

        if self._pool is None:
            own = self.options.resources
            if own.ray_address is not None:
                own = replace(own, workers=None, gpus=None)  # what is asked for is asked of the cluster
            where = places(own.workers, own.gpus, own.per_gpu)
            # A link and what it leads to: either may be gone by now.
            sources = [Path(found) for name in ("path", "target") if (found := self.sealed.source.get(name))]
            # The source, and the copies that a habit would find: keras.datasets.mnist.load_data(), load_digits().
            copies = [*sources, *copies_of(self.sealed.name, self.options.data_dir)]
            # Other sealed sets may hold the same images; what fsck set aside is sealed still.
            sealed = [self.sealed.test_path, *sorted((self.home / "cache").glob("*/test.npz"))]
            forbidden = [*sealed, self.home / "results", self.home / "quarantine", *copies]
            self._pool = Pool(where, self.sealed.folder, forbidden, self.home / "logs")
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self.store.close()

    def study_name(self, family: Family) -> str:
        engine = self.options.engine
        suffix = "" if engine == "optuna" else f"-{engine}"
        return str(self.options.study or f"{self.sealed.name}-{family.name}{suffix}")


def run_families(options: Options, families: Sequence[Family], search_first: bool) -> list[Searched]:
    """Search each family, then its final; or the final alone.

    From the main thread, the first Ctrl-C or SIGTERM stops cleanly and the second at once.

    Raises:
        Interrupted: a stop came before the target; what is finished is saved.
        BenchError: see `bench.study.search` and `bench.finals.final`.
    """
    from bench.boards import standing
    from bench.terminal.screen import open_screen
    from bench.workers.stop import StopSignal

    check_asked(options, families)
    with StopSignal() as stop:
        session = Session(options, stop)
        try:
            with open_screen(session.console, quiet=options.quiet) as screen:
                found = [_run_one(session, family, search_first, screen, stop) for family in families]
            # Not before the last: each new final changes the ranks of those before it.
            return [replace(one, standing=standing(options.home, one.final)) if one.final else one for one in found]
        finally:
            session.close()


def check_asked(options: Options, families: Sequence[Family]) -> None:
    """Raise UsageError where these families cannot be run with these options."""
    from bench.references import check

    if options.study and len(families) > 1:
        raise UsageError(f"--study names one study, but {len(families)} families were given; search them one by one.")
    if options.with_reference:
        check(families)


def _run_one(session: Session, family: Family, search_first: bool, screen: Screen, stop: StopSignal) -> Searched:
    from bench.elsewhere import final_by_one
    from bench.finals import final
    from bench.holding import hold, still_testing
    from bench.request import accept
    from bench.study import outcome

    options, study = session.options, session.study_name(family)
    with hold(session.store, session.home, study, options.join) as leases:
        if search_first:
            found = search_on_screen(session, request_of(options, family, study), screen, stop, leases)
            if found.exhausted:
                screen.message(f"The space holds no more than {found.finished} configurations; {study!r} is done.")
        else:
            found = outcome(session.store, study)
            check_searched(family, session.sealed, found)
            # Versions matter only where something is left to search; a final's manifest names its own.
            accepted = {"source"} & {*options.accept}
            found = replace(found, settings=accept(study, family, accepted, dict(found.settings), session.store))
        stored: Final | None = None
        if not (search_first and options.no_final) and found.reached:
            given = (found, family, session.sealed, session.home, options.seeds, session.pool, screen)
            still_ours = partial(still_testing, session.store, study, leases, options.join)

            def run(before_the_look: Callable[[], None]) -> Final:
                return final(*given, lambda: stop.asked, options.with_reference, before_the_look)

            stored = final_by_one(
                session.store,
                session.home,
                session.sealed.name,
                found,
                options.seeds,
                leases if options.join else None,
                still_ours,
                run,
                screen.message,
                lambda: stop.asked,
            )
    if stop.asked and not found.reached:
        raise Interrupted(
            f"Stopped with {found.finished} finished trials of {study!r} saved; the same command continues."
        )
    return Searched(family, session.sealed, found, stored)


def request_of(options: Options, family: Family, study: str) -> Request:
    """What the command line, or Python, asks of a search of this family."""
    from bench.request import Request

    return Request(
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
        join=options.join,
        resources=options.resources,
    )


class Limit(Protocol):
    """Hears what happens, and says when a search has used up what it may."""

    def __call__(self, event: Event) -> None: ...

    @property
    def used_up(self) -> bool: ...

    @property
    def share(self) -> float:
        """How much of it is used, 0 to 1."""
        ...


def search_on_screen(
    session: Session,
    request: Request,
    screen: Screen,
    stop: StopSignal,
    leases: Leases,
    title: str = "",
    limit: Limit | None = None,
) -> Outcome:
    """Args:
    title: what the screen calls it; the family and the data set where left out.
    limit: ends the search before its target, as a clean stop would.
    """
    from bench.study import search
    from bench.terminal.board import Beginning

    def enough() -> bool:
        return stop.asked or (limit is not None and limit.used_up)

    def pool() -> Pool:
        started = session.pool()
        stored = session.store.trials(request.study) if session.store.settings(request.study) else []
        finished = [trial for trial in stored if trial.state != "running"]
        shown = title or f"{request.family.name} on {session.sealed.name}"
        share = None if limit is None else lambda: limit.share
        screen.begin_search(Beginning(shown, request.target, finished, len(started), request.seconds, share))
        return started

    room = partial(disk.wait_for_room, session.home, screen.message, lambda: stop.asked)
    hear: list[Subscriber] = [screen] if limit is None else [screen, limit]
    return search(request, session.sealed, session.store, pool, hear, enough, room, leases, screen.message)


def check_searched(family: Family, sealed: Sealed, found: Outcome) -> None:
    """A final takes the configuration from the study; only `build` comes from the family.

    Raises:
        UsageError: the study is another family's, or was made to compare engines.
        FrozenStudy: `build` or the data are not what was searched.
    """
    from bench import frozen
    from bench.records import COMPARISON

    if found.settings.get("purpose") == COMPARISON:
        raise UsageError(
            f"Study {found.study!r} is one of those that `bench compare-engines` compares, which come to no final. "
            f"Search for a winner: bench search {family.name}."
        )
    if family.name != found.settings["family"]:
        raise UsageError(f"Study {found.study!r} searched {found.settings['family']!r}, not {family.name!r}.")
    frozen.check(found.study, found.settings, {"build": frozen.build_of(family)})
    for name, now in (("data_checksum", sealed.checksum), ("split_fingerprint", sealed.split_fingerprint)):
        if found.settings[name] != now:
            raise FrozenStudy(
                f"Study {found.study!r} searched other data: its {name} was {found.settings[name][:12]}, that of "
                f"{sealed.name!r} is {now[:12]}. Restore the data, or search anew with --study NAME."
            )


def load_families(
    given: Iterable[str | Family], fixed: Mapping[str, object] | None = None, ranges: Mapping[str, object] | None = None
) -> list[Family]:
    """The families of these names and paths (or 'all'), and these as they are, on the space that is asked for.

    Args:
        fixed, ranges: as `SearchSpace.override` takes them.

    Raises:
        UsageError: two of them have one name.
        UnknownFamily, FamilyError, SpaceError: as `bench.family.load` and `SearchSpace.override`.
    """
    named = list(given)
    if named == ["all"]:
        named = [*sorted(discover())]
    once = [one for place, one in enumerate(named) if one not in named[:place]]
    loaded = [one if isinstance(one, Family) else load(one) for one in once]
    twice = [family.name for family in loaded if sum(other.name == family.name for other in loaded) > 1]
    if twice:
        raise UsageError(f"Two families are named {twice[0]!r}, and they would share one study; rename one.")
    if fixed or ranges:
        loaded = [family.overridden(family.space.override(fixed, ranges)) for family in loaded]
    return loaded


def document(found: Outcome, standing: Standing | None) -> dict[str, Any]:
    """One family's search as `bench search --json` prints it.

    Args:
        standing: of its final, or None without one.
    """
    best = found.best
    return {
        "schema": 1,
        "study": found.study,
        "family": found.settings["family"],
        "dataset": found.settings["dataset"],
        "engine": found.settings["engine"],
        "trials": {
            "total": found.finished,
            **{state: found.count(state) for state in ("complete", "pruned", "failed")},
        },
        "best": best and {"number": best.number, "val_accuracy": best.val_accuracy, "params": dict(best.params)},
        "seconds": found.seconds,
        "final": standing and standing.row,
        "newer_final": standing and standing.newer and {"id": standing.newer.id, "seeds": len(standing.newer.seeds)},
    }


def _check_writable(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
        writable = os.access(home, os.W_OK)
    except OSError as error:
        raise UsageError(f"The home {home} cannot be made: {error.strerror}. Give another with --home DIR.") from None
    if not writable:
        raise UsageError(f"The home {home} is not writable. Give another with --home DIR or $BENCH_HOME.")
