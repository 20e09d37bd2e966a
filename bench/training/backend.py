"""Which framework trains: TensorFlow, or JAX where the environment says KERAS_BACKEND=jax.

Each has a module of its name here, which offers `start`, `make_trainer`, `forward` and `training_step`; importing it
imports the framework, importing this one nothing.
"""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.errors import MissingPackage, UsageError, did_you_mean

NAMES = ("tensorflow", "jax")
VARIABLE = "KERAS_BACKEND"
CACHE_BYTES = 1_000_000_000  # compiled programs that a home keeps; those used least recently go first
ROUTINES = "TF_ENABLE_ONEDNN_OPTS"
WORTH_KEEPING = 0.2  # seconds of compilation from which a program is kept


def asked() -> str:
    """What the environment names, installed or not."""
    return os.environ.get(VARIABLE) or NAMES[0]


def chosen() -> str:
    """'tensorflow' or 'jax'; imports nothing.

    Raises:
        UsageError: the environment names another one.
        MissingPackage: what it names is not installed.
    """
    name = asked()
    if name not in NAMES:
        raise UsageError(f"{VARIABLE} must be one of {', '.join(NAMES)}, not {name!r}.{did_you_mean(name, NAMES)}")
    if find_spec(name) is None:
        if name == "jax":
            raise MissingPackage(f"{VARIABLE}=jax needs the package jax: pip install jax")
        other = f", or train with JAX, which is: {VARIABLE}=jax" if find_spec("jax") else ""
        raise MissingPackage(f"TensorFlow is not installed: pip install tensorflow{other}")
    return name


def module() -> Any:
    """The module of the framework that is chosen."""
    return importlib.import_module(f"bench.training.{chosen()}")


def environment(name: str, threads: int | None, gpu: str | None, home: Path) -> dict[str, str]:
    """Environment variables that a process has to start with to compute in this framework.

    Args:
        threads: of the processor; None leaves their number, and which routines compute, to the framework.
        gpu: the device's index, or None for the processor.
        home: keeps programs that were compiled, for JAX; TensorFlow keeps none.
    """
    common = {VARIABLE: name, "CUDA_VISIBLE_DEVICES": "-1" if gpu is None else gpu, "TF_CPP_MIN_LOG_LEVEL": "2"}
    if gpu is not None:
        common |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as the driver's own tool counts them
    if threads is not None:
        common |= {"OMP_NUM_THREADS": str(threads)}
    if name == "tensorflow":
        # By itself TensorFlow takes oneDNN's routines only where a processor has instructions for networks (AVX-512
        # VNNI and later); with AVX2 alone, too, a step of the reference cnn takes two thirds of the time with them.
        # An exam (threads None) answers with those that a user's own call of the model would take.
        return common if threads is None else common | {ROUTINES: os.environ.get(ROUTINES, "1")}
    jax = {
        "JAX_COMPILATION_CACHE_DIR": str((home / "compiled").absolute()),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(CACHE_BYTES),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(WORTH_KEEPING),
        # The other stream of random numbers takes five times as long to compile, once for every shape of weights.
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes may share a card
    }
    if gpu is None:
        jax |= {"JAX_PLATFORMS": "cpu"}
    if threads is not None:
        jax |= {"NPROC": str(threads)}  # how many threads XLA's own pool has
    return common | jax
