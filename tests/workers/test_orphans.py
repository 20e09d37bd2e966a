"""Who owns a process is seen from who is older, not from a time that was noted when the clock was another."""

import os
import subprocess
import sys
import time

import psutil
import pytest

from bench.workers import orphans


def sleeper(tag):
    return subprocess.Popen(["sleep", "60"], env={**os.environ, orphans.VARIABLE: tag})


def test_what_a_living_owner_started_is_left_alone_even_after_the_clock_was_set(monkeypatch):
    ours = sleeper(orphans.new_tag())
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: real(self) - 86_400)
    try:
        assert ours.pid not in orphans.reap()
        assert ours.poll() is None
    finally:
        ours.kill()
        ours.wait()


def test_a_process_that_only_got_the_owners_number_owns_nothing():
    left = sleeper("1:x")  # begins before the one that is to have its owner's number
    time.sleep(0.1)  # the kernel counts in hundredths
    later = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    orphan = psutil.Process(left.pid)
    try:
        assert orphans._ownerless(f"{later.pid}:x", orphan)
        assert not orphans._ownerless(f"{os.getpid()}:x", orphan)
        assert not orphans._ownerless("no number", orphan)
    finally:
        later.communicate(b"\n")
        left.kill()
        left.wait()


def test_what_runs_in_another_container_is_left_alone():
    """Its owner's number is nobody's here."""
    if subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode:
        pytest.skip("no container can be made here (unshare)")
    tag = {**os.environ, orphans.VARIABLE: "999999999:x"}
    inside = subprocess.Popen(["unshare", "--pid", "--fork", "sleep", "60"], env=tag)
    try:
        while not (children := psutil.Process(inside.pid).children()) or children[0].name() != "sleep":
            time.sleep(0.05)
        (sleeper,) = children
        assert sleeper.pid not in orphans.reap() and sleeper.is_running()
        sleeper.kill()
    finally:
        inside.kill()
        inside.wait()


def test_a_pool_ends_what_it_started_and_nothing_else():
    tag = orphans.new_tag()
    ours, theirs = sleeper(tag), sleeper(orphans.new_tag())
    try:
        assert orphans.reap_pool(tag) == [ours.pid]
        ours.wait(5)
        assert not psutil.pid_exists(ours.pid)
        assert theirs.poll() is None
    finally:
        theirs.kill()
        theirs.wait()


def test_the_url_of_the_storage_is_not_handed_to_processes_that_do_not_need_it(monkeypatch):
    monkeypatch.setenv("BENCH_STORAGE", "postgresql://user:secret@host/db")
    assert "secret" not in str(orphans.environment(A="b"))
    assert orphans.environment(A="b")["A"] == "b"
