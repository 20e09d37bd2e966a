"""Storage URLs on their way to a person: never with a password. Imports nothing heavy."""

from __future__ import annotations

import re

HIDDEN = "***"
# user:password@ up to the last @ of the word, since a password that was not escaped may hold one itself.
USER_INFO = re.compile(r"(://[^\s/:@]*):\S*@")
QUERY = re.compile(r"([?&;](?:[a-z_]*pass[a-z_]*|pwd|[a-z_]*token|[a-z_]*secret)=)[^\s&;]*", re.IGNORECASE)
POSTGRESQL = re.compile(r"^postgres(?:ql)?://")


def with_driver(url: str) -> str:
    """The URL with psycopg 3 as driver where it names PostgreSQL and no driver."""
    return POSTGRESQL.sub("postgresql+psycopg://", url)


def has_password(url: str) -> bool:
    return without_passwords(url) != url


def without_passwords(text: str) -> str:
    """The text with the password of every URL in it replaced by ***."""
    return QUERY.sub(rf"\1{HIDDEN}", USER_INFO.sub(rf"\1:{HIDDEN}@", text))


def shown(url: str) -> str:
    """A storage URL to be shown. What is none is not shown at all: it may still hold a password."""
    return without_passwords(url) if "://" in url else "URL"


def why(error: BaseException) -> str:
    """What is wrong with a storage, to follow its name."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    way_out = may_write(first) or (
        " A storage is written like sqlite:///path/to/file.db or postgresql://user@host/database."
    )
    return f"cannot be used: {without_passwords(first).rstrip('.')}.{way_out}"


def may_write(said: str) -> str:
    """The way out where a database says that its user may not do that; else nothing."""
    return " Give the URL of a user who may write there." if "permission denied" in said else ""
