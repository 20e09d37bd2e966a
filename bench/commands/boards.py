"""Stored results -> the leaderboard that the commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import UnknownFamily, did_you_mean


def make_board(home: Path, dataset: str, baseline: str | None) -> Any:
    from bench import results
    from bench.family import discover
    from bench.holdout import ledger
    from bench.leaderboard import leaderboard

    finals = results.read_finals(home, dataset)
    if baseline and baseline not in {*discover(), *(final.family for final in finals)}:
        raise UnknownFamily(f"No family named {baseline!r}.{did_you_mean(baseline, discover())}")
    return leaderboard(
        finals,
        results.read_comparisons(home, dataset),
        lambda final: ledger.looks(home, final.data_checksum, final.family),
        baseline,
    )


def make_validation_board(home: Path, storage: str | None, dataset: str) -> Any:
    """Best validation accuracies, read from the storage: there is no look at the test set in it."""
    from bench.leaderboard import validation_rows
    from bench.store import Store

    store = Store(home, storage)
    return validation_rows(store, dataset)
