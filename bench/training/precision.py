"""Does bfloat16 pay on this device? Asked by measuring one training-like step, not by reading a list of processors."""

from __future__ import annotations

import time

from bench.training import backend


def measure(repeats: int = 8) -> tuple[float, float]:
    """(float32, bfloat16): milliseconds of a convolution and a matrix product with their gradients.

    The two take turns, and each one's quickest time counts: what else the machine does can only add.
    """
    steps = [backend.module().training_step(dtype) for dtype in ("float32", "bfloat16")]
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for step, seconds in zip(steps, times, strict=True):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
    return min(times[0]) * 1e3, min(times[1]) * 1e3
