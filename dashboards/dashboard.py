"""optuna-dashboard on a storage that it cannot change, with bench's notes, images and figures."""

from __future__ import annotations

import logging
from pathlib import Path
from wsgiref.simple_server import WSGIServer

import optuna_dashboard

from dashboards.derived import DerivedStorage, ImageStore
from dashboards.readonly import open_read_only
from dashboards.server import serve


def open_dashboard(home: Path, storage: str | None, port: int) -> WSGIServer:
    """A server on 127.0.0.1 that is ready to answer.

    Raises:
        UsageError: no storage yet, or the port is taken.
        RecordError: the storage does not read.
    """
    logging.getLogger("optuna_dashboard").setLevel(
        logging.CRITICAL
    )  # its errors reach the page, the terminal stays quiet
    stored = open_read_only(home, storage)
    app = optuna_dashboard.wsgi(DerivedStorage(stored), artifact_store=ImageStore(stored))
    return serve(app, port, stored.remove_session)
