"""How many workers this machine carries, and where each one runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.errors import UsageError
from bench.hardware import listed_gpus
from bench.workers.pool import Place

WORKER_BYTES = 1_300_000_000  # what one worker may grow to


def places(workers: int | None, gpus: Sequence[str] | None, per_gpu: int) -> list[Place]:
    """One place a worker. On processors: as many as there are cores and memory, one thread each.

    Args:
        workers: how many, or None for as many as fit.
        gpus: device indices; None takes all that the driver lists, an empty list none.
        per_gpu: workers that share one GPU.

    Raises:
        UsageError: a GPU that does not exist.
    """
    present = [index for index in listed_gpus("index") if index.isdecimal()] if gpus is None or gpus else []
    unknown = sorted(set(gpus or ()) - set(present))
    if unknown:
        raise UsageError(f"No GPU {', '.join(unknown)} here; the driver lists {', '.join(present) or 'none'}.")
    chosen = present if gpus is None else list(gpus)
    if chosen:
        slots = [Place(1, gpu) for _ in range(per_gpu) for gpu in chosen]
        return slots[:workers] if workers else slots
    if workers:
        return [Place(1)] * workers
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [Place(1)] * max(1, min(len(os.sched_getaffinity(0)), memory // WORKER_BYTES))
