"""One writer a study, named, whatever happens to the files beside it."""

import json
import os
import subprocess
import sys

import pytest

from bench import lock
from bench.errors import StudyLocked
from bench.files import unique_slug

HOLD = """
import sys
from pathlib import Path
from bench import lock
with lock.hold(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the study it is given, until the test is over."""
    started = []

    def hold(study):
        command = [sys.executable, "-c", HOLD, str(tmp_path), study]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.communicate()


def test_a_held_study_names_its_holder(tmp_path, holder):
    process = holder("mine")
    with pytest.raises(StudyLocked, match=f"process {process.pid}"), lock.hold(tmp_path, "mine"):
        pass
    assert f"process {process.pid}" in lock.holder(tmp_path, "mine")


def test_a_lock_file_that_was_deleted_under_its_holder_does_not_let_a_second_one_in(tmp_path, holder):
    process = holder("mine")
    (tmp_path / "locks" / "mine.lock").unlink()
    with pytest.raises(StudyLocked, match=f"process {process.pid}"), lock.hold(tmp_path, "mine"):
        pass
    assert lock.holder(tmp_path, "mine") is not None


def test_a_holder_that_was_killed_holds_nothing_though_its_name_is_left(tmp_path, holder):
    process = holder("mine")
    process.kill()
    process.wait()
    assert (tmp_path / "locks" / "mine.json").exists()
    assert lock.holder(tmp_path, "mine") is None
    with lock.hold(tmp_path, "mine"):
        pass


def test_whoever_has_the_number_of_a_holder_now_is_not_taken_for_it(tmp_path):
    (tmp_path / "locks").mkdir()
    path = tmp_path / "locks" / "mine.json"
    path.write_text(json.dumps({"pid": os.getppid(), "host": os.uname().nodename, "since": "then"}))
    os.utime(path, (1, 1))  # written long before that process began
    with lock.hold(tmp_path, "mine"):
        pass


def test_an_error_leaves_no_holders_name_behind(tmp_path):
    with pytest.raises(RuntimeError), lock.hold(tmp_path, "mine"):
        raise RuntimeError
    assert lock.stale(tmp_path) == []
    assert not (tmp_path / "locks" / "mine.json").exists()


@pytest.mark.parametrize("name", ["a b", "x" * 200, "x" * 79 + "/", "é" * 90])
def test_a_file_named_after_a_study_has_that_name_itself(name):
    assert unique_slug(unique_slug(name)) == unique_slug(name) != name
    assert len(unique_slug(name)) <= 80


def test_a_study_with_a_long_name_is_not_stale_while_it_is_held(tmp_path, holder):
    holder("long " * 39)
    assert lock.stale(tmp_path) == []


def test_names_that_look_alike_as_files_do_not_share_a_lock(tmp_path, holder):
    holder("a b")
    for other in ("a-b", "a/b", "a..b"):
        with lock.hold(tmp_path, other):
            pass
    with pytest.raises(StudyLocked), lock.hold(tmp_path, "a b"):
        pass
    assert all(path.parent == tmp_path / "locks" for path in (tmp_path / "locks").rglob("*.lock"))
