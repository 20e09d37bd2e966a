"""Does bfloat16 pay on this device? Asked by measuring one training-like step, not by reading a list of processors."""

from __future__ import annotations

import time

from bench.training import backend

FEWEST, MOST = 2, 8  # turns: of one alone a stall would decide
SECONDS = 0.2  # after which no other turn begins: where bfloat16 is emulated one takes long, and the answer is plain


def measure() -> tuple[float, float]:
    """(float32, bfloat16): milliseconds of a convolution and a matrix product with their gradients.

    The two take turns, and each one's quickest time counts: what else the machine does can only add.
    """
    framework = backend.module()
    images = 128 if framework.on_gpu() else 32  # a card takes as long for few as for many
    steps = [framework.training_step(dtype, images) for dtype in ("float32", "bfloat16")]
    times: list[list[float]] = [[], []]
    while len(times[0]) < FEWEST or (len(times[0]) < MOST and sum(map(sum, times)) < SECONDS):
        for step, seconds in zip(steps, times, strict=True):
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
    return min(times[0]) * 1e3, min(times[1]) * 1e3
