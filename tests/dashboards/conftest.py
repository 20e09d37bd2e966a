"""A home with a small real search in it, a trial that failed in hostile words, and a study of somebody else."""

import json
import shutil
import subprocess
import sys

import optuna
import pytest

from bench.family import load
from bench.records import Finished, Started, Trial
from bench.store import Store

HOSTILE = "~~~~\n</code><img src=x onerror=alert(1)> [x](javascript:alert(1)) `a` |b| http://evil.example \x1b[31mred"


@pytest.fixture(scope="session")
def search():
    """(home, trials) -> the command that searches there."""

    def command(home, trials):
        what = ["search", "mlp", "--dataset", "digits", "--trials", str(trials), "--no-final", "--workers", "1"]
        return [sys.executable, "-m", "bench", *what, "--home", str(home)]

    return command


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def searched(search, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    subprocess.run(search(home, 6), check=True, capture_output=True)
    url = f"sqlite:///{home / 'bench.db'}"
    store, family = Store(home), load("mlp")
    writer = store.writer("digits-mlp", family.space)
    params = dict(family.reference)
    writer(Started(6, params, 0, 1000))
    writer(Finished(Trial(6, "failed", params, None, 1000, worker=0, reason="error", detail=HOSTILE, seed=3)))
    store.close()
    foreign = optuna.create_study(study_name="foreign", storage=url)
    trial = foreign.ask({"kind": optuna.distributions.CategoricalDistribution(["=cmd()", "b"])})
    attached = json.dumps({"artifact_id": "0-0", "filename": "x.html", "mimetype": "text/html", "encoding": None})
    foreign._storage.set_trial_system_attr(trial._trial_id, "artifacts:0-0", attached)
    trial.set_user_attr("bench", "[not a record")
    foreign.tell(trial, 1.5)
    return home


@pytest.fixture
def home(searched, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(searched, tmp_path / "home")
