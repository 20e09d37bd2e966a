"""The Ray engine on a real cluster of this machine: the same records as the local engine, and nothing left behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from types import SimpleNamespace

import psutil
import pytest

from bench import cli
from bench.commands.running import asked
from bench.engines.cluster import check_address
from bench.engines.company import Alone
from bench.engines.plan import Plan
from bench.engines.ray_driver import RayDriver
from bench.errors import BenchError, SealError, StudyLocked, UsageError
from bench.options import ENGINES, Resources
from bench.records import Finished, Progressed, Reported, Started, WorkerChanged
from bench.space import Choice, Int, SearchSpace
from bench.store import Store
from bench.workers.orphans import VARIABLE
from bench.workers.pool import Place
from tests.waiting import wait_for

BENCH = [sys.executable, "-m", "bench"]
QUICK = ["--dataset", "digits", "--workers", "2", "--no-final", "--engine", "ray", "--range", "epochs=5:12"]


SPACE = SearchSpace({"fault": Choice("none", "long"), "epochs": Int(1, 100_000)})


class Script:
    """A proposer that gives what it was given."""

    def __init__(self, *configs):
        self.configs = configs

    def resume(self, trials):
        self.resumed = trials

    def ask(self, number):
        return self.configs[number]

    def tell(self, trial):
        pass

    def state_with(self, number):
        return {}


def drive(digits, family, tmp_path, *faults, epochs=1, workers=1, folder=None, forbidden=(), stored=(), **plan):
    """Run one trial a fault; returns the finished trials by number, and all events."""
    events = []
    configs = [{"fault": fault, "epochs": epochs} for fault in faults]
    logs = tmp_path / "logs"
    logs.mkdir(exist_ok=True)
    rests = SimpleNamespace(
        places=[Place(1)] * workers,
        folder=folder or digits.folder,
        forbidden=forbidden,
        logs=logs,
        framework="tensorflow",
    )
    during = plan.pop("during", lambda event: None)
    stop, company = plan.pop("stop", lambda: False), plan.pop("company", None)
    pruner, resources = plan.pop("pruner", "asha"), plan.pop("resources", Resources())

    def hear(event):
        events.append(event)
        during(event)

    driver = RayDriver(
        Plan(family, 0, "float32", digits.n_train, **{"target": len(configs), **plan}),
        Script(*configs), pruner, SPACE, rests, hear, stop, resources, None, company,
    )  # fmt: skip
    driver.run(list(stored))
    return {e.trial.number: e.trial for e in events if isinstance(e, Finished)}, events


def search(home, *arguments, check=True, **environment):
    command = [*BENCH, "search", "mlp", *QUICK, *arguments, "--home", str(home), "--json"]
    run = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    assert not check or run.returncode == 0, run.stderr
    return run


def start(home, *arguments):
    command = [*BENCH, "search", "mlp", *QUICK, *arguments, "--home", str(home)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip


def trials(home, study="digits-mlp-ray"):
    if not (home / "bench.db").exists():
        return []
    store = Store(home)
    try:
        return store.trials(study) if study in store.studies() else []
    finally:
        store.close()


def of_ours(pid):
    """What a bench with this number started and still runs, workers of its actors included."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if process.environ().get(VARIABLE, "").startswith(f"{pid}:"):
                found.append((process.pid, process.info["cmdline"]))
        except (psutil.Error, OSError):
            continue
    return found


def check_records(found, count):
    """What holds for every engine."""
    assert [trial.number for trial in found] == list(range(count))
    assert {trial.state for trial in found} <= {"complete", "pruned", "failed"}
    for trial in found:
        nominal = round(trial.params["epochs"] * 1197)
        assert trial.seed is not None
        assert trial.seconds.train > 0
        assert trial.parameters > 0
        assert sum(images for _, _, images in trial.confusion) == 240
        assert trial.val_accuracy == trial.curve[-1][1]
        assert [samples for samples, _ in trial.losses] == [samples for samples, _ in trial.curve]
        if trial.state == "complete":
            assert trial.samples >= nominal
            assert trial.curve[-1][0] == nominal
        else:
            assert trial.samples < nominal


