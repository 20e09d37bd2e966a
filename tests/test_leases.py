"""Leases on a study and its trials, on a real PostgreSQL server and in an SQLite file; and who may write."""

import os
import subprocess
import sys

import pytest

from bench import holding
from bench.errors import StudyLocked
from bench.leases import ALONE, FINAL, LEASE_SECONDS, TABLE
from bench.store import Store
from tests.waiting import wait_for


@pytest.fixture
def store(storage, tmp_path):
    opened = Store(tmp_path / "home", storage)
    yield opened
    opened.close()


def elsewhere(monkeypatch):
    """Take what is claimed next for another machine's, whose processes cannot be looked at."""
    monkeypatch.setattr("bench.leases._place", lambda: "another machine")


def run_out(store):
    with store._storage.engine.begin() as connection:
        connection.execute(TABLE.update().values(expires=TABLE.c.expires - 2 * LEASE_SECONDS))


def test_of_two_who_claim_one_gets_it_and_the_other_after_it_is_given_back(store):
    first, second = store.leases("s"), store.leases("s")
    assert first.claim("trial 3")
    assert not second.claim("trial 3")
    assert first.claim("trial 3")
    assert "trial 3" in second.holders("trial ")
    assert second.claim("trial 4") and store.leases("t").claim("trial 3")
    first.release("trial 3")
    assert second.claim("trial 3")
    assert not first.keeps("trial 3")
    for one in (first, second):
        one.close()


def test_what_a_process_gives_back_at_its_end_is_free(store):
    first, second = store.leases("s"), store.leases("s")
    assert first.claim("trial 3")
    first.close()
    assert second.holders("trial ") == {}
    assert second.claim("trial 3")
    second.close()


def test_a_dead_hosts_lease_outlives_it_and_is_then_taken_by_exactly_one(store, monkeypatch):
    dead = store.leases("s")
    with monkeypatch.context() as patch:
        elsewhere(patch)
        assert dead.claim("trial 3")
    dead._closed.set()  # nobody renews it any more
    dead._thread.join()
    first, second = store.leases("s"), store.leases("s")
    assert not first.claim("trial 3", at_once=True)  # it has not run out
    run_out(store)
    assert not first.claim("trial 3")  # has not looked on for long enough to call others dead
    for one in (first, second):
        one._steady_since -= 2 * LEASE_SECONDS
    assert first.claim("trial 3")
    assert not second.claim("trial 3")
    assert not dead.keeps("trial 3")
    first.close()


def test_whoever_was_cut_off_itself_does_not_call_others_dead(store, monkeypatch):
    other, one = store.leases("s"), store.leases("s")
    with monkeypatch.context() as patch:
        elsewhere(patch)
        assert other.claim("trial 3")
    one._steady_since -= 10 * LEASE_SECONDS
    one._renewed -= LEASE_SECONDS  # the storage was away
    run_out(store)
    assert not one.claim("trial 3")
    assert other.keeps("trial 3")  # comes back, and has it still
    other.close()


def test_a_process_of_this_machine_that_was_killed_is_known_at_once(store, tmp_path, storage):
    script = (
        "import sys, time; from pathlib import Path; from bench.store import Store\n"
        "leases = Store(Path(sys.argv[1]), sys.argv[2]).leases('s'); print(leases.claim('trial 3'), flush=True)\n"
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "other"), storage]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    one = store.leases("s")
    assert not one.claim("trial 3")
    process.kill()
    process.communicate()
    assert one.claim("trial 3")
    one.close()


def test_a_lease_is_renewed_while_its_process_lives(store, monkeypatch):
    monkeypatch.setattr("bench.leases.RENEW_SECONDS", 0.1)
    one = store.leases("s")
    assert one.claim("trial 3")
    run_out(store)
    wait_for(lambda: store.leases("s")._rows("trial 3")["trial 3"]["left"] > LEASE_SECONDS / 2, 10)
    one.close()


# --- who may write


def test_a_second_home_is_refused_and_told_who_holds_the_study(store, storage, tmp_path):
    there = Store(tmp_path / "there", storage)
    me = f"process {os.getpid()} on {os.uname().nodename}"
    with holding.hold(store, tmp_path / "home", "s"):
        for join in (False, True):
            with pytest.raises(StudyLocked, match=me), holding.hold(there, tmp_path / "there", "s", join):
                pass
        assert me in holding.holder(there, tmp_path / "there", "s")
        with holding.hold(there, tmp_path / "there", "another study"):
            pass
    with holding.hold(there, tmp_path / "there", "s"):
        pass
    assert holding.holder(there, tmp_path / "there", "s") is None
    there.close()


def test_who_joined_may_be_joined_but_not_pushed_aside(store, storage, tmp_path):
    there = Store(tmp_path / "there", storage)
    with holding.hold(store, tmp_path / "home", "s", join=True):
        with holding.hold(there, tmp_path / "there", "s", join=True), holding.hold(store, tmp_path / "home", "s", True):
            pass
        with pytest.raises(StudyLocked, match="shared by process"), holding.hold(there, tmp_path / "there", "s"):
            pass
    with holding.hold(there, tmp_path / "there", "s"):
        pass
    there.close()


def test_a_study_that_is_held_alone_in_the_plain_home_costs_no_lease(tmp_path):
    store = Store(tmp_path)
    with holding.hold(store, tmp_path, "s") as leases:
        assert leases._thread is None
    with store._storage.engine.connect() as connection:
        assert not store._storage.engine.dialect.has_table(connection, TABLE.name)
    store.close()


@pytest.mark.parametrize("alias", ["link", "true", "1"])
def test_one_file_by_two_names_is_held_by_one(tmp_path, alias):
    own = Store(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "bench.db").symlink_to(tmp_path / "a" / "bench.db")
    url = None if alias == "link" else f"sqlite:///file:{tmp_path / 'a' / 'bench.db'}?uri={alias}"
    other = Store(tmp_path / "b", url)
    with (
        holding.hold(own, tmp_path / "a", "s"),
        pytest.raises(StudyLocked),
        holding.hold(other, tmp_path / "b", "s"),
    ):
        pass
    for store in (own, other):
        store.close()


@pytest.mark.parametrize("join", [False, True])
def test_whoever_lost_a_final_while_it_was_held_up_opens_no_test_set(store, join, monkeypatch):
    right = FINAL if join else ALONE
    first, second = store.leases("s"), store.leases("s")
    try:
        assert first.claim(right)
        if join or store.folder is None:
            holding.still_testing(store, "s", first, join)
            monkeypatch.setattr("bench.leases._lives", lambda pid, born: False)
            run_out(store)
            assert second.claim(right, at_once=True)
            with pytest.raises(StudyLocked, match="The test set was not opened"):
                holding.still_testing(store, "s", first, join)
    finally:
        first.close()
        second.close()


def test_whoever_lost_the_study_while_it_was_held_up_writes_no_more(tmp_path, url, monkeypatch):
    store = Store(tmp_path, url)
    with monkeypatch.context() as patch:
        elsewhere(patch)
        held_up = store.leases("s")
        assert held_up.claim(ALONE)
    holding.still_alone("s", held_up)
    run_out(store)
    with holding.hold(store, tmp_path, "s"), pytest.raises(StudyLocked, match="taken over by process"):
        holding.still_alone("s", held_up)
    held_up.close()
    store.close()
