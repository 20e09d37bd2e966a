"""When which workers searched a study: what `bench show --timing` adds the phases of its trials up to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from bench.errors import BenchError
from bench.records import Event, Finished, Subscriber
from bench.store import Store

ALONE, JOINED = "sessions", "session "  # notes of a study; the second one goes on with the process that joined


class Session(NamedTuple):
    """One process that searched: in seconds of the study, see `Store.seconds`."""

    began: float
    seconds: float
    workers: int


@contextlib.contextmanager
def noted(store: Store, study: str, workers: int, joined: str | None = None) -> Iterator[Subscriber]:
    """Note that so many workers search while this is entered; the subscriber that it gives hears what they do.

    Args:
        joined: what tells this process from others that search the study at the same time; None where it is alone.
    """
    spent, since = store.seconds(study), time.monotonic()

    def keep(name: str, value: Any) -> None:
        # As with `Store.set_seconds`: a disk that is full is said where trials are written.
        with contextlib.suppress(BenchError):
            store.note(study, name, value)

    def hear(event: Event | None) -> None:
        """Anew with every trial that is over here, so that a kill loses no more than what is run again."""
        if joined is not None and (event is None or isinstance(event, Finished)):
            keep(f"{JOINED}{joined}", Session(spent, time.monotonic() - since, workers))

    # Alone, until the next session begins or the study's time ends; who joined says so itself.
    keep(ALONE, [*_alone(store, study), (spent, workers if joined is None else 0)])
    try:
        yield hear
    finally:
        store.set_seconds(study, spent + time.monotonic() - since)
        hear(None)


def of(store: Store, study: str) -> list[Session]:
    """Every session of a study; empty where they are not all known.

    One that was killed counts until its last finished trial.
    """
    alone = _alone(store, study)
    joined = [Session(*session) for session in store.notes(study, JOINED)]
    if not alone or alone[0][0] > 0 or (not joined and not all(workers for _, workers in alone)):
        return []
    ends = [*(began for began, _ in alone[1:]), store.seconds(study)]
    found = [Session(began, end - began, workers) for (began, workers), end in zip(alone, ends, strict=True)]
    return [*(session for session in found if session.workers), *joined]


def most_workers(sessions: Sequence[Session]) -> int:
    """How many worked at a time, at most."""
    return max(
        sum(s.workers for s in sessions if s.began <= one.began < s.began + s.seconds or s is one) for one in sessions
    )


def _alone(store: Store, study: str) -> list[tuple[float, int]]:
    """(the study's seconds at its beginning, workers) of each session; of one beside others, 0 workers."""
    return [(float(began), int(workers)) for began, workers in store.noted(study, ALONE) or ()]
