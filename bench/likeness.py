"""Which finals may stand in one table: those of the same data, the same split and the same test images."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Final


def alike(finals: Sequence[Final]) -> tuple[list[Final], list[str]]:
    """Those that are like the newest, and a sentence for each way in which others are not: which, and what to do.

    Args:
        finals: oldest first.
    """
    notes, left = [], list(finals)
    for field, what, remedy in (
        ("data_checksum", "made from other data of this name", "Run `bench final` on today's data."),
        ("split_fingerprint", "chosen on another split into train and validation", "Search again with --study NAME."),
        ("test_images", "tested on another number of images", "`bench fsck` says more; run `bench final` again."),
    ):
        kept = getattr(finals[-1], field) if finals else None
        other = [final for final in left if getattr(final, field) != kept]
        if other:
            names = ", ".join(f"{final.family} ({final.study})" for final in other)
            notes.append(f"Left out, {what}: {names}. {remedy}")
        left = [final for final in left if getattr(final, field) == kept]
    return left, notes
