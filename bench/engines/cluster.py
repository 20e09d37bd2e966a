"""A Ray cluster: one of this machine's own that ends with the search, or one that runs already."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import frozen
from bench.engines.parcels import Shelf
from bench.engines.watch import watched
from bench.errors import UsageError
from bench.options import Resources
from bench.workers import orphans
from bench.workers.pool import Place

CONNECT_SECONDS = 10.0
CHECK_SECONDS = 60.0  # for every node to say what is installed there
STORE_BYTES = 200_000_000  # object store of a local cluster, which holds next to nothing
LONGEST_FOLDER = 40  # Ray adds 65 characters, and the path of a Unix socket ends at 107

# Quiet, no telemetry, no change of the working directory, no files of Tune's own. Read by Ray when it is imported, and
# inherited by what it starts.
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the old one keeps quiet when told to
    "RAY_AUTH_MODE": "disabled",
    "RAY_py_gcs_connect_timeout_s": "10",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 as it comes; a search on this machine weighs what it weighs on the local engine
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # between rungs there is nothing to report but progress
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # what Tune would write, our storage has
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


@dataclass(frozen=True)
class Cluster:
    """What a search may use of a cluster that is connected.

    Attributes:
        joined: it was there before, and its nodes need not see this machine's files.
        workers: trials at a time.
        request: what one trial asks Ray for, such as {"cpu": 1, "gpu": 0.5}.
        scratch: a folder of this machine that is removed at the end.
    """

    joined: bool
    workers: int
    request: Mapping[str, float]
    scratch: Path


@contextlib.contextmanager
def connected(asked: Resources, places: Sequence[Place]) -> Iterator[Cluster]:
    """Start or join a cluster; leave it, and end what was started, at the end.

    Args:
        places: where the workers of this machine run, which is what a cluster of its own offers.

    Raises:
        UsageError: no cluster at the address, it lacks what is asked for, or its nodes have other versions.
    """
    with _environment(), _signals(), _scratch(short=asked.ray_address is None) as scratch:
        import ray

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            found = _start(places, scratch) if asked.ray_address is None else _join(asked, scratch)
            with watched(asked.ray_address, ray.get_runtime_context().gcs_address):
                yield found
        finally:
            ray.shutdown()


def _start(places: Sequence[Place], scratch: Path) -> Cluster:

    gpus = sorted({place.gpu for place in places if place.gpu is not None})
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    try:
        _init(
            address="local",
            num_cpus=len(places),
            num_gpus=len(gpus),
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            _temp_dir=str(scratch / "ray"),
        )
    except Exception as error:
        raise UsageError(
            f"No Ray cluster can be started here: {_first_line(error)}. Search with --engine optuna, or join a cluster "
            "with --ray-address."
        ) from error
    return Cluster(False, len(places), _request(len(places) // len(gpus) if gpus else 0), scratch)


def _join(asked: Resources, scratch: Path) -> Cluster:
    import ray

    address = asked.ray_address or ""
    check_address(address)
    try:
        _init(address=address)
    except Exception as error:
        if "ersion mismatch" in str(error):
            raise UsageError(f"The cluster at {address} runs other versions: {_in_a_line(error)}") from error
        raise _nobody(address, error) from error
    _check_versions()
    has = ray.cluster_resources()
    slots = int(has.get("CPU", 0))
    use_gpus = has.get("GPU", 0) > 0 if asked.gpus is None else bool(asked.gpus)
    if use_gpus:
        present = int(has.get("GPU", 0))
        wanted = len(asked.gpus or ()) or present
        if wanted > present:
            raise UsageError(f"The cluster at {address} has {present} GPUs, {wanted} were asked for with --gpus.")
        slots = min(slots, wanted * asked.per_gpu)
    if not slots:
        raise UsageError(f"The cluster at {address} offers no processors: its resources are {dict(has)}.")
    return Cluster(True, min(asked.workers or slots, slots), _request(asked.per_gpu if use_gpus else 0), scratch)


def _init(**options: Any) -> None:
    import ray

    with _signals():
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)


def check_address(address: str | None) -> None:
    """Whether anybody listens there; Ray would wait much longer for nobody.

    Raises:
        UsageError: nobody does, or it is no address of a cluster.
    """
    if address is None or address == "auto":
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"The Ray address {address} is for Ray clients, and a search has to run on a node of the cluster: log in "
            "to one (on Kubernetes: kubectl exec into the head pod) and give --ray-address auto."
        )
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdigit() and int(port) < 65536):
        raise UsageError(f"A Ray address (--ray-address, $BENCH_RAY_ADDRESS) is HOST:PORT, or auto, not {address!r}.")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise _nobody(address, error) from None


def _nobody(address: str, error: BaseException) -> UsageError:
    return UsageError(
        f"No Ray cluster answers at {address!r}: {_first_line(error)}. Start one with `ray start --head`, give its "
        "address (HOST:6379, or auto on one of its nodes), or leave --ray-address out for one of this machine."
    )


def _request(per_gpu: int) -> dict[str, float]:
    return {"cpu": 1, "gpu": 1 / per_gpu} if per_gpu else {"cpu": 1}


# --- versions


def _check_versions() -> None:
    """Refuse nodes where other versions are installed: their trials would not compare.

    Raises:
        UsageError: naming each node, what it has, and what this machine has.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours = frozen.versions("ray")
    asked = ray.remote(num_cpus=0)(_installed(tuple(ours)))
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answers[asked.options(scheduling_strategy=there).remote()] = (
            node["NodeManagerHostname"],
            node["NodeManagerAddress"],
        )
    problems = []
    for answer, (host, where) in answers.items():
        name = f"{host} ({where})"
        try:
            theirs = ray.get(answer, timeout=CHECK_SECONDS)
        except Exception as error:
            problems.append(f"{name} does not answer: {_first_line(error)}")
            continue
        problems += [
            f"{name} has {package} {version}, this machine {ours[package]}"
            for package, version in theirs.items()
            if version != ours[package]
        ]
    if problems:
        raise UsageError(
            "\n".join(
                [
                    "Trials of nodes with other versions would not compare:",
                    *(f"  - {problem}" for problem in problems),
                    "Install the same there, or take these nodes out of the cluster.",
                ]
            )
        )


