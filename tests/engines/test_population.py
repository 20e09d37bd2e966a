"""Population-based training on a real cluster of this machine, with runs long enough for several rungs: what the record
of a trial says that went on from the state of a better one.
"""

import json
import os
import re
import subprocess
import sys

import pytest

from bench.engines.population import COPIED, Lineage
from bench.engines.schedulers import FACTORS
from bench.records import Phases
from bench.space import Choice, Float, Int, SearchSpace, When
from bench.store import Store
from bench.workers.messages import Done

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


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """(finished trials, rows as Optuna has them) of six trials over three rungs on digits, two at a time."""
    home = tmp_path_factory.mktemp("home")
    fixed = ["epochs=60", "depth=1", "batch_norm=False", "optimizer=adam"]
    command = [
        *(sys.executable, "-m", "bench", "search", "mlp", "--engine", "ray", "--pruner", "pbt", "--sampler", "random"),
        *("--dataset", "digits", "--trials", "6", "--workers", "2", "--no-final", "--precision", "float32", "--json"),
        *(f"--set={one}" for one in fixed),
        *("--range", "width=128:160", "--range", "learning_rate=1e-5:1e-2", "--home", str(home)),
    ]
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ, stdin=subprocess.DEVNULL)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["trials"]["complete"] == 6
    store = Store(home)
    rows = store._storage.get_all_trials(store._storage.get_study_id_from_name("digits-mlp-ray"))
    trials = store.trials("digits-mlp-ray")
    store.close()
    return trials, rows


SAID = re.compile(r"went on from the state of trial (\d+) after ([\d,]+) samples with (.+?)(?:; |$)")


@pytest.mark.slow
def test_a_trial_that_went_on_from_a_better_one_says_so_and_is_counted_for_what_was_trained(searched):
    trials, rows = searched
    images, nominal = 1197, 60 * 1197
    copies = [trial for trial in trials if trial.detail]
    assert copies, "no trial went on from another"
    assert trials[0].detail is None, "the reference stays what it is"
    for trial, row in zip(trials, rows, strict=True):
        assert trial.state == "complete" and trial.attempts == 1
        # Its curve ends where it does, with the value that it has.
        assert trial.curve[-1] == (nominal, trial.val_accuracy)
        assert [at for at, _ in trial.curve] == sorted({at for at, _ in trial.curve})
        assert {at for at, _ in trial.curve} <= {5000, 15000, 45000, nominal}
        assert {at: row.intermediate_values[at] for at, _ in trial.curve} == dict(trial.curve)
        assert [at for at, _ in trial.losses] == [at for at, _ in trial.curve]
        assert trial.seconds.train > 0
        if trial not in copies:
            assert trial.params == row.params | {name: trial.params[name] for name in trial.params.keys() - row.params}
            assert nominal <= trial.samples < nominal + 256
    for trial in copies:
        found = SAID.findall(trial.detail)
        assert found and all(int(source) != trial.number for source, _, _ in found)
        # Every state is of a rung, and of a trial that was there.
        assert {int(after.replace(",", "")) for _, after, _ in found} <= {5000, 15000, 45000}
        source, _, now = found[-1]
        stated = {name: float(value) for name, value in (part.rsplit(" ", 1) for part in now.split(", "))}
        assert {name: pytest.approx(trial.params[name], rel=1e-3) for name in stated} == stated
        other = trials[int(source)]
        if not other.detail:  # else it may have changed since
            assert trial.parameters == other.parameters
            assert trial.params["width"] == other.params["width"]
            for name, value in stated.items():
                factors = [trial.params[name] / other.params[name] if other.params[name] else 1.0]
                ends = [1e-5, 1e-2] if name == "learning_rate" else [0.0, 0.1]
                assert any(abs(factors[0] - factor) < 1e-6 for factor in (*FACTORS, 1.0)) or value in map(
                    pytest.approx, ends
                )
        assert images < trial.samples < 3 * nominal
