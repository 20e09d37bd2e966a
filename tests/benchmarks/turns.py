"""Measuring two sides fairly: who runs when, the middle and the spread of what was seen, and on what it was seen."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("bench", "tensorflow", "keras", "optuna", "optuna-integration", "keras-tuner", "ray", "numpy")


def order(sides: Sequence[str], repeats: int) -> list[tuple[str, int]]:
    """(side, turn) in the order in which they run: there and back, so that a drift of the machine falls on all alike.

    Two sides take turns A B B A. Each comes to two turns a repeat; with no repeats there is no way back, and each has
    one, which is enough to see that it works and too little to believe.
    """
    if not repeats:
        return [(side, 0) for side in sides]
    found = []
    for repeat in range(repeats):
        found += [(side, 2 * repeat) for side in sides]
        found += [(side, 2 * repeat + 1) for side in reversed(sides)]
    return found


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, the least and the greatest of them, and how many there were."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True)
class Row:
    """One line of the table: two sides, the ratio of ours to theirs turn by turn, and the most that it may be.

    The ratio is None where half of the turns or more came to no end. Where `difference` is set it is ours less theirs,
    and the limit is the least that it may be.
    """

    part: str
    what: str
    unit: str
    ours: Spread | None
    theirs: Spread | None
    ratio: Spread | None
    limit: float | None = None
    note: str = ""
    difference: bool = False

    @property
    def kept(self) -> bool | None:
        """Whether the limit is; None where there is none."""
        if self.limit is None:
            return None
        if self.ratio is None:
            return False
        return self.ratio.median >= self.limit if self.difference else self.ratio.median <= self.limit

    def to_json(self) -> dict[str, Any]:
        document = {**asdict(self), "kept": self.kept}
        if self.ratio is not None and math.isinf(self.ratio.high):
            document["ratio"]["high"] = None  # one turn came to no end, and JSON knows no infinity
        return document


def compared(
    part: str,
    what: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    limit: float | None = None,
    note: str = "",
    unit: str = "s",
) -> Row:
    """Ours over theirs, turn by turn: a ratio of two runs that stood side by side.

    Args:
        ours, theirs: one value a turn; infinity where that turn came to no end.
    """
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    middle = statistics.median(ratios)
    found = None if math.isinf(middle) else Spread.of(ratios)
    return Row(part, what, unit, _of_finite(ours), _of_finite(theirs), found, limit, note)


def _of_finite(values: Sequence[float]) -> Spread | None:
    finite = [value for value in values if math.isfinite(value)]
    return Spread.of(finite) if finite else None


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """What the figures were seen on, and how busy it was before they were."""
    name = platform.processor() or platform.machine()
    if cpuinfo.is_file():
        lines = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        fields: Mapping[str, str] = {key.strip(): value.strip() for key, _, value in lines}
        name = fields.get("model name", name)
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)),
        "load before": os.getloadavg()[0],
        "system": platform.system(),
        "versions": {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
