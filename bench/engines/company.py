"""Who else works on a study, as its driver sees it: nobody, or other processes that joined it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from bench.leases import TRIAL, Leases
from bench.patience import Patience
from bench.records import Event, Finished, Paused, Trial
from bench.space import Config
from bench.store import Store

LOOK_SECONDS = 2.0  # between two looks at what others did
SAFE = "Nothing is lost."

Ask = Callable[[int], Config | None]


class Company(Protocol):
    """What a driver needs to know of the other processes that write its study."""

    def news(self) -> Sequence[Trial] | None:
        """Every trial of the study, in order of number, when others went on with it since the last call; else None."""
        ...

    def left(self, room: int) -> Sequence[Trial]:
        """Trials that are this process's from now on, since nobody runs them any more.

        Args:
            room: how many could be begun now.
        """
        ...

    def begin(self, ask: Ask) -> tuple[int, Config] | None:
        """The next number, which nobody else gets, and what `ask` proposes for it; None for 'not now'."""
        ...

    def busy(self) -> bool:
        """Whether others run trials that are not over."""
        ...

    def keeps(self, number: int) -> bool:
        """Whether a trial that this process began is still its own; asked before anything of it is written."""
        ...


class Alone:
    """One process writes the study.

    Args:
        stored: its trials so far; those still running were left by an earlier process.
        still_alone: called before anything is begun or written; raises where another process has taken the study.
    """

    def __init__(self, stored: Sequence[Trial], still_alone: Callable[[], None] = lambda: None) -> None:
        self._next = len(stored)
        self._left = [trial for trial in stored if trial.state == "running"]
        self._still_alone = still_alone

    def news(self) -> Sequence[Trial] | None:
        return None

    def left(self, room: int) -> Sequence[Trial]:
        if self._left:
            self._still_alone()
        left, self._left = self._left, []
        return left

    def begin(self, ask: Ask) -> tuple[int, Config] | None:
        self._still_alone()
        params = ask(self._next)
        if params is None:
            return None
        self._next += 1
        return self._next - 1, params

    def busy(self) -> bool:
        return False

    def keeps(self, number: int) -> bool:
        self._still_alone()
        return True


class Joined:
    """Several processes write the study, each its own trials: a lease on a trial's number is the right to it.

    Every row ends as a finished trial, whoever runs it, so that no more rows are begun than trials are wanted. A number
    is proposed for by whoever has its lease, and the next one only when its row stands: every sampler sees what runs.

    Args:
        stored: the trials that the driver begins with.
        show: hears the finished trials of others.
        say: gets a line when a trial changes hands.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        leases: Leases,
        target: int,
        stored: Sequence[Trial],
        patience: Patience,
        show: Callable[[Event], None],
        say: Callable[[str], object],
    ) -> None:
        self._store, self._study, self._leases, self._target = store, study, leases, target
        self._patience, self._show, self._say = patience, show, say
        self._rows = len(stored)
        self._mine: set[int] = set()
        self._over = {trial.number for trial in stored if trial.state != "running"}
        self._seen = self._others(stored)
        self._unowned = [trial.number for trial in stored if trial.state == "running"]
        self._busy = bool(self._unowned)
        self._look_at = 0.0

    def __call__(self, event: Event) -> None:
        """A trial of ours that is over, or that a stop left unfinished, is no longer held."""
        if isinstance(event, (Finished, Paused)):
            number = event.trial.number if isinstance(event, Finished) else event.number
            self._over |= {number} if isinstance(event, Finished) else set()
            self._patience(lambda: self._leases.release(f"{TRIAL}{number}"), SAFE)

    def news(self) -> Sequence[Trial] | None:
        if time.monotonic() < self._look_at:
            return None
        trials = self._trials()
        self._look_at, self._rows = time.monotonic() + LOOK_SECONDS, len(trials)
        self._unowned = [t.number for t in trials if t.state == "running" and t.number not in self._mine]
        self._busy = bool(self._unowned)
        seen = self._others(trials)
        if seen == self._seen:
            return None
        self._seen = seen
        for trial in trials:
            if trial.state != "running" and trial.number not in self._over:
                self._over.add(trial.number)
                self._leave(trial.number)
                self._show(Finished(replace(trial, worker=None)))  # its worker is none of ours
        return trials

    def left(self, room: int) -> Sequence[Trial]:
        unowned, self._unowned = self._unowned, []
        if not unowned or room < 1:
            return []
        held = self._patience(lambda: self._leases.holders(TRIAL), SAFE)
        taken: list[Trial] = []
        for number in unowned:
            if f"{TRIAL}{number}" not in held and len(taken) < room and self._claim(number):
                # What was read before the lease was ours may be over by now.
                trial = next(trial for trial in self._trials() if trial.number == number)
                if trial.state == "running":
                    self._mine.add(number)
                    self._say(f"trial {number} was left unfinished by another process; it is run here")
                    taken.append(trial)
                else:
                    self._release(number)
        return taken

    def begin(self, ask: Ask) -> tuple[int, Config] | None:
        number = self._count()
        if number >= self._target:
            return None
        if number != self._rows or not self._claim(number):
            self._look_at = 0.0  # somebody began it meanwhile: what it is matters to what comes next
            return None
        params = None
        try:
            if self._count() == number:
                params = ask(number)
        finally:
            if params is None:
                self._release(number)
        if params is None:
            return None
        self._mine.add(number)
        self._rows = number + 1
        return number, params

    def busy(self) -> bool:
        return self._busy

    def keeps(self, number: int) -> bool:
        lost = f"What was trained of trial {number} is not written, so it will be run again."
        if self._patience(lambda: self._leases.keeps(f"{TRIAL}{number}"), lost):
            return True
        self._leave(number)
        self._busy, self._look_at = True, 0.0  # another runs it, until a look says otherwise
        return False

    # --- below

    def _leave(self, number: int) -> None:
        """Say of a trial of ours, once, that it is another's now."""
        if number in self._mine:
            self._mine.discard(number)
            self._say(f"trial {number} was taken over by another process while this one was held up, and is left to it")

    def _others(self, trials: Sequence[Trial]) -> list[tuple[int, str, int]]:
        return [(t.number, t.state, len(t.curve)) for t in trials if t.number not in self._mine]

    def _trials(self) -> list[Trial]:
        return self._patience(lambda: self._store.trials(self._study), SAFE)

    def _count(self) -> int:
        return self._patience(lambda: self._store.count(self._study), SAFE)

    def _claim(self, number: int) -> bool:
        return self._patience(lambda: self._leases.claim(f"{TRIAL}{number}"), SAFE)

    def _release(self, number: int) -> None:
        self._patience(lambda: self._leases.release(f"{TRIAL}{number}"), SAFE)
