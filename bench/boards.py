"""Stored results -> the leaderboard that the commands print and that Python is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UnknownDataset, UnknownFamily, did_you_mean

if TYPE_CHECKING:
    from bench.ranking import Board
    from bench.records import Final


def dataset_name(home: Path, dataset: str | None) -> str:
    """The name that results of this data set are kept under, without reading the data; that of MNIST, if it was sealed
    here, else of the one sealed last, where none is named.

    Raises:
        UnknownDataset: nobody knows a data set of that name, and this home has none.
    """
    from bench.data import catalog
    from bench.data.sealed import sealed_in

    if dataset:
        known = dataset_names(home)
        if not catalog.is_path(dataset) and dataset not in known:
            near = did_you_mean(dataset, known)
            raise UnknownDataset(f"No data set named {dataset!r}.{near} Known: {', '.join(known)}.")
        return catalog.dataset_name(dataset)
    names = [sealed.name for sealed in sealed_in(home)]
    return "mnist" if "mnist" in names or not names else names[0]


def dataset_names(home: Path) -> list[str]:
    """Data sets that can be named: the known ones, and those of the user that this home has sealed or results of."""
    from bench.data.catalog import KNOWN
    from bench.data.sealed import sealed_in

    results = sorted(path.name for path in (home / "results").glob("*") if path.is_dir())
    return list(dict.fromkeys([*KNOWN, *(sealed.name for sealed in sealed_in(home)), *results]))


def make_board(home: Path, dataset: str, baseline: str | None) -> Board:
    from bench import results
    from bench.family import discover

    finals = results.read_finals(home, dataset)
    if baseline and baseline not in {*discover(), *(final.family for final in finals)}:
        known = ", ".join(discover())
        raise UnknownFamily(f"No family named {baseline!r}.{did_you_mean(baseline, discover())} Known: {known}.")
    return _ranked(home, dataset, finals, results.complete_comparisons(home, dataset, finals), baseline)


@dataclass(frozen=True)
class Standing:
    """Where one final stands.

    Attributes:
        row: its row of a leaderboard against the newest finals of the other studies on its data, or None where finals
            of its purpose are not ranked.
        newer: the newest final of its study where that is another one, which is what the leaderboard shows.
    """

    row: Mapping[str, Any] | None
    newer: Final | None


def standing(home: Path, final: Final, finals: Sequence[Final] | None = None) -> Standing:
    """Where this very final stands, be it the newest of its study or not.

    Args:
        finals: all of its data set, oldest first, where they are read already.

    Raises:
        RecordError: a stored result does not read back, or was changed.
    """
    from bench import formats, results

    place = results.place_of(final)
    everything = results.read_finals(home, final.dataset) if finals is None else finals
    group = results.newest(one for one in everything if results.group_of(one) == results.group_of(final))
    shown = [final if results.place_of(one) == place else one for one in group]
    newer = next((one for one in group if results.place_of(one) == place and one.id != final.id), None)
    if newer is None:
        pairs = results.complete_comparisons(home, final.dataset, everything)
    else:
        pairs = results.compared(home, shown)
    rows = formats.to_json(_ranked(home, final.dataset, shown, pairs, None))["rows"]
    own = (row for row in rows if (row["family"], row["engine"], row["study"], row["study_id"] or "") == place)
    return Standing(next(own, None), newer)


def _ranked(
    home: Path,
    dataset: str,
    finals: Sequence[Final],
    comparisons: Mapping[str, Mapping[str, Any]],
    baseline: str | None,
) -> Board:
    from bench.holdout import ledger
    from bench.ranking import leaderboard

    def looks(final: Final) -> int:
        return ledger.looks(home, final.data_checksum, final.family)

    return leaderboard(dataset, finals, comparisons, looks, baseline)


def make_validation_board(home: Path, storage: str | None, dataset: str) -> Board:
    """Best validation accuracies, read from the storage: there is no look at the test set in it."""
    from bench.data.sealed import sealed_in
    from bench.ranking import validation_board
    from bench.records import WINNER
    from bench.store import Store
    from bench.study import outcome

    images = {sealed.checksum: sealed.n_validation for sealed in sealed_in(home)}
    studies = []
    with closing(Store(home, storage, make=False)) as store:
        winners = [
            (name, settings)
            for name, settings in store.studies().items()
            if settings.get("purpose", WINNER) == WINNER and settings.get("dataset") == dataset
        ]
        outcomes = [outcome(store, name) for name, _ in winners]
    for (name, settings), found in zip(winners, outcomes, strict=True):
        if found.best is None or settings["data_checksum"] not in images:
            continue
        studies.append(
            {
                "family": settings["family"],
                "engine": settings["engine"],
                "study": name,
                "data_checksum": settings["data_checksum"],
                "val_accuracy": found.best.val_accuracy,
                "validation_images": images[settings["data_checksum"]],
                "trials": found.finished,
                "pruned": found.count("pruned"),
                "failed": found.count("failed"),
                "search_seconds": found.seconds,
                "params": found.best.parameters,
            }
        )
    return validation_board(dataset, studies)
