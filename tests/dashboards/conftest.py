"""A home with a small real search in it, a trial that failed in hostile words, and a study of somebody else."""

import json
import shutil
import subprocess
import sys

import optuna
import pytest

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
    study = optuna.load_study(study_name="digits-mlp", storage=url)
    trial = study.ask()
    record = {"params": {}, "reason": "error", "detail": HOSTILE, "worker": 0, "seed": 3, "samples": 1000}
    trial.set_user_attr("bench", json.dumps(record))
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
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
