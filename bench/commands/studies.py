"""Every study in this home; `bench studies rm NAME` deletes one with its files."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.commands.common import console, print_json, say
from bench.commands.options import add_storage
from bench.errors import RecordError, StudyLocked, UsageError, did_you_mean
from bench.inert import one_line

if TYPE_CHECKING:
    from bench.records import Final
    from bench.store import Store


EXAMPLES = """
  bench studies                           what was searched, and how it stands
  bench studies rm mnist-cnn              trials and results too; asks first
  bench studies rm mnist-cnn digits-mlp --yes
"""


def arguments(studies: argparse.ArgumentParser) -> None:
    studies.add_argument("action", nargs="?", choices=("rm",), help="rm: delete studies, their trials and results")
    studies.add_argument("names", nargs="*", metavar="NAME", help="what to delete")
    studies.add_argument("--yes", action="store_true", help="delete without asking")
    add_storage(studies)


def run(options: argparse.Namespace) -> None:
    from contextlib import closing

    from bench.store import Store

    with closing(Store(options.home, options.storage, make=False)) as store:
        if options.action == "rm":
            _remove(options, store)
        else:
            _list(options, store)


def _list(options: argparse.Namespace, store: Store) -> None:
    from bench import results
    from bench.study import outcome
    from bench.terminal.tables import studies_table

    if not options.home.exists() and options.storage is None:
        say(f"There is no home {options.home} yet.")
    listed = store.studies()
    for name in store.names():
        if name not in listed:
            say(f"{name}: not listed; it was made by another program or does not read back (`bench fsck` says more)")
    finals = results.read_finals(options.home)
    rows = []
    for study, settings in listed.items():
        try:
            found = outcome(store, study)
        except RecordError as error:  # one that is broken shall not hide the others
            say(f"{study}: not listed; {error}")
            continue
        tested = bool(results.of_study(options.home, finals, study, settings, found.trials))
        rows.append(
            {
                "study": study,
                "dataset": settings.get("dataset", ""),
                "family": settings.get("family", ""),
                "engine": settings.get("engine", ""),
                "state": _state(options, store, study, found, tested),
                "trials": found.finished,
                "complete": found.count("complete"),
                "pruned": found.count("pruned"),
                "failed": found.count("failed"),
                "best_val_accuracy": found.best.val_accuracy if found.best else None,
                "seconds": found.seconds,
            }
        )
    if options.json:
        print_json({"schema": 1, "rows": rows})
    else:
        out = console()
        out.print(studies_table(rows, out.width))


def _state(options: argparse.Namespace, store: Store, study: str, found: Any, tested: bool) -> str:
    """running: somebody writes it; stopped: trials were under way when its process ended; tested: it has a final."""
    from bench.holding import holder

    if holder(store, options.home, study) is not None:
        return "running"
    if found.count("running"):
        return "stopped"
    return "tested" if tested else "searched"


def _remove(options: argparse.Namespace, store: Store) -> None:
    import shutil

    from bench import results
    from bench.files import own_folder, unique_slug
    from bench.holding import hold, holder

    known = store.names()
    listed = f"Known: {', '.join(known) or 'none'}."
    if not options.names:
        raise UsageError(f"Name what to delete: bench studies rm NAME. {listed}")
    for name in options.names:
        if name not in known:
            raise UsageError(f"No study named {name!r}.{did_you_mean(name, known)} {listed}")
        held = holder(store, options.home, name)
        if held:
            raise StudyLocked(f"Study {name!r} is being written by {held}. Stop it first.")
    for name in dict.fromkeys(options.names):
        named = [final for final in results.read_finals(options.home) if final.study == name]
        finals = _own(options, store, name, named)
        if not options.yes and not _agreed(name, store.count(name), len(finals)):
            say(f"{name}: kept")
            continue
        with hold(store, options.home, name):
            for final in finals:
                shutil.rmtree(results.folder(options.home, final.dataset, final.family, final.id))
            shutil.rmtree(options.home / "work" / unique_slug(name), ignore_errors=True)
            settings = _settings(store, name)
            for kept in ("states", "peeks"):
                folder = own_folder(options.home, kept, name, settings)
                shutil.rmtree(folder if settings else folder.parent, ignore_errors=True)
                with contextlib.suppress(OSError):  # another storage has a study of its name
                    folder.parent.rmdir()
            store.remove(name)
        left = len(named) - len(finals)
        more = f" Finals under its name that are not of this study stay: {left}." if left else ""
        say(f"{name}: deleted. Its looks at the test set stay in the ledger.{more}")


def _settings(store: Store, name: str) -> Mapping[str, Any]:
    """Empty where it no longer says what it is."""
    try:
        return store.settings(name) or {}
    except RecordError:
        return {}


def _own(options: argparse.Namespace, store: Store, name: str, finals: list[Final]) -> list[Final]:
    """Those of the finals that this very study led to; none where it no longer says what it is."""
    from bench import results

    settings = _settings(store, name)
    try:
        return results.of_study(options.home, finals, name, settings, store.trials(name)) if settings else []
    except RecordError:
        return []


def _agreed(name: str, trials: int, finals: int) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(f"Deleting {name!r} needs an answer, and there is no terminal to ask on; use --yes.")
    asked = f"Delete {one_line(name)} with {trials} trials and {finals} finals? [y/N] "
    print(asked, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
