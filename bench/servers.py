"""Database servers: how they are connected to, and what is said where their driver is missing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.util import asbool

from bench.errors import MissingPackage

# A server that vanishes is noticed within a minute or so rather than within the hours that TCP grants.
TO_A_SERVER = {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
SCHEMA_LOCK = 0x62656E6368  # any number, the same in every bench


def arguments(url: str) -> dict[str, Any]:
    """What the engine of a storage is made with."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 30}}
    if not url.startswith("postgresql+psycopg:"):
        return {"pool_pre_ping": True}
    # Kept here, since what this process starts shall not find it in its environment; libpq looks there at each connect.
    secret = {"password": os.environ["PGPASSWORD"]} if "PGPASSWORD" in os.environ else {}
    return {"pool_pre_ping": True, "connect_args": {**TO_A_SERVER, **({} if make_url(url).password else secret)}}


def file_of(url: URL) -> Path | None:
    """The file that holds the database, by whatever link or `file:` name it is reached; None for a server or memory."""
    name = url.database or ""
    if name.startswith("file:") and asbool(url.query.get("uri", False)):
        name = "" if url.query.get("mode") == "memory" else unquote(urlsplit(name).path)
    if url.get_backend_name() != "sqlite" or not name or name.startswith(":"):
        return None
    return Path(name).resolve()


@contextlib.contextmanager
def one_at_a_time(url: str, own: bool) -> Iterator[None]:
    """Held while a schema is made: processes that make one storage's at the same time race in its migrations.

    A file's lock lies beside it, so that homes which name one file wait for each other, whatever they call it.

    Args:
        own: the home's own file, which has to be writable even to be read: so has its write-ahead log. Another's may
            lie where nothing can be made or locked, or have a lock that another user made: it is opened all the same.

    Raises:
        OSError: the home cannot be written.
    """
    file = file_of(make_url(url))
    if file and file.parent.is_dir():
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(FileLock(f"{file}.lock"))
            except OSError:
                if own:
                    raise
            yield
    elif url.startswith("postgresql"):
        engine = create_engine(url, **arguments(url))
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
                yield
        finally:
            engine.dispose()
    else:
        yield


def missing(error: ModuleNotFoundError) -> MissingPackage:
    """The error that names the pip line for a driver."""
    package = {"psycopg": "'psycopg[binary]'"}.get(error.name or "", error.name)
    other = "" if error.name == "psycopg" else ", or postgresql:// in its URL, which takes psycopg 3"
    return MissingPackage(f"This --storage needs {error.name}: python -m pip install {package}{other}")
