"""Does bfloat16 pay on this device? Asked by measuring one training-like step, not by reading a list of processors."""

from __future__ import annotations

import time

from bench.training import backend

PLAIN = 3.0  # so many times as quick, and one turn is enough: where bfloat16 is emulated it takes long


def measure(repeats: int = 8) -> tuple[float, float]:
    """(float32, bfloat16): milliseconds of a convolution and a matrix product with their gradients.

    The two take turns, and each one's quickest time counts: what else the machine does can only add.
    """
    framework = backend.module()
    images = 128 if framework.on_gpu() else 32  # a card takes as long for few as for many
    steps = [framework.training_step(dtype, images) for dtype in ("float32", "bfloat16")]
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for step, seconds in zip(steps, times, strict=True):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
        one, other = min(times[0]), min(times[1])
        if max(one, other) > PLAIN * min(one, other):
            break
    return min(times[0]) * 1e3, min(times[1]) * 1e3
