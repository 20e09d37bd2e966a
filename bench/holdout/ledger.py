"""The ledger: every look at a test set, one JSON line each, never changed and never removed.

Each line holds the SHA-256 of everything that stands before it (`before`), so that a line that was changed, put in or
taken out shows at the first line after it. The last line has none after it: that of a result is missed by its result.
This finds accidents and small lies; who rewrites the whole file can compute every hash anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import failpoints
from bench.errors import RecordError
from bench.urls import without_passwords

NAME = "ledger.jsonl"
BEFORE = "before"
LONGEST_COMMAND = 1000  # characters; a script may be given any number of arguments


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
        written = path.read_bytes() if path.exists() else b""
        lines = written.split(b"\n")
        data = b""
        if lines[-1]:  # no newline at the end
            data = b"\n"
            for number in _torn_tail(lines):
                data += _line({"event": "torn", "line": number}, written + data)
        data += _line(entry, written + data)
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
    """All entries, oldest first, without their hashes. A line that a kill tore is left out: what it announced did not
    happen.

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
    if whole is not None:
        entries.append(whole)
    return [{name: value for name, value in entry.items() if name != BEFORE} for entry in entries]


def first_changed(home: Path) -> int | None:
    """Number of the first line that does not follow from those before it, or None where all do.

    Lines of versions that noted no hash are taken as they are, as long as none with a hash stands before them.
    """
    path = home / NAME
    if not path.exists():
        return None
    chain, chained = hashlib.sha256(), False
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        entry = _parsed(line)
        if entry is not None:
            said = entry.get(BEFORE)
            if (chained or said is not None) and said != chain.hexdigest():
                return number
            chained = chained or said is not None
        chain.update(line + b"\n")
    return None


def looks(home: Path, data_checksum: str, family: str) -> int:
    """How often a family has been examined on this data."""
    return counted(read(home))[data_checksum, family]


def counted(entries: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """(data checksum, family) -> how often that family has been examined on that data; exams that crashed count."""
    seen = [entry for entry in entries if entry.get("event") == "look"]
    return Counter((str(entry.get("data_checksum")), str(entry.get("family"))) for entry in seen)


def command() -> str:
    """What this process was started with, as it would be typed; never a password."""
    program, *arguments = sys.argv or ["python"]
    name = Path(program).name or "python"
    words = ["bench" if name in ("bench", "__main__.py") else name, *arguments]
    return shlex.join(map(without_passwords, words))[:LONGEST_COMMAND]


def _torn_tail(lines: list[bytes]) -> list[int]:
    """Numbers of the broken lines at the end; several where a kill tore the note on an earlier one."""
    numbers = []
    for number in range(len(lines), 0, -1):
        if _parsed(lines[number - 1]) is not None:
            break
        numbers.append(number)
    return numbers


def _line(entry: Mapping[str, Any], before: bytes) -> bytes:
    hashed = {**entry, BEFORE: hashlib.sha256(before).hexdigest()}
    return json.dumps(hashed, sort_keys=True, allow_nan=False).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