def _installed(packages: tuple[str, ...]) -> Any:
    """A function that tells what is installed; made here so that it travels by value, to where there is no bench."""

    def tell() -> dict[str, str]:
        import importlib
        import importlib.metadata
        import platform

        found = {}
        for package in packages:
            try:
                if package == "python":
                    found[package] = platform.python_version()
                elif package == "bench":
                    found[package] = str(importlib.import_module("bench").__version__)
                else:
                    found[package] = importlib.metadata.version(package)
            except Exception as error:
                found[package] = f"missing ({type(error).__name__})"
        return found

    return tell


# --- what is put back afterwards


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """While entered, what is started carries our mark and knows no password, and this process's settings are Ray's."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    os.environ[orphans.VARIABLE] = orphans.new_tag()
    for name in orphans.SECRET:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name in {*os.environ} - {*before}:
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Ray and Tune set handlers of their own, which would end the process where a clean stop is asked for."""
    with contextlib.ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            stack.callback(_restore, number, signal.getsignal(number))
        yield


def _restore(number: int, handler: Any) -> None:
    with contextlib.suppress(ValueError):  # outside the main thread neither Ray nor we may set any
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def _scratch(short: bool) -> Iterator[Path]:
    parent = tempfile.gettempdir()
    if short and len(parent) > LONGEST_FOLDER - len("/bench-ray-12345678"):
        parent = "/tmp"
    shelf = Shelf.new(parent)
    try:
        yield shelf.folder
    finally:
        shelf.leave()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _in_a_line(error: BaseException) -> str:
    return " ".join(str(error).split())
