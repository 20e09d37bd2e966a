"""One study, one final: homes that share a storage learn from it who tested the study, and do not test it again."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import lock, results
from bench.errors import SealError
from bench.finals import final_id
from bench.holdout import exam
from bench.leases import FINAL, Leases
from bench.patience import Patience
from bench.records import Final
from bench.store import Store
from bench.study import Outcome


def final_by_one(
    store: Store,
    home: Path,
    dataset: str,
    found: Outcome,
    seeds: int,
    joined: Leases | None,
    run: Callable[[Callable[[], None]], Final],
    say: Callable[[str], object],
    stop_asked: Callable[[], bool] = lambda: False,
) -> Final | None:
    """The final of a study as it stands, unless it is made in another home, which is then said.

    What this home has is read back. What another one had and lost, as far as this machine can see, is made anew.

    Args:
        dataset: the name that the results are kept under.
        seeds: of the final.
        joined: this process's part in the study where others work on it too; None where it is held alone.
        run: makes the final, or reads it back; calls what it is given right before the test set is opened.
    """
    identity = final_id(found, seeds)
    name = f"final {identity}"
    here = any(stored.id == identity for stored in results.read_finals(home, dataset))
    mine = here or joined is None or joined.claim(FINAL, at_once=True)
    # A home's own file, which is copied along with it, is shared with no other home.
    shared = store.folder is None or store.folder.resolve() != home.resolve()
    done = store.noted(found.study, name) if shared else None
    if not here and done and not _lost(done, identity):
        say(f"The final of {found.study!r} was run by {done['by']}; its results are in {done['home']} there.")
        return None
    if not mine and joined is not None:
        who = joined.holders(FINAL).get(FINAL, "another process")
        say(f"The final of {found.study!r} is being run by {who}; its results will be in that one's home.")
        return None
    by = {
        "by": f"process {os.getpid()} on {socket.gethostname()}",
        "host": socket.gethostname(),
        "home": str(home.absolute()),
        "folder": str(results.folder(home, dataset, found.settings["family"], identity).absolute()),
    }

    def tell(value: Mapping[str, Any] | None, untold: str) -> None:
        if shared:
            Patience(say, stop_asked)(lambda: store.note(found.study, name, value), untold)

    with contextlib.nullcontext() if joined is None or here else lock.hold(home, found.study):
        try:
            # Before the look: an exam outlives whoever began it, and meanwhile nobody else shall begin another.
            final = run(lambda: tell(by, "The test set was not opened."))
        except SealError:
            tell(None, "No look was taken; others that share the storage do not learn of it.")
            raise
    if here and not done:
        tell(by, "The final is stored in this home; others that share the storage do not learn of it.")
    return final


def _lost(done: Mapping[str, Any], identity: str) -> bool:
    """Whether a final that was made on this machine is no longer where it was: set aside, or deleted, or cut off."""
    if done["host"] != socket.gethostname() or exam.under_way(Path(done["home"]), identity):
        return False
    return not (Path(done["folder"]) / "result.json").is_file()
