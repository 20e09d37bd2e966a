"""Serving a WSGI application to this machine's browser and to nobody else.

Bound to 127.0.0.1. A page elsewhere can still make a browser send requests there, under a name of its own that it has
pointed at 127.0.0.1: the Host header is what gives that away. Nothing but reading is let through.
"""

from __future__ import annotations

import csv
import errno
import io
import socketserver
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from bench.errors import UsageError
from bench.formats import csv_cell

ADDRESS = "127.0.0.1"
METHODS = ("GET", "HEAD")
ARTIFACT_TYPES = ("image/png", "application/json")
HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
]
HeaderList = list[tuple[str, str]]


class Guard:
    """WSGI middleware: only this host's name, only reading, only types that a browser does not run.

    Args:
        app: what is guarded.
        port: the one served, part of every honest Host header.
        after: called when a request has been answered.
    """

    def __init__(self, app: WSGIApplication, port: int, after: Callable[[], None] = lambda: None) -> None:
        self._app, self._after = app, after
        self._hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
        if port == 80:
            self._hosts |= {ADDRESS, "localhost"}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host = environ.get("HTTP_HOST", "")
        if host.lower() not in self._hosts:
            return _refuse(
                start_response, HTTPStatus.FORBIDDEN, "This dashboard answers to 127.0.0.1 and localhost only."
            )
        if environ["REQUEST_METHOD"] not in METHODS:
            text = "This dashboard only shows. Change studies with `bench search` and `bench studies rm`."
            return _refuse(start_response, HTTPStatus.METHOD_NOT_ALLOWED, text, [("Allow", ", ".join(METHODS))])
        environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")  # optuna-dashboard reads it unasked
        environ["wsgi.errors"] = io.StringIO()  # what goes wrong is said to the browser, not in the terminal
        try:
            status, headers, body = _call(self._app, environ)
        finally:
            self._after()
        kind = environ.get("PATH_INFO", "").split("/")[1:2]
        if kind == ["artifacts"] and status.startswith("200"):
            if _value(headers, "Content-Type").split(";")[0].strip() not in ARTIFACT_TYPES:
                return _refuse(start_response, HTTPStatus.FORBIDDEN, "Only PNG images and JSON are shown.")
            headers = [
                *headers,
                ("Content-Security-Policy", "default-src 'none'; sandbox"),
                ("Cache-Control", "no-cache"),
            ]
        if kind == ["csv"]:
            body = _inert_csv(body)
        length = [] if environ["REQUEST_METHOD"] == "HEAD" else [("Content-Length", str(len(body)))]
        ours = {name.lower() for name, _ in [*HEADERS, *length]} | {"access-control-allow-origin"}
        start_response(status, [*((n, v) for n, v in headers if n.lower() not in ours), *HEADERS, *length])
        return [body]


def _call(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[str, HeaderList, bytes]:
    """An application's whole answer; the largest is its own script, 6 MB."""
    answer: list[Any] = []
    written: list[bytes] = []

    def start(status: str, headers: HeaderList, exc_info: Any = None) -> Callable[[bytes], object]:
        answer[:] = [status, list(headers)]
        return written.append

    parts = app(environ, start)
    try:
        body = b"".join([*written, *parts])
    finally:
        close = getattr(parts, "close", None)
        if close:
            close()
    return answer[0], answer[1], body


def _refuse(
    start_response: StartResponse, status: HTTPStatus, text: str, extra: HeaderList | None = None
) -> list[bytes]:
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", [*headers, *HEADERS, *(extra or [])])
    return [body]


def _value(headers: HeaderList, name: str) -> str:
    return next((value for known, value in headers if known.lower() == name.lower()), "")


def _inert_csv(body: bytes) -> bytes:
    """A table whose texts a spreadsheet shows and does not run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in csv.reader(io.StringIO(body.decode(), newline="")):
        writer.writerow([cell if _is_number(cell) else csv_cell(cell) for cell in row])
    return out.getvalue().encode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a browser that keeps a connection open shall not keep the command from ending

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]  # without a look-up of the host's name
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves in the middle of an answer is no news."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def serve(app: WSGIApplication, port: int, after: Callable[[], None] = lambda: None) -> WSGIServer:
    """A server that is bound and guarded, and answers once `serve_forever` is called; `server_port` is where.

    Args:
        port: 0 takes any that is free.

    Raises:
        UsageError: the port is in use, or may not be had.
    """
    try:
        server = make_server(ADDRESS, port, app, _Server, _Quiet)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        problem = "is in use" if error.errno == errno.EADDRINUSE else "is reserved to the system"
        raise UsageError(f"Port {port} of {ADDRESS} {problem}. Give another with --port, or none for any.") from None
    server.set_app(Guard(app, server.server_port, after))
    return server
