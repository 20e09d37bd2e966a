"""The finals of a data set, compared pairwise when a result is written: printing reads what stands in
results/<dataset>/comparisons.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import RecordError
from bench.files import load_json, slug, write_json
from bench.records import Final
from bench.results import newest, read_correct, sound

SCHEMA = 2  # 2 says how often one beats the other, and whether they are equivalent
Pairs = dict[str, dict[str, Any]]  # '<id of a> <id of b>' -> the comparison of a with b


def read(home: Path, dataset: str) -> Pairs:
    """The stored comparisons, or an empty mapping.

    Raises:
        RecordError: they do not read back, or are of another schema.
    """
    path = home / "results" / slug(dataset) / "comparisons.json"
    if not path.exists():
        return {}
    try:
        document = load_json(path)
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}, this version reads {SCHEMA}")
        pairs: Pairs = document["pairs"]
        if not isinstance(pairs, dict) or not all(isinstance(pair, dict) for pair in pairs.values()):
            raise ValueError("its pairs are no mappings")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            f"{path} does not read back: {error}. Delete it; the next `bench leaderboard` makes it anew."
        ) from None
    return pairs


def complete(home: Path, dataset: str, finals: Iterable[Final]) -> Pairs:
    """The stored comparisons of exactly the newest finals; made first where they are not those.

    So it is after a kill between result and comparisons, or when a final was moved away. Else nothing heavy is loaded.

    Args:
        finals: those of the data set that are sound, oldest first.
    """
    try:
        pairs = read(home, dataset)
    except RecordError:
        pairs = {"broken": {}}  # all of it follows from the finals
    if are_complete(pairs, finals):
        return pairs
    update(home, dataset)
    return read(home, dataset)


def are_complete(pairs: Iterable[str], finals: Iterable[Final]) -> bool:
    """Whether these are all pairs of newest finals that are compared, and no others."""
    groups: dict[object, list[str]] = {}
    for final in newest(finals):
        groups.setdefault(group_of(final), []).append(final.id)
    return {*pairs} == {f"{a} {b}" for group in groups.values() for a, b in combinations(group, 2)}


def update(home: Path, dataset: str) -> None:
    """Compare the newest sound finals pairwise, adjust after Holm over all pairs, and store it.

    Finals of different data, split or purpose are never compared: each group has its own pairs and adjustment.
    """
    base = home / "results" / slug(dataset)
    with FileLock(base / ".comparisons.lock"):
        pairs = compared(home, sound(home, dataset)[0])
        write_json(base / "comparisons.json", {"schema": SCHEMA, "pairs": pairs}, indent=None)  # there may be thousands


def compared(home: Path, finals: Iterable[Final]) -> Pairs:
    """Every comparison of the newest of these finals, made from their stored predictions; nothing is stored.

    Raises:
        RecordError: predictions are not those that a result was made from.
    """
    pairs: Pairs = {}
    latest = newest(finals)
    for group in dict.fromkeys(group_of(final) for final in latest):
        pairs |= _compare_all(home, [final for final in latest if group_of(final) == group])
    return pairs


def group_of(final: Final) -> tuple[str, str | None, int, str]:
    """What finals must have in common to be compared: data, split, number of test images, purpose."""
    return final.data_checksum, final.split_fingerprint, final.test_images, final.purpose


def _compare_all(home: Path, finals: list[Final]) -> Pairs:
    from bench.equivalence import equivalence, superiority
    from bench.statistics import compare, holm

    correct = {final.id: read_correct(home, final) for final in finals}
    found = {(a, b): compare(correct[a], correct[b]) for a, b in combinations(correct, 2)}
    tested = [pair for pair, comparison in found.items() if comparison.tested]
    alike = {pair: equivalence(found[pair], correct[pair[0]].shape[1]) for pair in tested}
    differ = dict(zip(tested, holm([found[pair].p_value for pair in tested]), strict=True))
    equivalent = dict(zip(tested, holm([alike[pair] for pair in tested]), strict=True))
    return {
        f"{a} {b}": {
            **asdict(found[a, b]),
            "p_holm": differ.get((a, b)),
            "p_equivalence": alike.get((a, b)),
            "p_equivalence_holm": equivalent.get((a, b)),
            "superiority": asdict(superiority(correct[a], correct[b])) if (a, b) in alike else None,
        }
        for a, b in found
    }
