"""`bench.search` and `bench.final`: the main job, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from bench import chain
from bench.api.result import SearchResult, SearchResults
from bench.errors import UsageError
from bench.family import Family
from bench.options import DEFAULT_SEEDS, Options, data_dir_of, home_of
from bench.space import Value

One = str | Path | Family
Many = list[Any] | tuple[One, ...]
Workers = int | Literal["auto"] | None


class _Common(TypedDict, total=False):
    home: str | Path | None
    data_dir: str | Path | None
    study: str | None
    storage: str | None
    workers: Workers
    gpus: Sequence[int | str] | None
    per_gpu: int
    seeds: int
    with_reference: bool
    accept: Sequence[str]
    quiet: bool


class _Search(_Common, total=False):
    engine: str
    ray_address: str | None
    sampler: str | None
    pruner: str | None
    precision: str | None
    seed: int | None
    set: Mapping[str, Value] | None
    ranges: Mapping[str, str | Sequence[Value]] | None
    timeout: float | None
    trial_timeout: float | None
    final: bool
    join: bool


@overload
def search(
    family: One, trials: int = ..., dataset: str | Path | None = ..., **options: Unpack[_Search]
) -> SearchResult: ...


@overload
def search(
    family: Many, trials: int = ..., dataset: str | Path | None = ..., **options: Unpack[_Search]
) -> SearchResults: ...


def search(
    family: One | Many,
    trials: int = 50,
    dataset: str | Path | None = None,
    *,
    home: str | Path | None = None,
    data_dir: str | Path | None = None,
    study: str | None = None,
    storage: str | None = None,
    engine: str = "optuna",
    ray_address: str | None = None,
    sampler: str | None = None,
    pruner: str | None = None,
    workers: Workers = None,
    gpus: Sequence[int | str] | None = None,
    per_gpu: int = 1,
    precision: str | None = None,
    seed: int | None = None,
    seeds: int = DEFAULT_SEEDS,
    with_reference: bool = False,
    set: Mapping[str, Value] | None = None,
    ranges: Mapping[str, str | Sequence[Value]] | None = None,
    timeout: float | None = None,
    trial_timeout: float | None = None,
    final: bool = True,
    accept: Sequence[str] = (),
    join: bool = False,
    quiet: bool = False,
) -> SearchResult | SearchResults:
    """Search a family's hyperparameters, then confirm, retrain and test the winner; the same as `bench search`.

    What is there is not done again: a study that has reached its trials is read back, one that was stopped continues.

    A `Family` object need not have a file. It is known by its name, and so is its study: one that is named like a
    family that was searched here before continues that study if its space and its `build` are the same, and is refused
    if they are not. A function that the workers get by value does not see what changes in the notebook later.

    Args:
        family: a name, the path of a family file, a `Family`, or a list of those (['all'] for every one with a name).
        trials: finished trials to reach, those of earlier calls counted.
        dataset: a name or the path of an .npz; None for MNIST, or the built-in digits where MNIST cannot be had.
        home: where everything is stored; None for $BENCH_HOME, else ./runs.
        data_dir: where data sets are looked for first; None for $BENCH_DATA_DIR.
        study: its name; None for <dataset>-<family>.
        storage: URL of another Optuna storage than <home>/bench.db.
        engine: what runs trials: optuna, or ray for a Ray cluster.
        ray_address: with engine ray, a cluster that runs already, as host:port or 'auto'; None for one of this machine.
        sampler, pruner: None for tpe and asha, or for what the study has.
        workers: training processes; None or 'auto' for one a core, as far as memory goes.
        gpus: indices of the GPUs to use; None for all, an empty list for none.
        per_gpu: workers that share a GPU.
        precision: auto, float32 or bfloat16; None for auto, by measurement, or for what the study has.
        seed: the study's; None for 0, or for what the study has.
        seeds: how often the winner is trained again and tested.
        with_reference: test the reference configuration too, over the same seeds in the same look: `final["reference"]`
            then says what tuning gained. A final that was made without it stays so; to add it would be another look.
        set: parameter -> value that is no longer searched.
        ranges: parameter -> (low, high), or the options of a choice.
        timeout: seconds after which the search pauses; the result is then what there is, without a final.
        trial_timeout: seconds after which a trial has failed.
        final: False leaves the test set sealed.
        accept: 'versions' to go on although packages are not those that the study was made with.
        join: work on the study together with every other process that says so, of this machine or others that reach the
            storage.
        quiet: show nothing. Otherwise a terminal gets a live screen, anything else a line a trial.

    Returns:
        The result, or the results in the order given if a list was.

    Raises:
        Interrupted: Ctrl-C or SIGTERM. The first one stops cleanly, the second at once; what is finished is saved
            either way and the same call continues. Signals are heard while this runs in the main thread; their handlers
            are then put back. In another thread none are heard: end that search with `timeout`.
        UnknownFamily, UnknownDataset, UsageError: an argument that names nothing or cannot be used.
        FrozenStudy: the study exists with other settings; the message shows both.
        DataError, SpaceError, FamilyError, SealError: the data, the space or the family is not usable.
        NoTrialSucceeded: no trial completed.
        StudyLocked: a live process or another thread writes this study.
    """
    options = Options(
        home=home_of(home),
        data_dir=data_dir_of(data_dir),
        dataset=_text(dataset),
        study=study,
        storage=storage,
        trials=trials,
        engine=engine,
        ray_address=ray_address,
        sampler=sampler,
        pruner=pruner,
        precision=precision,
        seed=seed,
        workers=_workers(workers),
        gpus=_gpus(gpus),
        per_gpu=per_gpu,
        timeout=timeout,
        trial_timeout=trial_timeout,
        seeds=seeds,
        with_reference=with_reference,
        accept=accept,
        no_final=not final,
        join=join,
        quiet=quiet,
    )
    return _run(options, family, search_first=True, fixed=set, ranges=ranges)


@overload
def final(family: One, dataset: str | Path | None = ..., **options: Unpack[_Common]) -> SearchResult: ...


@overload
def final(family: Many, dataset: str | Path | None = ..., **options: Unpack[_Common]) -> SearchResults: ...


def final(
    family: One | Many,
    dataset: str | Path | None = None,
    *,
    home: str | Path | None = None,
    data_dir: str | Path | None = None,
    study: str | None = None,
    storage: str | None = None,
    workers: Workers = None,
    gpus: Sequence[int | str] | None = None,
    per_gpu: int = 1,
    seeds: int = DEFAULT_SEEDS,
    with_reference: bool = False,
    accept: Sequence[str] = (),
    quiet: bool = False,
) -> SearchResult | SearchResults:
    """Confirm the best few of a study, freeze, retrain the winner over seeds and test once; the same as `bench final`.

    A study that has its final is read back, and the test set stays closed.

    Args:
        family: as in `bench.search`; so are all others.

    Raises:
        InputError: there is no such study.
        FrozenStudy: the data or the family's `build` is not what was searched.
        NoTrialSucceeded: the study has no complete trial.
        Interrupted: a stop was asked for before the test set was opened; nothing is stored.
    """
    options = Options(
        home=home_of(home),
        data_dir=data_dir_of(data_dir),
        dataset=_text(dataset),
        study=study,
        storage=storage,
        workers=_workers(workers),
        gpus=_gpus(gpus),
        per_gpu=per_gpu,
        seeds=seeds,
        with_reference=with_reference,
        accept=accept,
        quiet=quiet,
    )
    return _run(options, family, search_first=False)


def _run(
    options: Options,
    family: One | Many,
    search_first: bool,
    fixed: Mapping[str, object] | None = None,
    ranges: Mapping[str, object] | None = None,
) -> SearchResult | SearchResults:
    several = isinstance(family, (list, tuple))
    given = list(family) if isinstance(family, (list, tuple)) else [family]
    if family == "all" or not given:
        raise UsageError(f"family must be one or a list of them (['all'] for every one with a name), not {family!r}.")
    for one in given:
        if not isinstance(one, (str, Path, Family)):
            raise UsageError(f"A family is a name, a path or a bench.Family, not {one!r}.")
    named = [str(one) if isinstance(one, Path) else one for one in given]
    families = chain.load_families(named, fixed, ranges)
    found = [SearchResult.of(one, options.home) for one in chain.run_families(options, families, search_first)]
    return SearchResults(found) if several else found[0]


def _text(dataset: str | Path | None) -> str | None:
    return None if dataset is None else str(dataset)


def _workers(workers: Workers) -> int | None:
    return None if workers == "auto" else workers


def _gpus(gpus: Sequence[int | str] | None) -> list[str] | None:
    if isinstance(gpus, str):
        raise UsageError(f"gpus must be a list of indices, [] for none, not {gpus!r}.")
    return None if gpus is None else [str(gpu) for gpu in gpus]
