"""What a worker is asked before anything is trained."""

import pytest

from bench import inquiry
from bench.errors import BenchError, Interrupted
from bench.family import load
from bench.inquiry import measured_precision, sizes
from bench.workers.messages import Lost, Probed, Sized


class Warm:
    """A pool whose worker is idle already: it says nothing before it is asked something."""

    idle = (0,)

    def __init__(self, answer):
        self._answer, self.asked = answer, []

    def device_of(self, worker):
        return "CPU"

    def send(self, worker, message):
        self.asked.append(message)

    def poll(self, timeout):
        assert self.asked or not timeout, "it waits for a worker that waits for it"
        return [(0, self._answer)] if self.asked else []


def test_an_idle_worker_is_asked_at_once():
    pool = Warm(Probed(2.0, 1.0))
    assert measured_precision(pool) == "bfloat16"
    family = load("mlp")
    assert sizes(family, [dict(family.reference)], "float32", Warm(Sized((407050,), None))) == (407050,)


class Silent(Warm):
    def __init__(self):
        super().__init__(None)
        self.killed = []

    def poll(self, timeout):
        return []

    def kill(self, worker):
        self.killed.append(worker)


def test_a_worker_that_does_not_answer_can_be_left_and_is_ended(monkeypatch):
    polls = iter([False, False, True])
    with pytest.raises(Interrupted):
        measured_precision(Silent(), (), lambda: next(polls))
    monkeypatch.setattr(inquiry, "PROBE_SECONDS", 0.0)
    pool = Silent()
    with pytest.raises(BenchError, match="--precision float32"):
        measured_precision(pool)
    assert pool.killed == [0]


def test_a_worker_that_dies_of_measuring_is_asked_twice():
    """A device without that type, or without room, would else be asked for ever."""
    pool = Warm(Lost("crashed", "worker 0 ended with SIGABRT"))
    with pytest.raises(BenchError, match=r"ended with SIGABRT\. Say --precision float32"):
        measured_precision(pool)
    assert len(pool.asked) == 2
