"""The split of the training images into train and validation: stratified, fixed, known by its fingerprint."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

SEED = 20170413  # any constant; changing it changes every split and therefore every study
VALIDATION_SHARE = 6

Labels = npt.NDArray[np.int32]
Index = npt.NDArray[np.int64]


def validation_size(images: int) -> int:
    """How many of `images` training images are held out: one sixth, rounded, at least one."""
    return max(1, round(images / VALIDATION_SHARE))


def stratified(y: Labels, held_out: int, seed: int = SEED) -> tuple[Index, Index]:
    """Choose `held_out` positions so that every class keeps its share; no class loses its last remaining image.

    Shares are rounded by largest remainder, so that the total is exact.

    Args:
        y: labels, shape (n,).
        held_out: 1 to n - k, for k classes.

    Returns:
        (kept, held out), two ascending arrays of positions, int64.
    """
    classes, counts = np.unique(y, return_counts=True)
    if not 0 < held_out <= len(y) - len(classes):
        raise ValueError(
            f"{held_out} of {len(y)} images cannot be held out and leave each of {len(classes)} classes one"
        )
    take = counts * held_out // len(y)
    order = np.argsort(-(counts * held_out % len(y)), kind="stable")
    while take.sum() < held_out:
        for position in order:
            if take.sum() < held_out and take[position] < counts[position] - 1:
                take[position] += 1
    # NumPy's policy freezes RandomState's stream; a Generator's may change between versions, and the split with it.
    random = np.random.RandomState(seed)
    out = np.zeros(len(y), bool)
    for label, amount in zip(classes, take, strict=True):
        out[random.permutation(np.flatnonzero(y == label))[:amount]] = True
    return np.flatnonzero(~out).astype(np.int64), np.flatnonzero(out).astype(np.int64)


def fingerprint(index: Index, y: Labels, n_train: int) -> str:
    """SHA-256 (hex) of an assignment: which source image stands where, with which label, and where validation begins.

    Args:
        index: positions in the source's training arrays, train first, shape (n_train + n_validation,).
        y: their labels, same shape.
    """
    digest = hashlib.sha256(f"{n_train} {len(y)} ".encode())
    digest.update(np.ascontiguousarray(index, "<i8").tobytes())
    digest.update(np.ascontiguousarray(y, "<i4").tobytes())
    return digest.hexdigest()
