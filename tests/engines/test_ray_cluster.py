"""A search over a real cluster: a head and two more nodes, each started by `ray start`, one of which is killed."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.errors import SealError
from bench.options import Resources
from bench.store import Store
from tests.engines.test_ray import drive
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

BENCH = [sys.executable, "-m", "bench"]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
QUICK = ["--dataset", "digits", "--no-final", "--engine", "ray", "--pruner", "none"]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Nodes:
    """Nodes of one cluster on this machine, each a `ray start --block` with a session of its own."""

    def __init__(self, folder):
        self.address = f"127.0.0.1:{free_port()}"
        self.folder = folder
        self._started = []

    def start(self, *resources, **environment):
        first = not self._started
        place = ["--head", "--port", self.address.partition(":")[2]] if first else ["--address", self.address]
        options = ["--include-dashboard=false", "--temp-dir", self.folder, "--disable-usage-stats"] if first else []
        log = (Path(self.folder) / f"node-{len(self._started)}.log").open("wb")
        process = subprocess.Popen(
            [*RAY, "start", *place, *options, "--node-ip-address", "127.0.0.1", "--object-store-memory", "80000000",
             "--block", *resources],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            # 15 as it comes, with which nothing happens on a machine that has other work.
            env={**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", **environment},
        )  # fmt: skip
        log.close()
        self._started.append(process)
        deadline = time.monotonic() + 180
        # One after the other: of two that start at once, one may never join.
        while "Ray runtime started" not in Path(log.name).read_text() or not self.raylet(process):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline, "the node did not start"
            time.sleep(0.2)
        return process

    @staticmethod
    def raylet(process):
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                if child.name() == "raylet":
                    return child
        return None

    def stop(self):
        for process in reversed(self._started):
            with contextlib.suppress(psutil.Error):
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                for one in family:
                    with contextlib.suppress(psutil.Error):
                        one.kill()
                psutil.wait_procs(family, timeout=10)
            process.wait()


@pytest.fixture
def nodes():
    folder = tempfile.mkdtemp(prefix="rc-", dir="/tmp")  # paths of Unix sockets are short
    found = Nodes(folder)
    yield found
    found.stop()
    shutil.rmtree(folder, ignore_errors=True)


def start(home, address, *arguments, epochs="100:150"):
    given = ["--ray-address", address, "--range", f"epochs={epochs}", *arguments, "--home", str(home)]
    command = [*BENCH, "search", "mlp", *QUICK, *given]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )


def trials(home):
    if not (home / "bench.db").exists():
        return []
    store = Store(home)
    try:
        return store.trials("digits-mlp-ray") if "digits-mlp-ray" in store.studies() else []
    finally:
        store.close()


def finished(home):
    return [trial for trial in trials(home) if trial.state != "running"]


def running(process, home):
    """How many trials run now; each has a processor of its own."""
    assert process.poll() is None, process.communicate()[1]
    return sum(trial.state == "running" for trial in trials(home))


def test_a_search_over_three_nodes_survives_the_loss_of_one(nodes, tmp_path):
    nodes.start("--num-cpus", "1")
    nodes.start("--num-cpus", "1")
    third = nodes.start("--num-cpus", "1")
    # More trials than two nodes run while the third starts.
    process = start(tmp_path, nodes.address, "--trials", "45", "--gpus", "none", epochs="50:75")
    wait_for(lambda: finished(tmp_path) and running(process, tmp_path) == 3)
    nodes.raylet(third).kill()
    _, said = process.communicate(timeout=400)
    assert process.returncode == 0, said
    found = trials(tmp_path)
    assert [trial.number for trial in found] == list(range(45))
    assert {trial.state for trial in found} == {"complete"}
    assert [trial.attempts for trial in found].count(2) == 1  # what the dead node had in hand ran again elsewhere
    assert len({trial.worker for trial in found}) > 1


def test_a_cluster_that_is_lost_ends_the_search_with_one_sentence_and_the_same_command_continues(nodes, tmp_path):
    nodes.start("--num-cpus", "2")
    process = start(tmp_path, nodes.address, "--trials", "5", "--gpus", "none", "--quiet", epochs="60:90")
    wait_for(lambda: finished(tmp_path) and running(process, tmp_path) == 2)
    before = finished(tmp_path)
    nodes.stop()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    (line,) = said.strip().splitlines()
    assert f"The Ray cluster at {nodes.address} is gone" in line and "the same command continues" in line
    kept = finished(tmp_path)  # one more may have come to its end while the nodes went down
    assert all(trial in kept for trial in before) and len(kept) < 5
    fresh = Nodes(tempfile.mkdtemp(prefix="rc-", dir="/tmp"))
    try:
        fresh.start("--num-cpus", "2")
        process = start(tmp_path, fresh.address, "--trials", "5", "--gpus", "none", epochs="60:90")
        _, said = process.communicate(timeout=300)
    finally:
        fresh.stop()
        shutil.rmtree(fresh.folder, ignore_errors=True)
    assert process.returncode == 0, said
    found = trials(tmp_path)
    assert [trial.state for trial in found] == ["complete"] * 5
    assert [found[trial.number] for trial in kept] == kept


def test_a_pretend_gpu_is_shared_by_the_trials_that_ask_for_half_of_it(nodes, tmp_path):
    nodes.start("--num-cpus", "0")
    nodes.start("--num-cpus", "2", "--num-gpus", "1")
    process = start(tmp_path, nodes.address, "--trials", "4", "--per-gpu", "2", epochs="50:75")
    wait_for(lambda: running(process, tmp_path) == 2)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert [trial.state for trial in trials(tmp_path)] == ["complete"] * 4


def test_a_node_with_other_versions_is_named_before_a_study_is_made(nodes, tmp_path):
    other = tmp_path / "site" / "keras-3.0.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 3.0.0\n")
    nodes.start("--num-cpus", "1")
    path = os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")])
    nodes.start("--num-cpus", "1", PYTHONPATH=path)
    process = start(tmp_path / "home", nodes.address, "--trials", "2")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "has keras 3.0.0, this machine" in said
    assert "Traceback" not in said
    assert trials(tmp_path / "home") == []


def test_a_node_guards_the_copies_of_the_data_that_it_has_itself(nodes, digits, faulty, tmp_path):
    """As `keras.datasets` leaves them in the home of whoever works there, which is another one than the searcher's."""
    there = tmp_path / "there" / "datasets" / "mnist.npz"
    there.parent.mkdir(parents=True)
    shutil.copyfile(digits.test_path, there)
    folder = tmp_path / "mnist-00000000"
    shutil.copytree(digits.folder, folder, ignore=shutil.ignore_patterns("test.npz"))
    replace(digits, name="mnist", data_id=folder.name, folder=folder).save()
    nodes.start("--num-cpus", "1", KERAS_HOME=str(there.parent.parent))
    with pytest.raises(SealError, match=f"tried to open {there}"):
        drive(
            digits, faulty, tmp_path, f"open:{there}", folder=folder,
            resources=Resources(gpus=[], ray_address=nodes.address),
        )  # fmt: skip
