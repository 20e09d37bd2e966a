"""Who searched a study for how long: one process after another, and several at a time."""

from dataclasses import replace

import pytest

from bench import sessions
from bench.records import Finished, Phases, Started, Trial
from bench.sessions import Session, most_workers
from bench.space import Int, SearchSpace
from bench.store import Store

SPACE = SearchSpace({"epochs": Int(1, 3)})
DONE = Trial(0, "complete", {"epochs": 1}, 0.5, 100, Phases(train=1.0), 0, seed=1)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    opened.create("s", {"family": "mlp"})
    yield opened
    opened.close()


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [1000.0]
    monkeypatch.setattr("bench.sessions.time.monotonic", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return wait


def finish(store, elapsed):
    writer = store.writer("s", SPACE)
    writer(Started(0, DONE.params, 0, 100))
    writer(Finished(replace(DONE, elapsed=elapsed)))


def test_every_search_is_known_with_its_workers_also_one_that_was_killed(store, clock):
    assert sessions.of(store, "s") == []
    for workers, seconds in ((1, 100.0), (2, 10.0)):
        with sessions.noted(store, "s", workers):
            clock(seconds)
    killed = sessions.noted(store, "s", 3)
    killed.__enter__()  # and never left
    finish(store, 112.0)  # which leaves its finished trials alone
    assert sessions.of(store, "s") == [Session(0.0, 100.0, 1), Session(100.0, 10.0, 2), Session(110.0, 2.0, 3)]


def test_searches_that_an_older_version_did_not_note_are_not_made_up(store, clock):
    store.set_seconds("s", 100.0)
    with sessions.noted(store, "s", 2):
        clock(10.0)
    assert sessions.of(store, "s") == []


def test_processes_that_joined_count_each_for_itself(store, clock):
    with sessions.noted(store, "s", 1):
        clock(5.0)
    with sessions.noted(store, "s", 2, "a"):
        clock(3.0)
        with sessions.noted(store, "s", 1, "b"):
            clock(4.0)
        clock(1.0)
    with sessions.noted(store, "s", 1):
        clock(2.0)
    found = sessions.of(store, "s")
    assert sorted(found) == [Session(0.0, 5.0, 1), Session(5.0, 4.0, 1), Session(5.0, 8.0, 2), Session(13.0, 2.0, 1)]
    assert most_workers(found) == 3  # a and b together


def test_one_that_joined_and_was_killed_counts_until_its_last_finished_trial(store, clock):
    killed = sessions.noted(store, "s", 2, "a")
    hear = killed.__enter__()
    clock(4.0)
    hear(Finished(DONE))
    clock(90.0)  # of a trial that another one runs again
    assert sessions.of(store, "s") == [Session(0.0, 4.0, 2)]


def test_those_that_follow_each_other_are_not_counted_as_if_together():
    assert most_workers([Session(0.0, 5.0, 2), Session(5.0, 1.0, 3), Session(5.5, 1.0, 1)]) == 4
    assert most_workers([Session(0.0, 0.0, 0)]) == 0
