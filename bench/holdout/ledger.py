"""The ledger: every look at a test set, one JSON line each, never changed and never removed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import failpoints
from bench.errors import RecordError

NAME = "ledger.jsonl"


def record(home: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry; it is on disk when this returns.

    A kill can tear the last line. Nothing is taken away then: a note that names the torn line is appended first.

    Raises:
        OSError: the disk is full or not writable; the look must not happen then.
    """
    from filelock import FileLock

    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / f".{NAME}.lock"):
        path = home / NAME
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        data = _line(entry)
        if lines[-1]:  # no newline at the end
            data = b"\n" + b"".join(_line({"event": "torn", "line": number}) for number in _torn_tail(lines)) + data
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            failpoints.reach("ledger: before a line")
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
            failpoints.reach("ledger: after a line")
        finally:
            os.close(descriptor)
        if len(lines) == 1:  # a new file: its name must survive a power cut too
            folder = os.open(home, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def read(home: Path) -> list[dict[str, Any]]:
    """All entries, oldest first. A line that a kill tore is left out: what it announced did not happen.

    Raises:
        RecordError: another line does not read back, so looks may be missing.
    """
    path = home / NAME
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    last = lines.pop()
    parsed = [(number, _parsed(line)) for number, line in enumerate(lines, 1)]
    torn = {entry["line"] for _, entry in parsed if entry and entry.get("event") == "torn"}
    for number, entry in parsed:
        if entry is None and number not in torn:
            raise RecordError(
                f"{path}, line {number} does not read back; the ledger is never edited, so restore it from a copy."
            )
    entries = [entry for _, entry in parsed if entry is not None and entry.get("event") != "torn"]
    whole = _parsed(last)
    return [*entries, whole] if whole is not None else entries


def looks(home: Path, data_checksum: str, family: str) -> int:
    """How often a family has been examined on this data."""
    return sum(
        entry.get("event") == "look" and entry.get("data_checksum") == data_checksum and entry.get("family") == family
        for entry in read(home)
    )


def _torn_tail(lines: list[bytes]) -> list[int]:
    """Numbers of the broken lines at the end; several where a kill tore the note on an earlier one."""
    numbers = []
    for number in range(len(lines), 0, -1):
        if _parsed(lines[number - 1]) is not None:
            break
        numbers.append(number)
    return numbers


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, allow_nan=False).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
