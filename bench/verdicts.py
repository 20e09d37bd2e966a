"""Stored comparisons as they are looked up: of hundreds of finals there are tens of thousands, so that printing reads
the verdict of each and the numbers of few. Pure, the standard library only.

A verdict holds '>' where the first is better, '<' where the second is, '=' where they are equivalent, which either may
be beside; '?' stands alone where they were not tested, for equivalence neither, and an empty one says that nothing is
resolved.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from bench.certainty import ALPHA, Pair
from bench.errors import RecordError
from bench.records import Final

UNTESTED = "?"
VERDICTS = frozenset({UNTESTED, "", ">", "<", "=", ">=", "<="})


def verdict(pair: Pair) -> str:
    """What a comparison shows, after Holm. Verdicts are stored: another rule is another schema of `bench.duels`."""
    if pair["p_holm"] is None:
        return UNTESTED
    # With few errors the test of the difference and the interval of the ratio may disagree: both say it.
    low, high = pair["log_ratio_ci95"] or (1.0, 1.0)
    apart = pair["p_holm"] < ALPHA and not low <= 0 <= high and pair["difference"] != 0
    direction = (">" if pair["difference"] > 0 else "<") if apart else ""
    equivalent = pair["p_equivalence_holm"] is not None and pair["p_equivalence_holm"] < ALPHA
    return direction + ("=" if equivalent else "")


class Comparisons(Mapping[str, Pair]):
    """'<id of a> <id of b>' -> the comparison of a with b, read from its line when it is asked for.

    Attributes:
        verdicts: the same keys -> what each shows.
        lines: the same keys -> each as JSON.
        predictions: id of each final that is compared -> the SHA-256 of its predictions.
    """

    def __init__(
        self, verdicts: Mapping[str, str], lines: Mapping[str, bytes], predictions: Mapping[str, str] | None = None
    ) -> None:
        self.verdicts, self.lines, self.predictions = verdicts, lines, predictions or {}

    @classmethod
    def of(cls, pairs: Mapping[str, Pair], predictions: Mapping[str, str] | None = None) -> Comparisons:
        lines = {key: json.dumps(pair, sort_keys=True, allow_nan=False).encode() for key, pair in pairs.items()}
        return cls({key: verdict(pair) for key, pair in pairs.items()}, lines, predictions)

    def __getitem__(self, key: str) -> Pair:
        """Raises:
        RecordError: the line is no JSON object, which its writer would not have written.
        """
        try:
            pair = json.loads(self.lines[key])
        except (ValueError, RecursionError):
            pair = None
        if not isinstance(pair, dict):
            raise RecordError(f"The stored comparison of {key} does not read back. Run `bench fsck --repair`.")
        return pair

    def __iter__(self) -> Iterator[str]:
        return iter(self.lines)

    def __len__(self) -> int:
        return len(self.lines)


class Duels:
    """The verdicts of finals against each other, looked up either way round."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._comparisons = comparisons
        self._compared: dict[str, set[str]] = defaultdict(set)  # id -> those that it was compared with
        self._better: dict[str, set[str]] = defaultdict(set)  # id -> those that it is better than
        self._level: dict[str, set[str]] = defaultdict(set)  # id -> those that it was tested against to no end
        self._equivalent: dict[str, set[str]] = defaultdict(set)
        for key, said in comparisons.verdicts.items():
            a, b = key.split()
            self._compared[a].add(b)
            self._compared[b].add(a)
            if ">" in said:
                self._better[a].add(b)
            elif "<" in said:
                self._better[b].add(a)
            elif said != UNTESTED:
                self._level[a].add(b)
                self._level[b].add(a)
            if "=" in said:
                self._equivalent[a].add(b)
                self._equivalent[b].add(a)

    def pair(self, a: Final, b: Final | None) -> tuple[Pair | None, int]:
        """The comparison of a and b, and +1 or -1 for the order that it was made in."""
        if b is None:
            return None, 1
        pair = self._comparisons.get(f"{a.id} {b.id}")
        return (pair, 1) if pair is not None else (self._comparisons.get(f"{b.id} {a.id}"), -1)

    def better(self, a: Final, b: Final) -> bool:
        return b.id in self._better[a.id]

    def apart(self, a: Final, b: Final) -> bool:
        return self.better(a, b) or self.better(b, a)

    def ranks(self, rows: Sequence[Final]) -> dict[str, int]:
        """Final's id -> 1 + the number of these rows that are significantly better."""
        ranks = {final.id: 1 for final in rows}
        for final in rows:
            for worse in self._better[final.id] & ranks.keys():
                ranks[worse] += 1
        return ranks

    def missing(self, rows: Sequence[Final]) -> list[tuple[Final, Final]]:
        """Those of these rows that were never compared."""
        return [(a, b) for a, b in combinations(rows, 2) if b.id not in self._compared[a.id]]

    def equivalent(self, rows: Sequence[Final]) -> list[tuple[Final, Final]]:
        """Those of these rows that are shown to be equivalent."""
        return [(a, b) for a, b in combinations(rows, 2) if b.id in self._equivalent[a.id]]

    def unresolved(self, rows: Sequence[Final]) -> list[list[Final]]:
        """Groups within which every pair was tested and none separated; each unresolved pair is in at least one."""
        # Sets of rows are the bits of a number: cheaper to cut than sets of names.
        bits = {final.id: 1 << place for place, final in enumerate(rows)}
        level = [sum(bits[other] for other in self._level[final.id] & bits.keys()) for final in rows]
        groups: list[list[Final]] = []
        shared = [0] * len(rows)  # the groups that each row is in, as bits too
        for one, other in combinations(range(len(rows)), 2):
            if level[one] >> other & 1 and not shared[one] & shared[other]:
                members = _grown(1 << one | 1 << other, level[one] & level[other], level)
                places = [place for place in range(len(rows)) if members >> place & 1]
                for place in places:
                    shared[place] |= 1 << len(groups)
                groups.append([rows[place] for place in places])
        return groups


def _grown(group: int, candidates: int, level: Sequence[int]) -> int:
    """The group with every candidate, first come first, that is level with all that are in it by then."""
    while candidates:
        first = candidates & -candidates
        group |= first
        candidates &= level[first.bit_length() - 1]
    return group