@pytest.mark.slow
def test_a_search_has_the_records_of_any_engine_and_leaves_nothing_behind(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    home = tmp_path / "home"
    said = json.loads(search(home, "--trials", "8", TMPDIR=str(scratch)).stdout)
    assert (said["engine"], said["study"]) == ("ray", "digits-mlp-ray")
    found = trials(home)
    check_records(found, 8)
    assert found[0].state == "complete"  # the reference
    assert said["trials"]["pruned"] == sum(trial.state == "pruned" for trial in found) > 0
    assert list(scratch.iterdir()) == []
    assert [
        one for one in psutil.process_iter(["cmdline"]) if str(scratch) in " ".join(one.info["cmdline"] or [])
    ] == []
    again = search(home, "--trials", "8")
    assert json.loads(again.stdout)["trials"] == said["trials"]


@pytest.mark.slow
def test_every_fault_has_its_reason_and_the_search_goes_on(digits, faulty, tmp_path):
    faults = ["none", "exit", "abort", "kill", "memory", "raise", "nan", "none"]
    found, events = drive(digits, faulty, tmp_path, *faults, workers=2)
    assert [found[n].state for n in range(8)] == ["complete", *["failed"] * 6, "complete"]
    reasons = [found[n].reason for n in range(8)]
    assert reasons == [None, "crashed", "crashed", "killed", "out of memory", "error", "diverged", None]
    assert [found[n].attempts for n in (1, 2, 3, 5)] == [2, 2, 2, 1]
    assert "a bug in build" in found[5].detail
    numbers = [event.trial.number for event in events if isinstance(event, Finished)]
    assert sorted(numbers) == list(range(8))


@pytest.mark.slow
def test_an_actor_that_opens_what_is_sealed_ends_the_search(digits, faulty, tmp_path):
    path = digits.test_path
    with pytest.raises(SealError, match=f"tried to open {path}"):
        drive(digits, faulty, tmp_path, f"open:{path}", "none", forbidden=[path])


@pytest.mark.slow
def test_a_build_that_hangs_has_timed_out_and_is_not_tried_again(digits, faulty, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.engines.ray_driver.GRACE_SECONDS", 1.0)
    found, _ = drive(digits, faulty, tmp_path, "hang", "none", trial_seconds=4.0)
    assert (found[0].state, found[0].reason, found[0].attempts) == ("failed", "timed out", 1)
    assert found[1].state == "complete"


@pytest.mark.slow
def test_an_actor_that_is_killed_loses_its_trial_once(digits, faulty, tmp_path):
    killed = []

    def kill(event):
        if isinstance(event, Reported) and not killed:
            (actor,) = [one for one in psutil.Process().children(recursive=True) if "Station" in one.name()]
            killed.append(actor.pid)
            actor.kill()

    found, events = drive(digits, faulty, tmp_path, "none", epochs=40, during=kill)
    assert killed
    assert (found[0].state, found[0].attempts) == ("complete", 2)
    first, second = [event for event in events if isinstance(event, Started)]
    assert (first.seed, first.params) == (second.seed, second.params)


@pytest.mark.slow
def test_a_driver_that_was_held_up_takes_no_actor_for_dead(digits, faulty, tmp_path, monkeypatch):
    """As by a storage that is away, a full disk, or a stop: it did not listen, and the actor waits for its answer."""
    monkeypatch.setattr("bench.engines.ray_driver.SILENT_SECONDS", 4.0)
    held_up = []

    def hold_up(event):
        if isinstance(event, Reported) and not held_up:
            held_up.append(event)
            time.sleep(8.0)

    found, _ = drive(digits, faulty, tmp_path, "none", epochs=40, during=hold_up)
    assert held_up
    assert (found[0].state, found[0].attempts) == ("complete", 1)


@pytest.mark.slow
def test_a_trial_that_was_resumed_and_then_lost_has_every_rung_once(digits, faulty, tmp_path):
    begun, killed = Counter(), []

    def kill(event):
        if isinstance(event, Started):
            begun[event.number] += 1
        if isinstance(event, Reported) and begun[event.number] == 2 and not killed:
            (actor,) = [one for one in psutil.Process().children(recursive=True) if "Station" in one.name()]
            killed.append(event.number)
            actor.kill()

    # Long enough for two rungs.
    found, _ = drive(digits, faulty, tmp_path, *["none"] * 4, epochs=80, during=kill, pruner="hyperband")
    assert killed and begun[killed[0]] >= 3
    for trial in found.values():
        samples = [place for place, _ in trial.curve]
        assert samples == sorted(set(samples))
        assert [place for place, _ in trial.losses] == samples
    assert found[killed[0]].attempts == 2


@pytest.mark.slow
def test_a_worker_that_dies_while_its_state_is_saved_costs_its_own_trial(digits, faulty, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_FAILPOINT", "files: before state.npz")
    found, _ = drive(digits, faulty, tmp_path, *["none"] * 4, epochs=60, pruner="hyperband")
    assert len(found) == 4
    assert ("failed", "killed", 2) in {(trial.state, trial.reason, trial.attempts) for trial in found.values()}


@pytest.mark.slow
def test_whoever_lost_the_study_writes_nothing_more_of_what_ran(digits, faulty, tmp_path):
    lost, events = [], []

    def still_alone():
        if lost:
            raise StudyLocked("taken over")

    def during(event):
        events.append(event)
        if isinstance(event, Started):
            lost.append(event)

    with pytest.raises(StudyLocked, match="taken over"):
        drive(digits, faulty, tmp_path, "none", epochs=40, during=during, company=Alone([], still_alone))
    assert [type(event) for event in events if not isinstance(event, (WorkerChanged, Progressed))] == [Started]


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_search_with_the_log(digits, faulty, tmp_path):
    with pytest.raises(BenchError, match=r"3 workers in a row ended before they were ready.*ray-0-0\.log"):
        drive(digits, faulty, tmp_path, "none", folder=tmp_path / "no data here")


FAULTY_START = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "bench.engines.station":
            {fault}

if b"default_worker.py" in open("/proc/self/cmdline", "rb").read():
    sys.meta_path.insert(0, Finder())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [("raise ImportError('no such library')", "no such library"), ("os._exit(7)", "a Ray actor")],
    ids=["error", "death"],
)
def test_actors_that_die_at_import_end_the_search_with_one_sentence(tmp_path, fault, said):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(FAULTY_START.format(fault=fault))
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    run = search(tmp_path / "home", "--trials", "3", "--quiet", check=False, PYTHONPATH=path)
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert "Ray actors in a row ended before they said anything" in line and said in line
    assert {trial.state for trial in trials(tmp_path / "home")} <= {"running"}  # none has failed by it


@pytest.mark.slow
def test_a_stop_pauses_what_runs_and_the_same_command_goes_on(tmp_path):
    process = start(tmp_path, "--trials", "8")
    wait_for(lambda: [trial for trial in trials(tmp_path) if trial.state != "running"])
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everything that is in the foreground
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert of_ours(process.pid) == []
    before = trials(tmp_path)
    assert all(trial.attempts == 0 for trial in before if trial.state == "running")
    search(tmp_path, "--trials", "8")
    after = trials(tmp_path)
    check_records(after, 8)
    done = [trial for trial in before if trial.state != "running"]
    assert [after[trial.number] for trial in done] == done


@pytest.mark.slow
def test_a_killed_search_leaves_no_process_and_continues_to_its_target(tmp_path):
    process = start(tmp_path, "--trials", "8")
    wait_for(lambda: [trial for trial in trials(tmp_path) if trial.state != "running"])
    process.kill()
    process.communicate()
    wait_for(lambda: not of_ours(process.pid), 20)
    before = [trial for trial in trials(tmp_path) if trial.state != "running"]
    search(tmp_path, "--trials", "8")
    after = trials(tmp_path)
    check_records(after, 8)
    assert [after[trial.number] for trial in before] == before


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "hyperband", "pbt"])
def test_every_pruner_reaches_its_target(tmp_path, pruner):
    search(tmp_path, "--trials", "9", "--pruner", pruner, "--sampler", "random", "--range", "epochs=8:12")
    found = trials(tmp_path)
    check_records(found, 9)
    assert found[0].state == "complete"
    if pruner == "pbt":
        assert {trial.state for trial in found} == {"complete"}
    if pruner == "hyperband":
        assert "pruned" in {trial.state for trial in found}


