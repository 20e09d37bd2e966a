"""One study, one final: homes that share a storage learn from it who tested the study, and do not test it again."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import lock, results
from bench.errors import Interrupted, RecordError, StudyLocked
from bench.finals import final_id
from bench.holdout import exam, ledger
from bench.leases import FINAL, Leases
from bench.patience import Patience
from bench.records import Final
from bench.store import Store
from bench.study import Outcome

BEGUN_SECONDS = 3600.0  # an exam of another machine that told of no end for so long came to none

Note = Mapping[str, Any]


def final_by_one(
    store: Store,
    home: Path,
    dataset: str,
    found: Outcome,
    seeds: int,
    joined: Leases | None,
    still_ours: Callable[[], None],
    run: Callable[[Callable[[], None]], Final],
    say: Callable[[str], object],
    stop_asked: Callable[[], bool] = lambda: False,
) -> Final | None:
    """The final of a study as it stands, unless it is made in another home, which is then said.

    What this home has is read back, and what it began is gone on with. What another one had and lost, as far as this
    machine can see, is made anew.

    Args:
        dataset: the name that the results are kept under.
        seeds: of the final.
        joined: this process's part in the study where others work on it too; None where it is held alone.
        still_ours: raises where another process has taken the study.
        run: makes the final, or reads it back; calls what it is given right before the test set is opened.
    """
    identity = final_id(found, seeds)
    folder = results.folder(home, dataset, found.settings["family"], identity)
    here = any(stored.id == identity for stored in results.read_finals(home, dataset))
    mine = here or joined is None or joined.claim(FINAL, at_once=True)
    note = _Note(store, home, found.study, identity, folder, Patience(say, stop_asked))
    other = None if here else note.of_another()
    if other is not None:
        did, are = ("was", "are") if other.get("done", True) else ("is being", "will be")
        say(f"The final of {found.study!r} {did} run by {other['by']}; its results {are} in {other['home']} there.")
        return None
    if not mine and joined is not None:
        who = joined.holders(FINAL).get(FINAL, "another process")
        say(f"The final of {found.study!r} is being run by {who}; its results will be in that one's home.")
        return None

    def before_the_look() -> None:
        Patience(say, stop_asked)(still_ours, "The test set was not opened.")
        note.begin()

    with contextlib.nullcontext() if joined is None or here else lock.hold(home, found.study):
        try:
            final = run(before_the_look)
        except Interrupted:
            raise  # whoever was told to stop has not seen the exam's end
        except Exception:
            note.take_back()
            raise
    note.end()
    return final


class _Note:
    """What homes that share a storage tell each other of a final: by whom, where, and whether it is done.

    An exam outlives whoever began it, so that it is told of before the look. A home's own file, which is copied along
    with it, is shared with no other home, and nothing is told there.
    """

    def __init__(self, store: Store, home: Path, study: str, identity: str, folder: Path, patience: Patience) -> None:
        self._store, self._home, self._study, self._identity = store, home, study, identity
        self._patience, self._name, self._begun = patience, f"final {identity}", False
        self._shared = store.folder is None or store.folder.resolve() != home.resolve()
        self._mine = {
            "by": f"process {os.getpid()} on {socket.gethostname()}",
            "host": socket.gethostname(),
            "home": str(home.absolute()),
            "folder": str(folder.absolute()),
        }

    def of_another(self) -> Note | None:
        """What another home told that has a final, or is making one."""
        told = self._told()
        return None if told is None or self._own(told) or self._lost(told) else told

    def begin(self) -> None:
        """Raises:
        StudyLocked: another home did meanwhile.
        """
        other = self.of_another()
        if other is not None:
            raise StudyLocked(
                f"The final of {self._study!r} was begun by {other['by']} meanwhile; its results will be in "
                f"{other['home']} there. The test set was not opened here."
            )
        self._tell({**self._mine, "done": False, "at": time.time()}, "The test set was not opened.")
        self._begun = True

    def end(self) -> None:
        """Also of one whose exam outlived the process that began it."""
        told = None if self._begun else self._told()
        if told is None or (self._own(told) and not told.get("done", True)):
            untold = "The final is stored in this home; others that share the storage do not learn of it."
            self._tell({**self._mine, "done": True}, untold)

    def take_back(self) -> None:
        """Where no look was taken, another home may make the final."""
        if not self._begun or exam.under_way(self._home, self._identity):
            return
        with contextlib.suppress(RecordError):  # a ledger that does not read back may hold the look
            looks = [entry.get("manifest") for entry in ledger.read(self._home) if entry.get("event") == "look"]
            if self._identity not in looks:
                self._tell(None, "No look was taken; others that share the storage do not learn of it.")

    def _told(self) -> Note | None:
        return self._store.noted(self._study, self._name) if self._shared else None

    def _tell(self, value: Note | None, untold: str) -> None:
        if self._shared:
            self._patience(lambda: self._store.note(self._study, self._name, value), untold)

    def _own(self, told: Note) -> bool:
        return (told["host"], told["home"]) == (self._mine["host"], self._mine["home"])

    def _lost(self, told: Note) -> bool:
        """Whether there is no such final, as far as can be seen from here: set aside, deleted, or cut off."""
        done = told.get("done", True)
        old = not done and time.time() - told["at"] > BEGUN_SECONDS
        if told["host"] != socket.gethostname():
            return old
        home = Path(told["home"])
        try:
            stored, there = (Path(told["folder"]) / "result.json").is_file(), home.exists()
        except OSError:
            return old  # another user's home cannot be looked into
        if done or stored or not there:
            return not stored
        # A lock of somebody else's cannot be tried.
        return not exam.under_way(home, self._identity) if os.access(home, os.W_OK) else old
