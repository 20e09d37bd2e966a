"""What a search or a final is asked for, from the command line or from Python."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError, did_you_mean

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "nsgaii", "nsgaiii", "grid", "brute-force")
PRUNERS = ("asha", "hyperband", "median", "percentile", "patient", "one-pass", "none")


@dataclass(frozen=True)
class Offer:
    """The samplers and pruners of an engine; the first of each is what it takes unless another is asked for.

    Args:
        own_pruning: samplers that stop trials themselves, and take no pruner but `none`.
    """

    samplers: Sequence[str]
    pruners: Sequence[str]
    own_pruning: Collection[str] = ()

    def sampler(self, asked: str | None) -> str:
        return asked or self.samplers[0]

    def pruner(self, sampler: str | None, asked: str | None) -> str:
        return asked or ("none" if self.sampler(sampler) in self.own_pruning else self.pruners[0])


RAY_PRUNERS = ("asha", "hyperband", "median", "none", "pbt")
ENGINES = {
    "optuna": Offer(SAMPLERS, PRUNERS),
    "ray": Offer(SAMPLERS, RAY_PRUNERS),
    "keras-tuner": Offer(("bayesian", "hyperband", "random", "grid"), PRUNERS, own_pruning=("hyperband",)),
}
JOINS = ("optuna",)  # engines that several processes can run on one study
PRECISIONS = ("auto", "float32", "bfloat16")
DEFAULT_SEEDS = 5
HARMLESS = ("versions", "source")  # may be accepted, where the user knows that the models are what they were


@dataclass(frozen=True)
class Resources:
    """What a search may take of a machine or of a cluster; see `Options`."""

    workers: int | None = None
    gpus: Sequence[str] | None = None
    per_gpu: int = 1
    ray_address: str | None = None


@dataclass(frozen=True)
class Options:
    """What a search or a final is asked for. None stands for 'not asked': the study's own setting, or the default.

    Args:
        home: where everything is stored.
        data_dir: where data sets are looked for first.
        dataset: a name, or the path of an .npz; None for MNIST, or the built-in digits where MNIST cannot be had.
        study: default <dataset>-<family>.
        storage: URL of another Optuna storage than <home>/bench.db.
        trials: finished trials to reach.
        workers: training processes, None for one a core.
        gpus: indices of the GPUs to use, None for all of them.
        per_gpu: workers that share a GPU.
        ray_address: of a Ray cluster that runs already; None for one of this machine. For engine ray.
        timeout, trial_timeout: seconds.
        seeds: runs of the winner.
        accept: those of HARMLESS that may differ from the study's.
        no_final: stop after the search.
        with_reference: test the reference configuration in the same look.
        join: share the study with every other process that joins it.
        quiet: show nothing while it runs.

    Raises:
        UsageError: a value that cannot be used; the nearest known one is named.
    """

    home: Path
    data_dir: Path | None = None
    dataset: str | None = None
    study: str | None = None
    storage: str | None = None
    trials: int = 50
    engine: str = "optuna"
    sampler: str | None = None
    pruner: str | None = None
    precision: str | None = None
    seed: int | None = None
    workers: int | None = None
    gpus: Sequence[str] | None = None
    per_gpu: int = 1
    ray_address: str | None = None
    timeout: float | None = None
    trial_timeout: float | None = None
    seeds: int = DEFAULT_SEEDS
    accept: Collection[str] = ()
    no_final: bool = False
    with_reference: bool = False
    join: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("trials", "seeds", "workers", "per_gpu"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"{name} must be a whole number of at least 1, not {value!r}.")
        for name in ("timeout", "trial_timeout"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and value > 0):
                raise UsageError(f"{name} must be a number of seconds above 0, not {value!r}.")
        if self.seed is not None and (isinstance(self.seed, bool) or not isinstance(self.seed, int)):
            raise UsageError(f"seed must be a whole number, not {self.seed!r}.")
        self._check("engine", ENGINES)
        unknown = [self.accept] if isinstance(self.accept, str) else sorted({*self.accept} - {*HARMLESS})
        if unknown:
            raise UsageError(f"accept must be a list of any of {', '.join(HARMLESS)}, not {unknown[0]!r}.")
        if self.join and self.engine not in JOINS:
            raise UsageError(
                f"join is for engine {' or '.join(JOINS)}: engine {self.engine} keeps what it knows in one process. "
                "Leave join out, or the engine."
            )
        self._check("precision", PRECISIONS)
        if self.with_reference and self.no_final:
            raise UsageError("The reference is tested with the final: leave out with_reference, or no_final.")
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError(
                f"ray_address {self.ray_address!r} is for engine ray, not {self.engine}. Leave one of them out."
            )
        of_engine = f" with engine {self.engine}"
        self._check("sampler", ENGINES[self.engine].samplers, of_engine)
        self._check("pruner", ENGINES[self.engine].pruners, of_engine)
        check_pruner(self.engine, self.sampler, self.pruner)

    def _check(self, name: str, names: Collection[str], where: str = "") -> None:
        value = getattr(self, name)
        if value is not None and value not in names:
            hint = did_you_mean(str(value), names)
            raise UsageError(f"{name} must be one of {', '.join(names)}{where}, not {value!r}.{hint}")

    @property
    def resources(self) -> Resources:
        return Resources(self.workers, self.gpus, self.per_gpu, self.ray_address)


def check_pruner(engine: str, sampler: str | None, pruner: str | None) -> None:
    """Raise UsageError where a sampler that stops trials itself is given a pruner."""
    if sampler in ENGINES[engine].own_pruning and pruner not in (None, "none"):
        raise UsageError(
            f"Sampler {sampler} with engine {engine} stops trials itself, so that it takes no pruner {pruner!r}. "
            "Leave --pruner out, or use another sampler."
        )


def home_of(given: str | Path | None) -> Path:
    """Where everything is stored: as given, else $BENCH_HOME, else ./runs; an empty variable is not set."""
    return Path(given if given is not None else os.environ.get("BENCH_HOME") or "runs")


def data_dir_of(given: str | Path | None) -> Path | None:
    """Where data sets are looked for first: as given, else $BENCH_DATA_DIR, else nowhere."""
    found = given if given is not None else os.environ.get("BENCH_DATA_DIR")
    return Path(found) if found else None


def seconds_in(text: str) -> float | None:
    """Seconds of '90', '90s', '30m', '2h', or sums of them such as '1h30m'; None where it is not written so."""
    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
    parts = re.findall(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * units[unit] for number, unit in parts) or None