def test_population_based_training_needs_something_to_change(tmp_path):
    fixed = [f"--set={name}" for name in ("learning_rate=0.002", "weight_decay=0", "optimizer=adam")]
    run = search(tmp_path, "--trials", "3", "--pruner", "pbt", *fixed, check=False)
    assert run.returncode == 2
    assert "searches none of them" in run.stderr
    assert "--pruner asha" in run.stderr
    assert trials(tmp_path) == []


@pytest.mark.slow
def test_no_cluster_at_the_address_is_said_at_once(tmp_path):
    run = search(tmp_path, "--trials", "3", check=False, BENCH_RAY_ADDRESS="127.0.0.1:1")
    assert run.returncode == 2
    assert "No Ray cluster answers at '127.0.0.1:1'" in run.stderr
    assert "ray start --head" in run.stderr
    assert "Traceback" not in run.stderr
    assert trials(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "A Ray address (--ray-address, $BENCH_RAY_ADDRESS) is HOST:PORT, or auto, not 'nowhere'."),
        ("ray://127.0.0.1:1", "is for Ray clients"),
    ],
)
def test_an_address_that_can_be_none_is_refused(address, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        check_address(address)


def test_an_address_in_the_environment_is_left_alone_by_other_engines(monkeypatch):
    monkeypatch.setenv("BENCH_RAY_ADDRESS", "10.0.0.1:6379")
    of = {engine: asked(cli.parser().parse_args(["search", "mlp", "--engine", engine])) for engine in ENGINES}
    assert {engine: options.ray_address for engine, options in of.items()} == {
        "optuna": None, "keras-tuner": None, "ray": "10.0.0.1:6379",
    }  # fmt: skip


def test_an_address_is_for_the_ray_engine():
    run = subprocess.run(
        [*BENCH, "search", "mlp", "--ray-address", "auto", "--dataset", "digits"], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "is for engine ray, not optuna" in run.stderr
