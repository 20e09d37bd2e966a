"""Who may write a study: one process, or every process that joined it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import lock
from bench.errors import StudyLocked
from bench.leases import ALONE, FINAL, MEMBER, Leases
from bench.store import Store


@contextmanager
def hold(store: Store, home: Path, study: str, join: bool = False) -> Iterator[Leases]:
    """Hold the study while entered, alone or, with `join`, beside others that join it.

    Files are locked by the kernel, which lets go when a process ends: the home, whose models are the study's, and the
    folder of an SQLite file, which several homes may name. A server knows leases only. Whoever comes says so first and
    looks then, so that of two at the same time none is overlooked.

    Raises:
        StudyLocked: somebody else holds it; the message names who.
    """
    leases = store.leases(study)
    with ExitStack() as stack:
        if join:
            stack.callback(leases.close)
            leases.claim(f"{MEMBER}{leases.owner}")
            alone = _alone(store, study, leases)
            if alone:
                raise StudyLocked(
                    f"Study {study!r} is being written by {alone}, which did not say --join. Wait for it, stop it, or "
                    "use --study NAME."
                )
        else:
            for folder in dict.fromkeys([home.resolve(), (store.folder or home).resolve()]):
                stack.enter_context(lock.hold(folder, study))
            stack.callback(leases.close)
            if store.folder is None and not leases.claim(ALONE, at_once=True):
                who = next(iter(leases.holders(ALONE).values()), "another process")
                raise StudyLocked(f"Study {study!r} is being written by {who}. {_WAYS_OUT}")
            members = [*leases.holders(MEMBER).values()]
            if members:
                raise StudyLocked(f"Study {study!r} is shared by {'; '.join(members)}. {_WAYS_OUT}")
        yield leases


_WAYS_OUT = "Wait for it, stop it, use --study NAME, or have every `bench search` of this study --join it."


def holder(store: Store, home: Path, study: str) -> str | None:
    """Who writes the study now, in words; None where nobody does."""
    leases = store.leases(study)
    members = leases.holders(MEMBER)
    return lock.holder(home, study) or _alone(store, study, leases) or "; ".join(members.values()) or None


def _alone(store: Store, study: str, leases: Leases) -> str | None:
    if store.folder is None:
        return next(iter(leases.holders(ALONE).values()), None)
    if leases.holders(FINAL):
        return None  # the one of them that runs the final keeps its models by the home's lock
    return lock.holder(store.folder, study)


def still_testing(store: Store, study: str, leases: Leases, join: bool) -> None:
    """Raises:
    StudyLocked: this process was held up for longer than its lease, and another one makes the final now.
    """
    right = FINAL if join else ALONE
    if (join or store.folder is None) and not leases.keeps(right):
        who = next(iter(leases.holders(right).values()), "another process")
        raise StudyLocked(
            f"The final of {study!r} was taken over by {who} while this process was held up. The test set was not "
            "opened here; the results will be in the home of that one."
        )


def still_alone(study: str, leases: Leases) -> None:
    """Raises:
    StudyLocked: this process was held up for longer than its lease, and another one writes the study now.
    """
    if not leases.keeps(ALONE):
        who = next(iter(leases.holders(ALONE).values()), "another process")
        raise StudyLocked(
            f"Study {study!r} was taken over by {who} while this process was held up. What was in hand is not written; "
            "trials that were under way are run there."
        )
