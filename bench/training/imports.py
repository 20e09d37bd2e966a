"""Importing Keras without what it imports only because it is installed."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.training.backend import asked

OPTIONAL = ("sklearn", "matplotlib", "jax", "tensorflow", "torch", "pandas")


def not_needed() -> list[str]:
    """What Keras does without: all but the framework that it computes with."""
    return [name for name in OPTIONAL if name != asked()]


@contextmanager
def only_what_is_needed() -> Iterator[None]:
    """Hide from an import of Keras the packages that cost it a second and 100 MB each, and that it does without.

    Nor is garbage looked for among what is imported, which would take a fourth of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    hidden = [name for name in not_needed() if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        if collects:
            gc.enable()
