"""Every study in the browser, live: Optuna's dashboard on this storage, read-only."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings

from bench.commands.common import print_json, say
from bench.commands.options import add_storage

EXAMPLES = """
  bench dashboard                         open it in the browser; Ctrl-C ends it
  bench dashboard --no-browser --port 8080
"""


def arguments(dashboard: argparse.ArgumentParser) -> None:
    dashboard.add_argument("--port", type=_port, default=0, metavar="N", help="of 127.0.0.1 (default: any free one)")
    dashboard.add_argument("--no-browser", action="store_true", help="only print the address")
    add_storage(dashboard)


def run(options: argparse.Namespace) -> None:
    from dashboards.dashboard import open_dashboard

    # Optuna's own, about plots with too few trials: they belong on the page, not in the terminal.
    warnings.filterwarnings("ignore", module="optuna")
    server = open_dashboard(options.home, options.storage, options.port)
    url = f"http://127.0.0.1:{server.server_port}/dashboard/"
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if options.json:
        print_json({"schema": 1, "url": url, "port": server.server_port, "pid": os.getpid()})
    else:
        print(url)
    sys.stdout.flush()
    say("Read-only; a search that runs goes on. End it with Ctrl-C.")
    if not options.no_browser and _has_screen():
        import webbrowser

        webbrowser.open(url)
    ended.wait()
    server.shutdown()
    server.server_close()


def _has_screen() -> bool:
    """Whether somebody sits at this terminal who can see a window."""
    if not sys.stdout.isatty():
        return False
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, not {text!r}")
    return int(text)
