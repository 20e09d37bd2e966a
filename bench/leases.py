"""Who works on a study that several machines can reach: leases, in a table of their own beside Optuna's.

A lease ends at a time of the database's clock unless its owner renews it, so that nobody has to hear of a host's death.
A process of this machine that is gone is known at once. Whoever could not renew for a while is in no position to call
others dead, and looks on for the length of a lease first.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import (
    Column,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    Text,
    delete,
    inspect,
    literal_column,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from bench.errors import UsageError
from bench.patience import reported

LEASE_SECONDS = 30.0
RENEW_SECONDS = 5.0
TABLE = Table(
    "bench_leases",
    MetaData(),
    Column("study", String(512), primary_key=True),
    Column("what", String(64), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("holder", Text, nullable=False),  # JSON: host, pid, born, place, since
    Column("expires", Float(53), nullable=False),  # seconds of the database's clock
)
CLOCKS = {
    "postgresql": "extract(epoch from clock_timestamp())",
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
}
ALONE = "alone"  # who writes the study and shares it with nobody
MEMBER = "member "  # who joined it; the owner follows
TRIAL = "trial "  # who runs it; the number follows
FINAL = "final"


def make_table(engine: Engine) -> None:
    """Where it is missing: whoever may use it need not have the right to make it."""
    if not inspect(engine).has_table(TABLE.name):
        with engine.begin() as connection:
            connection.execute(CreateTable(TABLE, if_not_exists=True))


class Leases:
    """What this process holds of one study, renewed by a thread until `close` gives it all back."""

    def __init__(self, engine: Engine, study: str) -> None:
        self._engine, self._study = engine, study
        self._now = literal_column(CLOCKS.get(engine.dialect.name, "0"), Float(53))
        self.owner = uuid.uuid4().hex
        self._steady_since = self._renewed = time.monotonic()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @reported
    def claim(self, what: str, at_once: bool = False) -> bool:
        """Hold `what`, if nobody else does or who did is gone; atomic among all machines.

        Args:
            at_once: take what has run out although this process has not yet looked on for long.

        Raises:
            UsageError: the database has no clock that is known here.
        """
        self._start()
        there = self._rows(what).get(what)
        mine = {"owner": self.owner, "holder": _me(), "expires": self._later()}
        with self._engine.begin() as connection:
            if there is None:
                try:
                    connection.execute(TABLE.insert().values(study=self._study, what=what, **mine))
                    return True
                except IntegrityError:
                    return False
            if there["owner"] == self.owner:
                return True
            if not self._lapsed(there, at_once):
                return False
            # Of two that find the same lapsed lease the second finds another owner, or another end.
            same = (TABLE.c.owner == there["owner"]) & (TABLE.c.expires == there["expires"])
            return bool(connection.execute(self._one(update(TABLE), what).where(same).values(**mine)).rowcount)

    @reported
    def keeps(self, what: str) -> bool:
        """Whether `what` is still held, which it then is for the length of a lease."""
        mine = self._one(update(TABLE), what).where(TABLE.c.owner == self.owner)
        with self._engine.begin() as connection:
            return bool(connection.execute(mine.values(expires=self._later())).rowcount)

    @reported
    def release(self, what: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(self._one(delete(TABLE), what).where(TABLE.c.owner == self.owner))

    @reported
    def holders(self, beginning: str) -> dict[str, str]:
        """What others hold and whose name begins so -> who, in words; what lapsed is left out."""
        others = self._rows(beginning, more=True)
        return {
            what: words(row)
            for what, row in others.items()
            if row["owner"] != self.owner and not self._lapsed(row, at_once=True)
        }

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join(RENEW_SECONDS)
            # A storage that is gone learns from the clock.
            with contextlib.suppress(SQLAlchemyError), self._engine.begin() as connection:
                connection.execute(delete(TABLE).where(TABLE.c.study == self._study, TABLE.c.owner == self.owner))

    # --- below

    def _start(self) -> None:
        if self._engine.dialect.name not in CLOCKS:
            raise UsageError(
                f"Studies can be written on {' and '.join(sorted(CLOCKS))}, not on {self._engine.dialect.name}: leave "
                "--storage out, or give one of those."
            )
        if self._thread is None:
            make_table(self._engine)
            self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
            self._thread.start()

    def _renew(self) -> None:
        all_mine = update(TABLE).where(TABLE.c.study == self._study, TABLE.c.owner == self.owner)
        while not self._closed.wait(RENEW_SECONDS):
            began = time.monotonic()
            with contextlib.suppress(SQLAlchemyError), self._engine.begin() as connection:
                connection.execute(all_mine.values(expires=self._later()))
                if began - self._renewed > LEASE_SECONDS / 2:
                    self._steady_since = time.monotonic()
                self._renewed = began

    def _rows(self, what: str, more: bool = False) -> dict[str, Mapping[str, Any]]:
        if self._thread is None and not inspect(self._engine).has_table(TABLE.name):
            return {}  # looking makes no table
        named = TABLE.c.what.startswith(what, autoescape=True) if more else TABLE.c.what == what
        left = (TABLE.c.expires - self._now).label("left")
        with self._engine.connect() as connection:
            found = connection.execute(select(TABLE, left).where(TABLE.c.study == self._study, named))
            return {row["what"]: dict(row) for row in found.mappings()}

    def _lapsed(self, row: Mapping[str, Any], at_once: bool = False) -> bool:
        held = json.loads(row["holder"])
        if held["place"] == _place() and not _lives(held["pid"], held["born"]):
            return True
        now = time.monotonic()
        steady = now - self._steady_since > LEASE_SECONDS and now - self._renewed < LEASE_SECONDS / 2
        return bool(row["left"] < 0) and (at_once or steady)

    def _one(self, statement: Any, what: str) -> Any:
        return statement.where(TABLE.c.study == self._study, TABLE.c.what == what)

    def _later(self) -> Any:
        return self._now + LEASE_SECONDS


def words(row: Mapping[str, Any]) -> str:
    """Who holds a lease, for a person."""
    held = json.loads(row["holder"])
    return f"process {held['pid']} on {held['host']}, since {held['since']}"


def _me() -> str:
    born = psutil.Process().create_time()
    since = time.strftime("%F %T %Z")
    return json.dumps(
        {"host": socket.gethostname(), "pid": os.getpid(), "born": born, "place": _place(), "since": since}
    )


@functools.cache
def _place() -> str:
    """What is the same for processes that see each other's numbers: one boot of one machine, one container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid.uuid4().hex  # nobody else's, so that only the clock counts


def _lives(pid: int, born: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - born) < 2) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
