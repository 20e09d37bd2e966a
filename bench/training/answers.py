"""Which validation images a run got right, look by look, as bytes that show whether they are what was written."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt

DIGEST = 32  # bytes of a SHA-256, which come first


def packed(answers: npt.NDArray[np.bool_]) -> bytes:
    """The SHA-256 of the bits, then eight answers a byte."""
    bits = np.packbits(answers).tobytes()
    return hashlib.sha256(bits).digest() + bits


def unpacked(stored: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The answers, in the shape that they had.

    Raises:
        ValueError: these are not the bytes that `packed` made of answers of this shape.
    """
    digest, bits = stored[:DIGEST], stored[DIGEST:]
    count = math.prod(shape)
    if len(bits) != -(-count // 8):
        raise ValueError(f"{len(stored)} bytes are not {count} answers")
    if hashlib.sha256(bits).digest() != digest:
        raise ValueError("it was changed")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=count).astype(np.bool_).reshape(shape)
