"""A full disk pauses a write; it is made whole when there is room."""

import errno
import threading
import time

import pytest

from bench import disk
from bench.errors import Interrupted
from bench.files import write_atomic
from tests.test_nothing_is_lost import small_disk  # noqa: F401  (a fixture)


def fill(path):
    with path.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(65536))
            file.flush()


def test_a_write_waits_for_room_and_says_so_once(small_disk):  # noqa: F811
    ballast, target, said = small_disk / "ballast", small_disk / "file", []
    fill(ballast)
    threading.Timer(2.5, ballast.unlink).start()
    write = lambda: write_atomic(target, lambda file: file.write(bytes(1_000_000)))  # noqa: E731
    disk.patiently(small_disk, said.append, write)
    assert target.stat().st_size == 1_000_000
    first, last = said
    assert first.startswith(f"The disk of {small_disk} is full")
    assert last.startswith("There is room")
    assert not list(small_disk.glob(".*.tmp"))


def test_a_stop_ends_the_wait(small_disk):  # noqa: F811
    fill(small_disk / "ballast")
    stop_at = time.monotonic() + 1.5

    def write():
        write_atomic(small_disk / "file", lambda file: file.write(bytes(1_000_000)))

    with pytest.raises(Interrupted, match="is full"):
        disk.patiently(small_disk, lambda line: None, write, lambda: time.monotonic() > stop_at)


def test_another_fault_is_not_waited_for(tmp_path):
    def write():
        raise OSError(errno.EACCES, "Permission denied")

    with pytest.raises(OSError, match="Permission denied"):
        disk.patiently(tmp_path, lambda line: None, write)


def test_a_file_larger_than_what_is_free_is_waited_for_and_said_once(tmp_path):
    """So is a quota: the disk itself has room."""
    said, polls = [], iter([False, False, True])

    def write():
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    with pytest.raises(Interrupted, match="there is no room for a file"):
        disk.patiently(tmp_path, said.append, write, lambda: next(polls))
    assert len(said) == 1 and "or a quota is full" in said[0]
