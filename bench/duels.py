"""The finals of a data set, compared pairwise when a result is written: printing reads what stands in
results/<dataset>/comparisons.jsonl.

Its first line is the schema, the SHA-256 of the rest, and that of the predictions of every final that is compared; the
second is the verdict of every pair, and one line a pair follows with the numbers: of tens of thousands a leaderboard
shows those against its baseline.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.errors import RecordError
from bench.files import slug, write_atomic
from bench.records import Final
from bench.results import newest, read_correct, sound
from bench.verdicts import VERDICTS, Comparisons

NAME = "comparisons.jsonl"
SCHEMA = 4  # 4 says of which predictions; another rule for verdicts is another schema


def read(home: Path, dataset: str) -> Comparisons:
    """The stored comparisons, or none.

    Raises:
        RecordError: they do not read back, were changed, or are of another schema.
    """
    path = home / "results" / slug(dataset) / NAME
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        header = json.loads(head)
        if header["schema"] != SCHEMA:
            raise ValueError(f"schema {header['schema']}, this version reads {SCHEMA}")
        if header["sha256"] != hashlib.sha256(body).hexdigest():
            raise ValueError("it was changed")
        second, *lines = body.splitlines()
        verdicts: dict[str, str] = json.loads(second)
        if not VERDICTS.issuperset(verdicts.values()):
            raise ValueError(f"a verdict is none of {sorted(VERDICTS)}")
        return Comparisons(verdicts, dict(zip(verdicts, lines, strict=True)), header["predictions"])
    except (FileNotFoundError, NotADirectoryError):
        return Comparisons({}, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RecordError(
            f"{path} does not read back: {error}. Delete it; the next `bench leaderboard` makes it anew."
        ) from None


def _write(path: Path, comparisons: Comparisons) -> None:
    body = b"".join(line + b"\n" for line in (json.dumps(comparisons.verdicts).encode(), *comparisons.lines.values()))
    digest, predictions = hashlib.sha256(body).hexdigest(), {**comparisons.predictions}
    head = json.dumps({"schema": SCHEMA, "sha256": digest, "predictions": predictions}).encode()
    write_atomic(path, lambda file: file.write(head + b"\n" + body))


def complete(home: Path, dataset: str, finals: Sequence[Final]) -> Comparisons:
    """The stored comparisons of exactly the newest finals; made first where they are not those.

    So it is after a kill between result and comparisons, or when a final was moved away, also if it was made anew since
    under the same id. Else nothing heavy is loaded. Where nothing can be written they are made for this once.

    Args:
        finals: those of the data set that are sound, oldest first.
    """
    try:
        stored = read(home, dataset)
        if are_complete(stored, finals):
            return stored
    except RecordError:
        pass  # all of it follows from the finals
    try:
        update(home, dataset)
    except OSError:  # the home of somebody else, or a full disk
        return compared(home, sound(home, dataset)[0])
    return read(home, dataset)


def are_complete(stored: Comparisons, finals: Iterable[Final]) -> bool:
    """Whether these are all pairs of newest finals that are compared, by their predictions, and no others."""
    groups = _groups(finals)
    ids = [[final.id for final in group] for group in groups]
    pairs = {f"{a} {b}" for group in ids for a, b in combinations(group, 2)}
    return stored.predictions == _predictions(groups) and {*stored} == pairs


def update(home: Path, dataset: str) -> None:
    """Compare the newest sound finals pairwise, adjust after Holm over all pairs, and store it.

    Finals of different data, split or purpose are never compared: each group has its own pairs and adjustment.
    """
    base = home / "results" / slug(dataset)
    with FileLock(base / ".comparisons.lock"):
        _write(base / NAME, compared(home, sound(home, dataset)[0]))


def compared(home: Path, finals: Iterable[Final]) -> Comparisons:
    """Every comparison of the newest of these finals, made from their stored predictions; nothing is stored.

    Raises:
        RecordError: predictions are not those that a result was made from.
    """
    pairs: dict[str, dict[str, Any]] = {}
    groups = _groups(finals)
    for group in groups:
        pairs |= _compare_all(home, group)
    return Comparisons.of(pairs, _predictions(groups))


def _groups(finals: Iterable[Final]) -> list[list[Final]]:
    """The newest finals, apart by what they must have in common."""
    groups: dict[object, list[Final]] = {}
    for final in newest(finals):
        groups.setdefault(group_of(final), []).append(final)
    return [*groups.values()]


def _predictions(groups: Iterable[Sequence[Final]]) -> dict[str, str]:
    """Of each final that has another to be compared with, what tells its predictions from others."""
    return {final.id: final.predictions_sha256 for group in groups if len(group) > 1 for final in group}


def group_of(final: Final) -> tuple[str, str | None, int, str]:
    """What finals must have in common to be compared: data, split, number of test images, purpose."""
    return final.data_checksum, final.split_fingerprint, final.test_images, final.purpose


def _compare_all(home: Path, finals: list[Final]) -> dict[str, dict[str, Any]]:
    if len(finals) < 2:
        return {}  # and nothing heavy is imported
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
