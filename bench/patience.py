"""A storage that is away for a while: what is in hand waits for it, and the user is told."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from bench.errors import BenchError, Interrupted
from bench.urls import may_write, without_passwords

WAIT_SECONDS = 600.0
RETRY_SECONDS = 1.0
P = ParamSpec("P")
T = TypeVar("T")


def reported(method: Callable[P, T]) -> Callable[P, T]:
    """Turn what the database refuses into a BenchError of one line."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except BenchError:
            raise
        except Exception as error:
            # Optuna's own errors are raised from the database's.
            if isinstance(error, SQLAlchemyError) or isinstance(error.__cause__, SQLAlchemyError):
                why = said(error)
                raise BenchError(
                    f"The storage cannot be used: {why}.{may_write(why)} Nothing finished is lost."
                ) from error
            raise

    return call


def is_gone(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is a database server's that does not answer or cannot go on."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, (OperationalError, InterfaceError)):
            return not type(seen.orig).__module__.startswith("sqlite3")  # no server
        seen = seen.__cause__
    return False


def said(error: BaseException) -> str:
    """The first line of what the database said, without passwords."""
    seen = error
    while seen.__cause__ is not None and not isinstance(seen, OperationalError):
        seen = seen.__cause__
    lines = str(getattr(seen, "orig", None) or seen).strip().splitlines()
    return without_passwords(lines[0]).rstrip(".:") if lines else type(seen).__name__


class Patience:
    """Tries again what fails because the storage is away.

    Args:
        say: gets a line at the beginning and at the end of a wait.
        stop_asked: true ends a wait.
        seconds: how long to wait at most.
    """

    def __init__(
        self,
        say: Callable[[str], object] = lambda _: None,
        stop_asked: Callable[[], bool] = lambda: False,
        seconds: float = WAIT_SECONDS,
    ) -> None:
        self._say, self._stop_asked, self._seconds = say, stop_asked, seconds

    def __call__(self, attempt: Callable[[], T], lost: str) -> T:
        """What `attempt` returns.

        Args:
            lost: what is lost if the storage does not come back, in a sentence.

        Raises:
            Interrupted: a stop was asked for meanwhile.
            BenchError: the storage stayed away.
        """
        until: float | None = None
        while True:
            try:
                result = attempt()
            except Exception as error:
                if not is_gone(error):
                    raise
                why = said(error)
            else:
                if until is not None:
                    self._say("The storage answers again; going on.")
                return result
            if until is None:
                until = time.monotonic() + self._seconds
                self._say(
                    f"The storage does not answer ({why}). What is in hand is kept and written when it comes back; "
                    f"waiting for up to {self._seconds / 60:.0f} min, Ctrl-C stops."
                )
            if self._stop_asked():
                raise Interrupted(f"Stopped while the storage does not answer. {lost} The same command continues.")
            if time.monotonic() > until:
                raise BenchError(
                    f"The storage has not answered for {self._seconds / 60:.0f} min ({why}). {lost} The same command "
                    "continues when it is back."
                )
            time.sleep(RETRY_SECONDS)
