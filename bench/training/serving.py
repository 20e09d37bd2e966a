"""What a finished model costs to use: the seconds of a compiled forward pass, and its size on disk."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.training import backend

BATCHES = (1, 128)
SECONDS = 0.2  # spent on each batch size, after one pass that compiles and one that warms up
FEWEST, MOST = 5, 200  # passes of each batch size


def measure(model: Any, path: Path) -> dict[str, Any]:
    """The median over passes, for one image and for a batch of 128; images are random, for time does not hang on them.

    Args:
        model: a Keras model that is loaded.
        path: the file that it was loaded from, or a copy.

    Returns:
        schema, device, threads (where the framework chooses, one a core), model_bytes, and latency: images, seconds
        (the median pass over all of them), passes.
    """
    shape = tuple(model.input_shape[1:])
    framework = backend.module()
    forward = framework.forward(model, np.float32)
    images = np.random.default_rng(0).random((max(BATCHES), *shape), np.float32)
    return {
        "schema": 1,
        "device": "GPU" if framework.on_gpu() else "CPU",
        "threads": framework.threads_of() or len(os.sched_getaffinity(0)),
        "model_bytes": path.stat().st_size,
        "latency": [_latency(forward, images[:batch]) for batch in BATCHES],
    }


def _latency(forward: Any, images: Any) -> dict[str, Any]:
    for _ in range(2):
        forward(images)
    taken: list[float] = []
    ends = time.perf_counter() + SECONDS
    while len(taken) < FEWEST or (time.perf_counter() < ends and len(taken) < MOST):
        began = time.perf_counter()
        forward(images)  # comes back as NumPy, so that the pass is over
        taken.append(time.perf_counter() - began)
    return {"images": int(images.shape[0]), "seconds": statistics.median(taken), "passes": len(taken)}
