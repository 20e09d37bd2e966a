"""What is asked of a worker before anything is trained: which precision pays, and how large models are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from bench.carried import pack
from bench.engines.local import ATTEMPTS
from bench.errors import BenchError, FamilyError, Interrupted
from bench.family import Family
from bench.records import Subscriber, WorkerChanged
from bench.space import Config
from bench.workers.messages import Lost, Probe, Probed, Ready, Size, Sized
from bench.workers.pool import Pool

BUILD_SECONDS = 120.0  # for one model, its framework's first use included
PROBE_SECONDS = 120.0  # for what takes one or two


def measured_precision(
    pool: Pool, subscribers: Sequence[Subscriber] = (), stop_asked: Callable[[], bool] = lambda: False
) -> str:
    """What `auto` chooses on this device; see `probe`."""
    return probe(pool, subscribers, stop_asked).precision


def probe(pool: Pool, subscribers: Sequence[Subscriber] = (), stop_asked: Callable[[], bool] = lambda: False) -> Probed:
    """Let the first worker that is ready measure whether bfloat16 pays on its device.

    Raises:
        BenchError: it does not answer, or fails at it twice.
        Interrupted: a stop was asked for.
    """

    def tell(worker: int, state: Literal["ready", "probing"]) -> None:
        for subscriber in subscribers:
            subscriber(WorkerChanged(worker, state, pool.device_of(worker)))

    asked: int | None = None
    since, lost = time.monotonic(), 0
    while not stop_asked():
        for worker, message in pool.poll(_patience(pool, asked)):
            if isinstance(message, Probed):
                tell(worker, "ready")
                return message
            if isinstance(message, Lost) and worker == asked:
                asked, lost = None, lost + 1
                if lost == ATTEMPTS:
                    raise BenchError(
                        f"Which precision pays cannot be measured: {message.detail}. Say --precision float32."
                    )
            if isinstance(message, Ready):
                tell(worker, "ready")
        if asked is None and pool.idle:
            asked, since = pool.idle[0], time.monotonic()
            pool.send(asked, Probe())
            tell(asked, "probing")
        elif asked is not None and time.monotonic() - since > PROBE_SECONDS:
            pool.kill(asked)
            raise BenchError(
                f"A worker did not measure within {PROBE_SECONDS:.0f} s which precision pays. Say --precision float32."
            )
    raise Interrupted("Stopped before anything was trained.")


def sizes(
    family: Family,
    configs: Sequence[Config],
    precision: str,
    pool: Pool,
    stop_asked: Callable[[], bool] = lambda: False,
) -> Sequence[int]:
    """Parameters of the models that a worker builds of these configurations; nothing is trained.

    Raises:
        FamilyError: `build` fails, or its model does not fit the data.
        Interrupted: a stop was asked for.
    """
    asked: int | None = None
    since, lost = time.monotonic(), 0
    while not stop_asked():
        for worker, message in pool.poll(_patience(pool, asked)):
            if isinstance(message, Sized):
                if message.problem:
                    log = f"the end of {pool.log_of(worker)} has the traceback"
                    raise FamilyError(f"Family {family.name!r} cannot build its models: {message.problem}; {log}.")
                return message.parameters
            if isinstance(message, Lost) and worker == asked:
                asked, lost = None, lost + 1
                if lost == ATTEMPTS:
                    raise FamilyError(f"Family {family.name!r}: {message.detail} while it built the models.")
        if asked is None and pool.idle:
            asked, since = pool.idle[0], time.monotonic()
            pool.send(asked, Size(pack(family), tuple(configs), precision))
        elif asked is not None and time.monotonic() - since > BUILD_SECONDS:
            pool.kill(asked)
            raise FamilyError(f"Family {family.name!r}: `build` did not return within {BUILD_SECONDS:.0f} s.")
    raise Interrupted("Stopped before anything was trained.")


def _patience(pool: Pool, asked: int | None) -> float:
    """Seconds to wait for a message: none where a worker waits to be asked, and only its death may have to be heard."""
    return 0.0 if asked is None and pool.idle else 1.0
