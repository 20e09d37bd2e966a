"""One study, one final: homes that share a storage learn from it who tested the study, and do not test it again."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import lock, results
from bench.finals import final_id
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
    run: Callable[[], Final],
    say: Callable[[str], object],
    stop_asked: Callable[[], bool] = lambda: False,
) -> Final | None:
    """The final of a study as it stands, unless it is made in another home, which is then said.

    What this home has is read back. What another one had and lost, as far as this machine can see, is made anew.

    Args:
        dataset: the name that the results are kept under.
        seeds: of the final.
        joined: this process's part in the study where others work on it too; None where it is held alone.
        run: makes the final, or reads it back.
    """
    identity = final_id(found, seeds)
    here = any(stored.id == identity for stored in results.read_finals(home, dataset))
    mine = here or joined is None or joined.claim(FINAL, at_once=True)
    # A home's own file, which is copied along with it, is shared with no other home.
    shared = store.folder is None or store.folder.resolve() != home.resolve()
    done = store.noted(found.study, f"final {identity}") if shared else None
    if not here and done and not _lost(done):
        say(f"The final of {found.study!r} was run by {done['by']}; its results are in {done['home']} there.")
        return None
    if not mine and joined is not None:
        who = joined.holders(FINAL).get(FINAL, "another process")
        say(f"The final of {found.study!r} is being run by {who}; its results will be in that one's home.")
        return None
    with contextlib.nullcontext() if joined is None or here else lock.hold(home, found.study):
        final = run()
    if shared and (not done or not here):
        by = {
            "by": f"process {os.getpid()} on {socket.gethostname()}",
            "host": socket.gethostname(),
            "home": str(home.absolute()),
            "folder": str(results.folder(home, dataset, final.family, identity).absolute()),
        }
        untold = "The final is stored in this home; others that share the storage do not learn of it."
        Patience(say, stop_asked)(lambda: store.note(found.study, f"final {identity}", by), untold)
    return final


def _lost(done: Mapping[str, Any]) -> bool:
    """Whether a final that was made on this machine is no longer where it was: set aside, or deleted."""
    return done["host"] == socket.gethostname() and not (Path(done["folder"]) / "result.json").is_file()
