"""What a study freezes when it is made, and what the same command may not change afterwards."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import bench
from bench.errors import FrozenStudy

HARMLESS = ("versions", "source")  # may be accepted, where the user knows that the models are what they were
WAYS_OUT = "Leave the options out to continue it as it was, or start another with --study NAME."
PACKAGES = ("keras", "numpy", "optuna", "tensorflow")


def versions() -> dict[str, str]:
    """What trials and finals depend on, by name; read without importing any of it."""
    from importlib.metadata import version

    own = {"bench": bench.__version__, "python": platform.python_version()}
    return {**own, **{name: version(name) for name in PACKAGES}}


def check(study: str, settings: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Compare what a study was made with and what is asked for now; None stands for 'not asked'.

    Raises:
        FrozenStudy: with every difference, both values, and the ways out.
    """
    rows: list[tuple[str, str, str]] = []
    for name, now in asked.items():
        before = settings.get(name)
        if now is None or before is None or now == before:
            continue
        if isinstance(now, Mapping):
            what = "space of " if name == "space" else ""
            changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
            rows += [(f"{what}{key}", words(before.get(key)), words(now.get(key))) for key in changed]
        else:
            rows.append((name, words(before), words(now)))
    if not rows:
        return
    accept = [f"--accept {name}" for name in HARMLESS if name in asked and asked[name] != settings.get(name)]
    harmless = f" Where the change does no harm, go on with {' '.join(accept)}." if accept else ""
    raise FrozenStudy(
        "\n".join(
            [
                f"Study {study!r} was made with other settings, and they are frozen:",
                *_aligned([("", "the study has", "asked for"), *rows]),
                WAYS_OUT + harmless,
            ]
        )
    )


def words(described: Any) -> str:
    """A setting in the words of the command line or of a family file; of a hash the beginning."""
    if described is None:
        return "absent"
    if not isinstance(described, Mapping):
        text = str(described)
        return text[:12] if len(text) == 64 else text
    if "when" in described:
        values = ", ".join(map(str, described["in"]))
        return f"{words(described['domain'])} when {described['when']} is {values}"
    if "fixed" in described:
        return f"{described['fixed']} (fixed)"
    if "choice" in described:
        return "one of " + ", ".join(map(str, described["choice"]))
    low, high = described.get("int") or described["float"]
    return f"{low} to {high}{' (log)' if described['log'] else ''}"


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return [f"  {name:<{widths[0]}}  {before:<{widths[1]}}  {now}".rstrip() for name, before, now in rows]
