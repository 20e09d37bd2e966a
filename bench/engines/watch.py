"""Whether the head of a cluster still answers.

Where it does not, calls into Ray do not return, and after a minute Ray ends the process with a message of its own. So a
thread looks, and ends the process before that: what is finished is stored, and what runs is run again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

EVERY_SECONDS = 2.0
LOST_SECONDS = 25.0  # a head that is started again keeps a search that it comes back to within this
SHOW_CURSOR = "\x1b[?25h"  # which a live screen hides


@contextlib.contextmanager
def watched(named: str | None, address: str) -> Iterator[None]:
    """Args:
    named: how the user calls the cluster; None for one of this machine's own.
    address: of its head, HOST:PORT.
    """
    closed = threading.Event()
    host, _, port = address.rpartition(":")
    asked = (named, (host.strip("[]"), int(port)), closed)
    threading.Thread(target=_look, args=asked, name="cluster", daemon=True).start()
    try:
        yield
    finally:
        closed.set()


def _look(named: str | None, where: tuple[str, int], closed: threading.Event) -> None:
    answered = time.monotonic()
    while not closed.wait(EVERY_SECONDS):
        with contextlib.suppress(OSError):
            socket.create_connection(where, EVERY_SECONDS).close()
            answered = time.monotonic()
        silent = time.monotonic() - answered
        if silent > LOST_SECONDS and not closed.is_set():
            cluster = "of this machine" if named is None else f"at {named}"
            said = (
                f"bench: The Ray cluster {cluster} is gone: its head has not answered for {silent:.0f} s. Finished "
                "trials are saved; on a cluster that runs, the same command continues."
            )
            print(f"{SHOW_CURSOR if sys.stderr.isatty() else ''}{said}", file=sys.stderr, flush=True)
            os._exit(1)
