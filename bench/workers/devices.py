"""How many workers this machine carries, and where each one runs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.errors import UsageError
from bench.hardware import cores, listed_gpus, memory
from bench.workers.pool import Place

WORKER_BYTES = 1_300_000_000  # what one worker may grow to
VISIBLE = "CUDA_VISIBLE_DEVICES"


def places(workers: int | None, gpus: Sequence[str] | None, per_gpu: int) -> list[Place]:
    """One place a worker. On processors: as many as there are cores and memory, one thread each.

    Args:
        workers: how many, or None for as many as fit.
        gpus: device indices; None takes all of `usable_gpus`, an empty list none.
        per_gpu: workers that share one GPU.

    Raises:
        UsageError: a GPU that does not exist, or more workers than the GPUs have places.
    """
    present = usable_gpus() if gpus is None or gpus else []
    unknown = sorted(set(gpus or ()) - set(present))
    if unknown:
        hidden = f" within {VISIBLE}={os.environ[VISIBLE]}" if VISIBLE in os.environ else ""
        raise UsageError(f"No GPU {', '.join(unknown)} here; the driver lists {', '.join(present) or 'none'}{hidden}.")
    chosen = present if gpus is None else list(gpus)
    if chosen:
        slots = [Place(1, gpu) for _ in range(per_gpu) for gpu in chosen]
        if workers and workers > len(slots):
            raise UsageError(
                f"{workers} workers have no place on {len(chosen)} GPU{'s' if len(chosen) > 1 else ''} with {per_gpu} "
                f"each; give --per-gpu {-(-workers // len(chosen))}, or --gpus none."
            )
        return slots[:workers] if workers else slots
    if workers:
        return [Place(1)] * workers
    return [Place(1)] * max(1, min(cores(), memory() // WORKER_BYTES))


def usable_gpus() -> list[str]:
    """Indices of the GPUs that the driver lists and that CUDA_VISIBLE_DEVICES, where it is set, leaves to this process.

    That variable holds indices, beginnings of ids, or ids of parts of a GPU, which are taken as they are; what follows
    one that does not exist is left out, as CUDA does (CUDA C++ Programming Guide, environment variables).
    """
    rows = [line.split(", ") for line in listed_gpus("index,uuid")]
    ids = {row[0]: row[-1] for row in rows if row[0].isdecimal()}
    if VISIBLE not in os.environ:
        return list(ids)
    left: list[str] = []
    for asked in os.environ[VISIBLE].split(","):
        wanted = asked.strip()
        found = [index for index, uuid in ids.items() if wanted and (index == wanted or uuid.startswith(wanted))]
        if ids and wanted.startswith("MIG-"):
            found = [wanted]
        if len(found) != 1 or found[0] in left:
            break
        left += found
    return left
