"""Stored results -> the leaderboard that the commands print and that Python is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UnknownDataset, UnknownFamily, did_you_mean

if TYPE_CHECKING:
    from bench.budgets import Budget, Searched
    from bench.ranking import Board
    from bench.records import Final
    from bench.verdicts import Comparisons


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
    from bench import duels, results
    from bench.family import discover

    finals, wrong = results.sound(home, dataset)
    if baseline and baseline not in {*discover(), *(final.family for final in finals)}:
        known = ", ".join(discover())
        raise UnknownFamily(f"No family named {baseline!r}.{did_you_mean(baseline, discover())} Known: {known}.")
    board = _ranked(home, dataset, finals, duels.complete(home, dataset, finals), baseline)
    changed = [*(f"Left out: {why}" for why in wrong), *_ledger_notes(home, results.newest(finals))]
    return replace(board, notes=(*changed, *board.notes))


def _ledger_notes(home: Path, finals: Sequence[Final]) -> list[str]:
    """What is wrong with the ledger, as far as it and these finals show."""
    from bench.holdout import ledger

    notes, line = [], ledger.first_changed(home)
    if line is not None:
        notes.append(
            f"The ledger was changed: its line {line} does not follow from those before it, so looks may be missing. "
            f"Restore {home / ledger.NAME} from a copy."
        )
    seen = {(entry.get("manifest"), entry.get("manifest_sha256")) for entry in ledger.read(home)}
    unseen = [f"{final.family} ({final.study})" for final in finals if (final.id, final.manifest_sha256) not in seen]
    if unseen:
        notes.append(
            f"The ledger holds no look with the manifest of {', '.join(unseen)}: it was changed, or is not theirs. "
            f"Restore {home / ledger.NAME} from a copy."
        )
    return notes


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
    from bench import duels, formats, results

    place = results.place_of(final)
    everything = results.sound(home, final.dataset)[0] if finals is None else finals
    group = results.newest(one for one in everything if duels.group_of(one) == duels.group_of(final))
    shown = [final if results.place_of(one) == place else one for one in group]
    newer = next((one for one in group if results.place_of(one) == place and one.id != final.id), None)
    pairs = duels.complete(home, final.dataset, everything) if newer is None else duels.compared(home, shown)
    rows = formats.to_json(_ranked(home, final.dataset, shown, pairs, None))["rows"]
    own = (row for row in rows if (row["family"], row["engine"], row["study"], row["study_id"] or "") == place)
    return Standing(next(own, None), newer)


def _ranked(
    home: Path,
    dataset: str,
    finals: Sequence[Final],
    comparisons: Comparisons,
    baseline: str | None,
) -> Board:
    from bench.data.sealed import sealed_in
    from bench.holdout import ledger
    from bench.ranking import leaderboard

    counted = ledger.counted(ledger.read(home))

    def looks(final: Final) -> int:
        return counted[final.data_checksum, final.family]

    images = {sealed.checksum: sealed.n_validation for sealed in sealed_in(home)}
    return leaderboard(dataset, finals, comparisons, looks, baseline, images)


def make_validation_board(home: Path, storage: str | None, dataset: str, at: Budget | None = None) -> Board:
    """Best validation accuracies, read from the storage: there is no look at the test set in it.

    Args:
        at: as it would have been after this budget.
    """
    from bench import results
    from bench.budgets import board_at
    from bench.ranking import validation_board

    if at is None:
        rows = [row for one in _searched(home, storage, dataset) if (row := _as_it_stands(one))]
        return validation_board(dataset, rows)
    finals, wrong = results.sound(home, dataset, replaced=True)
    board = board_at(dataset, _searched(home, storage, dataset, finals), at)
    return replace(board, notes=(*board.notes, *(f"Left out: {why}" for why in wrong)))


def make_curves(home: Path, storage: str | None, dataset: str) -> dict[str, Any]:
    """Best validation accuracy against trials and device-seconds; see `bench.curves`."""
    from bench.curves import curves

    return curves(dataset, _searched(home, storage, dataset))


def _searched(home: Path, storage: str | None, dataset: str, finals: Sequence[Final] = ()) -> list[Searched]:
    """Every search for a winner on this data set, the one made last at the end; those whose data are gone left out.

    Args:
        finals: among which to look up which trials had one.
    """
    from contextlib import closing

    from bench import results
    from bench.budgets import Searched
    from bench.data.sealed import sealed_in
    from bench.records import WINNER
    from bench.store import Store

    images = {sealed.checksum: sealed.n_validation for sealed in sealed_in(home)}
    found = []
    with closing(Store(home, storage, make=False)) as store:
        for name, settings in store.studies().items():
            if settings.get("purpose", WINNER) != WINNER or settings.get("dataset") != dataset:
                continue
            checksum = settings["data_checksum"]
            if checksum in images:
                trials = store.trials(name)
                own = results.of_study(home, finals, name, settings, trials)
                by_trial = {results.trial_of(home, final): final for final in own}
                of = (settings["family"], settings["engine"], name, checksum, images[checksum])
                found.append(Searched(*of, trials, by_trial, store.seconds(name)))
    return found


def _as_it_stands(one: Searched) -> dict[str, Any] | None:
    """What a board on validation says of a study, None where it has no complete trial."""
    from bench.budgets import steps

    last = steps(one.trials)[-1:]
    if not last or last[0].best is None:
        return None
    best = last[0].best
    return {
        "family": one.family,
        "engine": one.engine,
        "study": one.study,
        "data_checksum": one.data_checksum,
        "val_accuracy": best.val_accuracy,
        "validation_images": one.validation_images,
        "trials": last[0].spent.trials,
        "pruned": sum(trial.state == "pruned" for trial in one.trials),
        "failed": sum(trial.state == "failed" for trial in one.trials),
        "search_seconds": one.seconds,
        "params": best.parameters,
    }
