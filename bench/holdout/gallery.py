"""Test images to be looked at by a person: those of some mistakes, after the finals that made them.

No model sees them here, so that it is no look in the sense of the leaderboard; but who looks and then changes a family
has learned from the test set, so that it is in the ledger too, as `shown`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.sealed import Sealed
from bench.errors import SealError, ShapeError
from bench.holdout import ledger
from bench.holdout.seal import checksum_of


def images(home: Path, sealed: Sealed, wanted: Sequence[int]) -> Any:
    """These test images, float32 in [0, 1], shape (wanted, height, width, channels).

    Raises:
        SealError: the sealed data changed.
        ShapeError: there is no such image.
    """
    outside = [image for image in wanted if not 0 <= image < sealed.n_test]
    if outside:
        raise ShapeError(f"There are {sealed.n_test} test images, and no number {outside[0]}.")
    try:
        whole = checksum_of(sealed) == sealed.checksum
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        whole = False
    if not whole:
        raise SealError(f"{sealed.folder} is not what was sealed; `bench fsck --repair` sets it aside.")
    entry = {
        "event": "shown",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": sealed.name,
        "data_checksum": sealed.checksum,
        "images": [int(image) for image in wanted],
    }
    ledger.record(home, entry)
    with np.load(sealed.test_path, allow_pickle=False) as test:
        found = test["x"][list(wanted)]
    scale = np.float32(1 / 255 if found.dtype == np.uint8 else 1.0)
    return found.astype(np.float32) * scale
