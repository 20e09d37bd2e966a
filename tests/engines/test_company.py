"""Several processes on one study: each number to one of them, no number too many, what is left to exactly one."""

from types import SimpleNamespace

import pytest

from bench.engines import assembly
from bench.engines.company import Alone, Joined
from bench.engines.interface import Exhausted
from bench.engines.plan import Plan
from bench.errors import StudyLocked
from bench.family import load
from bench.options import ENGINES, Resources
from bench.patience import Patience
from bench.records import Finished, Paused, Started, Trial
from bench.store import Store

FAMILY = load("mlp")
STUDY = "digits-mlp"


class Process:
    """One bench that joined, without its pool: the parts that write and the part that is asked."""

    def __init__(self, home, target):
        self.store = Store(home)
        self.leases = self.store.leases(STUDY)
        stored = self.store.trials(STUDY)
        self.shown, self.said = [], []
        self.joined = Joined(
            self.store, STUDY, self.leases, target, stored, Patience(), self.shown.append, self.said.append
        )
        self.writer = self.store.writer(STUDY, FAMILY.space, shared=True)

    def look(self):
        self.joined._look_at = 0.0
        return self.joined.news()

    def begin(self):
        begun = self.joined.begin(lambda number: dict(FAMILY.reference))
        if begun is not None:
            self.tell(Started(begun[0], begun[1], 0, 1000, 1, 7))
        return begun and begun[0]

    def finish(self, number, state="complete", value=0.9):
        self.tell(Finished(Trial(number, state, FAMILY.reference, value, 1000, worker=0, seed=7)))

    def tell(self, event):
        self.writer(event)
        self.joined(event)


@pytest.fixture
def pair(tmp_path):
    store = Store(tmp_path)
    store.create(STUDY, {"family": "mlp"})
    store.close()
    both = [Process(tmp_path, 3), Process(tmp_path, 3)]
    yield both
    for one in both:
        one.leases.close()
        one.store.close()


def states(process):
    return [(trial.number, trial.state) for trial in process.store.trials(STUDY)]


def test_numbers_go_round_and_end_at_the_target(pair):
    a, b = pair
    assert a.begin() == 0
    assert b.begin() is None  # first it has to hear what 0 is
    assert [trial.number for trial in b.look()] == [0]
    assert b.begin() == 1
    a.look()
    assert a.begin() == 2
    b.look()
    a.look()
    assert a.begin() is None and b.begin() is None  # three are under way, three are wanted
    assert [number for number, _ in states(a)] == [0, 1, 2]


def test_a_number_that_is_being_proposed_for_is_nobody_elses(pair):
    a, b = pair

    def ask(number):
        assert b.begin() is None
        return dict(FAMILY.reference)

    assert a.joined.begin(ask) == (0, dict(FAMILY.reference))


@pytest.mark.parametrize("answer", [None, Exhausted])
def test_a_number_that_nothing_is_proposed_for_is_given_back(pair, answer):
    a, b = pair

    def ask(number):
        if answer is Exhausted:
            raise Exhausted
        return

    if answer is Exhausted:
        with pytest.raises(Exhausted):
            a.joined.begin(ask)
    else:
        assert a.joined.begin(ask) is None
    assert b.begin() == 0


def test_what_others_finish_is_shown_once_and_without_their_worker(pair):
    a, b = pair
    a.begin()
    b.look()
    assert b.joined.busy()
    a.finish(0)
    assert [trial.state for trial in b.look()] == ["complete"]
    assert b.look() is None
    assert [(event.trial.number, event.trial.worker) for event in b.shown] == [(0, None)]
    assert a.look() is None and a.shown == []  # its own is no news
    assert not b.joined.busy()


def test_what_runs_is_left_alone_and_what_is_paused_is_taken_over_by_one(pair):
    a, b = pair
    a.begin()
    b.look()
    assert b.joined.left(5) == []
    a.tell(Paused(0, 0))
    b.look()
    assert b.joined.left(0) == []  # no room
    b.look()
    (taken,) = b.joined.left(5)
    assert (taken.number, taken.attempts) == (0, 0)
    assert b.said and not a.joined.keeps(0) and b.joined.keeps(0)
    a.look()
    assert a.joined.left(5) == []


def test_a_trial_that_ended_between_two_looks_is_not_taken_over(pair):
    a, b = pair
    a.begin()
    b.look()
    a.finish(0)
    assert b.joined.left(5) == []
    assert b.leases.holders("trial ") == {} and a.leases.holders("trial ") == {}


def test_a_trial_that_was_never_begun_here_can_be_ended_here(pair):
    a, b = pair
    a.begin()
    a.tell(Paused(0, 0))
    b.look()
    assert len(b.joined.left(5)) == 1
    b.finish(0, "failed", None)
    assert states(a) == [(0, "failed")]


def test_alone_the_numbers_go_on_and_what_was_left_is_given_once():
    stored = [Trial(0, "complete", {}), Trial(1, "running", {})]
    alone = Alone(stored)
    assert [trial.number for trial in alone.left(0)] == [1]
    assert alone.left(5) == []
    assert alone.begin(lambda number: None) is None
    assert alone.begin(lambda number: {"n": number}) == (2, {"n": 2})
    assert alone.begin(lambda number: {"n": number}) == (3, {"n": 3})
    assert alone.news() is None and not alone.busy() and alone.keeps(2)


def test_whoever_lost_the_study_begins_nothing_in_it():
    def lost():
        raise StudyLocked("taken over")

    alone = Alone([Trial(0, "running", {})], lost)
    with pytest.raises(StudyLocked):
        alone.left(1)
    asked = []
    with pytest.raises(StudyLocked):
        alone.begin(asked.append)
    assert asked == []


@pytest.mark.parametrize(
    "engine, sampler", [(engine, sampler) for engine, offer in ENGINES.items() for sampler in offer.samplers[:2]]
)
def test_every_engine_asks_whether_the_study_is_still_its_own(engine, sampler):
    company = Alone([])
    settings = {"engine": engine, "sampler": sampler, "pruner": "none", "seed": 0}
    plan = Plan(FAMILY.source, 0, "float32", 1000, 5, longest=9.0)
    pool = SimpleNamespace(idle=[], places=[])
    driver = assembly.driver(settings, FAMILY, plan, pool, print, lambda: False, Resources(), company)
    assert driver._company is company
