"""What `bench doctor` checks: would the main job run here, and with what? Each check says what it saw."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.catalog import KNOWN, source_of
from bench.data.sealed import Sealed, sealed_in
from bench.disk import RESERVE, megabytes
from bench.errors import BenchError, UsageError
from bench.hardware import listed_gpus
from bench.training import backend
from bench.workers.devices import places
from bench.workers.pool import Pool

ENGINES = {"optuna": ("optuna",), "ray": ("ray",), "keras-tuner": ("keras-tuner", "tensorboard")}
SAMPLERS = {"gp": "torch", "cmaes": "cmaes"}
GPU_PACKAGES = {
    "tensorflow": "python -m pip install 'tensorflow[and-cuda]'",
    "jax": "python -m pip install 'jax[cuda13]', or 'jax[cuda12]' for an older driver",
}
IMPORTS = ("numpy", "scipy", "sqlalchemy", "optuna", "rich", "psutil", "sklearn")


@dataclass(frozen=True)
class Check:
    """One line of the report. Only a `problem` keeps the main job from running; `remedy` is what to type or do."""

    part: str
    name: str
    state: Literal["ok", "note", "problem"]
    said: str
    remedy: str | None = None


def versions() -> Iterator[Check]:
    """Python, the framework that trains, and every dependency, held against the lower bound that was tested."""
    from packaging.requirements import Requirement

    framework = backend.asked()

    wanted = importlib.metadata.metadata("bench")["Requires-Python"] or ""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("versions", "python", "ok", f"{python} ({wanted} is needed)")
    try:
        yield Check("versions", "backend", "ok", f"{backend.chosen()} trains (another with {backend.VARIABLE})")
    except UsageError as error:
        yield Check(
            "versions", "backend", "problem", str(error), f"correct {backend.VARIABLE}, or install what it names"
        )
    for text in importlib.metadata.requires("bench") or []:
        requirement = Requirement(text)
        extras = {"", framework}
        if requirement.marker is not None and not any(requirement.marker.evaluate({"extra": x}) for x in extras):
            continue
        mend = f"python -m pip install '{requirement.name}{requirement.specifier}'"
        try:
            seen = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            if requirement.name in backend.NAMES and requirement.name != framework:
                yield Check("versions", requirement.name, "ok", f"is not installed; {framework} trains without it")
            else:
                yield Check("versions", requirement.name, "problem", "is not installed", mend)
            continue
        fits = requirement.specifier.contains(seen, prereleases=True)
        said = seen if fits else f"{seen}, but {requirement.specifier} is needed"
        yield Check("versions", requirement.name, "ok" if fits else "problem", said, None if fits else mend)


def imports() -> Iterator[Check]:
    """Import what a search needs, each in a process of its own, so that one that crashes is only named."""
    for name in IMPORTS:
        run = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, text=True)
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines()
            why = lines[-1] if lines else f"exit code {run.returncode}"
            mend = f"python -m pip install --force-reinstall {name.replace('sklearn', 'scikit-learn')}"
            yield Check("versions", f"import {name}", "problem", f"fails: {why[:200]}", mend)


def devices() -> Iterator[Check]:
    """Cores, memory and GPUs, and how many workers follow from them."""
    import psutil

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0))
    yield Check("devices", "processor", "ok", f"{cores} cores to use")
    yield (
        Check("devices", "memory", "ok", f"{megabytes(memory.available)} free of {megabytes(memory.total)}")
        if memory.available > 2e9
        else Check(
            "devices",
            "memory",
            "note",
            f"only {megabytes(memory.available)} free of {megabytes(memory.total)}; a worker takes up to 1,300 MB",
            "close something, or search with --workers 1",
        )
    )
    gpus = listed_gpus("index,name,memory.free,memory.total")
    yield Check("devices", "GPUs", "ok" if gpus else "note", "; ".join(gpus) or "none that the NVIDIA driver lists")
    where = places(None, None, 1)
    kind = "one a GPU" if where[0].gpu is not None else "one a core, one thread each"
    yield Check("devices", "workers", "ok", f"{len(where)} ({kind})")


def precision(sealed: Sealed, logs: Path, probe: Callable[[Pool], tuple[float, float, str]]) -> Iterator[Check]:
    """Start one worker as a search does, and let it measure what `--precision auto` would choose."""
    try:
        with Pool(places(1, None, 1), sealed.folder, [], logs) as pool:
            framework, gpu = pool.framework, pool.places[0].gpu
            float32, bfloat16, chosen = probe(pool)
            device = pool.device_of(0)
    except BenchError as error:
        log = logs / "worker-0.log"  # none where no worker could be started
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        said = f"{error} {lines[-1] if lines else ''}".strip()
        mend = f"python -m pip install --force-reinstall {backend.asked()} keras"
        yield Check("devices", "worker", "problem", said, mend)
        return
    if device == "CPU" and gpu is not None:
        said = f"starts, but {framework} trains on the processor: it does not see GPU {gpu}"
        yield Check("devices", "worker", "note", said, GPU_PACKAGES[framework])
    else:
        yield Check("devices", "worker", "ok", f"starts, and {framework} trains on {device}")
    said = f"auto takes {chosen}: a step takes {float32:.2f} ms in float32, {bfloat16:.2f} ms in bfloat16"
    yield Check("devices", "precision", "ok", said)


def data(home: Path, data_dir: Path | None) -> Iterator[Check]:
    """Where each known data set is found, or how to get it."""
    if data_dir is not None and not data_dir.is_dir():
        yield Check("data", "data dir", "problem", f"{data_dir} is no folder", "give another with --data-dir")
        return
    sealed = {entry.name: entry for entry in sealed_in(home)}
    for name, known in KNOWN.items():
        source = source_of(name, data_dir)
        if source is not None:
            yield Check("data", name, "ok", f"{source.kind}{f': {source.path}' if source.path else ''}")
        elif name in sealed:
            yield Check("data", name, "ok", f"sealed in {sealed[name].folder}")
        else:
            said = "not on disk"
            said += " (else the built-in digits are used)" if name == "mnist" else ""
            yield Check("data", name, "note", said, known.how_to_get)


def storage(home: Path, url: str | None, reach: Callable[[Path, str | None], str | None]) -> Iterator[Check]:
    """Home and storage: there, writable, with room."""
    existing = next(path for path in (home.absolute(), *home.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        yield Check("storage", "home", "problem", f"{existing} is not a writable folder", "give another with --home")
        return
    free = shutil.disk_usage(existing).free
    room = free >= 20 * RESERVE
    said = f"{home}{'' if home.exists() else ' (will be made)'}, {megabytes(free)} free"
    mend = None if room else f"make room; {megabytes(20 * RESERVE)} are a good start"
    yield Check("storage", "home", "ok" if room else "problem" if free < RESERVE else "note", said, mend)
    if url is None and not (home / "bench.db").exists():
        yield Check("storage", "storage", "ok", f"{home / 'bench.db'} (will be made)")
        return
    broken = reach(home, url)
    where = str(home / "bench.db") if url is None else "the one of --storage"
    mend = "`bench fsck` says more" if url is None else "correct the URL, or leave --storage out"
    if broken:
        yield Check("storage", "storage", "problem", broken, mend)
    else:
        yield Check("storage", "storage", "ok", f"{where} can be read and written")


def engines() -> Iterator[Check]:
    """What each engine and sampler needs beyond the plain installation."""
    for engine, packages in ENGINES.items():
        missing = [package for package in packages if not _installed(package)]
        state: Literal["ok", "note", "problem"] = "ok"
        if missing:
            state = "problem" if engine == "optuna" else "note"
        mend = f"python -m pip install {' '.join(missing)}" if missing else None
        yield Check("engines", engine, state, f"needs {', '.join(missing)}" if missing else "ready", mend)
    for sampler, package in SAMPLERS.items():
        if not _installed(package):
            mend = f"python -m pip install {package}"
            yield Check("engines", f"--sampler {sampler}", "note", f"needs {package}", mend)


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
