"""Population-based training on a real cluster of this machine: what the record of a trial says that went on from the
state of a better one.
"""

import math
import re
from types import SimpleNamespace

import pytest

from bench.engines.plan import Plan
from bench.engines.population import COPIED, Lineage
from bench.engines.ray_driver import RayDriver
from bench.engines.schedulers import FACTORS
from bench.family import load
from bench.options import Resources
from bench.records import Finished, Phases, Reported, Started
from bench.space import Choice, Float, Int, SearchSpace, When
from bench.store import Store
from bench.workers.messages import Done
from bench.workers.pool import Place

SPACE = SearchSpace(
    {
        "width": Int(8, 64),
        "optimizer": Choice("adam", "sgd"),
        "learning_rate": Float(1e-3, 1e-1, log=True),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "epochs": Int(3, 20),
    }
)


def end(samples, since=0, verdict="complete", detail=None):
    return Done(1, verdict, 0.9, samples, Phases(train=1.0), 10, 0, detail=detail, since=since)


def config(*copied, **params):
    return {"params": {"width": 8, "optimizer": "adam", "learning_rate": 0.01, "epochs": 3, **params}, COPIED: copied}


def test_a_trial_that_took_nothing_over_is_recorded_as_it_is():
    lineage = Lineage(SPACE)
    assert lineage.told(end(90)) == end(90)
    lineage.go_on({"params": {}}, 30, end(32, verdict="pruned"))  # paused, and on from its own state
    assert lineage.told(end(90, since=32)) == end(90, since=32)


def test_a_record_counts_what_was_trained_for_the_trial_and_names_each_state_that_it_took_over():
    lineage = Lineage(SPACE)
    lineage.go_on(config(3), 60, end(32))  # 32 of its own are given up for a state that is further
    lineage.go_on(config(3), 80, end(84, since=64))  # a pause
    lineage.go_on(config(3, 5, learning_rate=0.0125), 30, end(96, since=84))  # and back
    told = lineage.told(end(200, since=32, detail="and more"))
    assert told.samples == 32 + (84 - 64) + (96 - 84) + (200 - 32)
    assert told.detail == (
        "went on from the state of trial 3 after 60 samples with learning_rate 0.01; "
        "went on from the state of trial 5 after 30 samples with learning_rate 0.0125; and more"
    )


def test_a_run_whose_state_was_lost_took_nothing_over():
    lineage = Lineage(SPACE)
    lineage.go_on(config(3), 60, end(32))
    assert lineage.told(end(200)) == end(200)


TRAINED = SearchSpace(
    {
        "depth": Int(1, 2),
        "width": Int(64, 128),
        "batch_norm": Choice(False, True),
        "batch_size": Choice(128, 256),
        "optimizer": Choice("adam", "sgd"),
        "learning_rate": Float(1e-6, 1e-1, log=True),
        "weight_decay": Float(0.0, 0.1),
        "cooldown": Float(0.0, 0.7),
        "epochs": Int(1, 1000),
    }
)
GOOD = {
    "depth": 1, "width": 128, "batch_norm": False, "batch_size": 256, "optimizer": "adam", "learning_rate": 1e-3,
    "weight_decay": 0.05, "cooldown": 0.0, "epochs": 2400,
}  # fmt: skip
BAD = {**GOOD, "width": 64, "batch_size": 128, "learning_rate": 1e-6}
SAID = re.compile(r"went on from the state of trial (\d+) after ([\d,]+) samples with (.+?)(?:; |$)")


class Pair:
    """A proposer of a good trial and a bad one."""

    def resume(self, trials):
        pass

    def state_with(self, number):
        return {}

    def ask(self, number):
        return dict((GOOD, BAD)[number])

    def tell(self, trial):
        self.told = trial


@pytest.mark.slow
def test_a_trial_that_goes_on_from_a_better_one_says_so_and_is_counted_for_what_was_trained(digits, tmp_path):
    """Judged often and for long enough, so that the bad one meets the good one however late its actor starts."""
    nominal = 2400 * digits.n_train
    marks = list(range(48_000, nominal, 48_000))
    logs = tmp_path / "logs"
    logs.mkdir()
    rests = SimpleNamespace(
        places=[Place(1)] * 2, folder=digits.folder, forbidden=(), logs=logs, framework="tensorflow"
    )
    store = Store(tmp_path)
    store.create("s", {"family": "mlp"})
    writer, events, proposer = store.writer("s", TRAINED), [], Pair()

    def hear(event):
        writer(event)
        events.append(event)

    plan = Plan(load("mlp").source, 0, "float32", digits.n_train, 2, marks=marks)
    RayDriver(plan, proposer, "pbt", TRAINED, rests, hear, lambda: False, Resources(), None).run([])
    found = {event.trial.number: event.trial for event in events if isinstance(event, Finished)}
    assert store.trials("s") == [found[0], found[1]], "what is stored is what was found"
    rows = store._storage.get_all_trials(store._storage.get_study_id_from_name("s"))
    store.close()
    bad = found[1]
    taken = SAID.findall(bad.detail)
    assert taken and {int(source) for source, _, _ in taken} == {0}
    assert {int(after.replace(",", "")) for _, after, _ in taken} <= {*marks}
    # It ended with the good one's parameters, but for those that may change, and as good as that one.
    assert (bad.params["width"], bad.params["batch_size"], bad.parameters) == (128, 256, found[0].parameters)
    if found[0].detail is None:  # else that one has changed, too
        for name in ("learning_rate", "weight_decay"):
            change = bad.params[name] / found[0].params[name]
            assert any(math.isclose(change, factor) for factor in FACTORS)  # always of the other's, which stay
    stated = dict(part.rsplit(" ", 1) for part in taken[-1][2].split(", "))
    assert {name: float(value) for name, value in stated.items()} == {
        name: pytest.approx(bad.params[name], rel=1e-3) for name in ("learning_rate", "weight_decay")
    }
    assert bad.val_accuracy > 0.9
    assert rows[1].params["learning_rate"] == 1e-6, "Optuna keeps what was begun with"
    # What it reported last at each rung, and what was trained for it: its own, and nothing of the other's.
    curve = dict(bad.curve)
    assert bad.curve[-1] == (nominal, bad.val_accuracy)
    assert [at for at, _ in bad.curve] == sorted(curve) and {*curve} <= {*marks, nominal}
    assert [at for at, _ in bad.losses] == [at for at, _ in bad.curve]
    assert all(rows[1].intermediate_values[at] == value for at, value in curve.items())
    assert bad.samples == pytest.approx(_trained(events, taken, nominal), abs=256 * (2 * len(taken) + 2))
    for trial in found.values():
        assert trial.state == "complete" and trial.attempts == 1 and trial.seconds.train > 0


def _trained(events, taken, nominal):
    """Nominal samples of the runs of trial 1, by what it reported in each of them."""
    places = [int(after.replace(",", "")) for _, after, _ in taken]
    trained, at, begun, first = 0, 0, 0, True
    for event in events:
        if isinstance(event, Started) and event.number == 1 and not first:
            trained += at - begun
            changed = event.params["width"] == 128 and places
            begun = at = places.pop(0) if changed else at
        elif isinstance(event, Reported) and event.number == 1:
            at = event.samples
        first = first and not (isinstance(event, Started) and event.number == 1)
    return trained + nominal - begun
