"""Only this machine's name, only reading, and nothing that a browser or a spreadsheet would run."""

import csv
import io
import json
import socket
from wsgiref.util import setup_testing_defaults

import optuna_dashboard
import pytest

from bench.errors import UsageError
from dashboards.derived import DerivedStorage, ImageStore
from dashboards.readonly import open_read_only
from dashboards.server import Guard, serve

PORT = 8123


def ask(app, path, method="GET", host=f"127.0.0.1:{PORT}", **headers):
    """Status code, headers (lower case) and body of one request."""
    answer = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": host, **headers}
    setup_testing_defaults(environ)
    if host is None:
        del environ["HTTP_HOST"]
    body = b"".join(app(environ, lambda status, fields: answer.extend([status, fields])))
    return int(answer[0].split()[0]), {name.lower(): value for name, value in answer[1]}, body


@pytest.fixture(scope="module")
def dashboard(searched):
    stored = open_read_only(searched)
    return Guard(optuna_dashboard.wsgi(DerivedStorage(stored), artifact_store=ImageStore(stored)), PORT)


def trial_with_images(dashboard):
    listed = json.loads(ask(dashboard, "/api/studies")[2])["study_summaries"]
    study = next(study for study in listed if study["study_name"] == "digits-mlp")
    trial = json.loads(ask(dashboard, f"/api/studies/{study['study_id']}")[2])["trials"][0]
    return study["study_id"], trial


@pytest.mark.parametrize("host", [f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"LOCALHOST:{PORT}"])
def test_its_own_names_are_answered(dashboard, host):
    assert ask(dashboard, "/api/studies", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        "127.0.0.1:1",
        f"127.0.0.1:{PORT}.evil.example",
        f"127.0.0.1:{PORT},evil.example",
        f"[::1]:{PORT}",
        f"evil@127.0.0.1:{PORT}",
        "",
        None,
    ],
)
def test_a_foreign_host_is_refused(dashboard, host):
    status, _, body = ask(dashboard, "/api/studies", host=host)
    assert status == 403
    assert b"127.0.0.1 and localhost only" in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
@pytest.mark.parametrize("path", ["/api/studies", "/api/studies/1", "/api/trials/1/tell", "/api/studies/1/1/note"])
def test_everything_but_reading_is_refused_with_the_way_to_change_something(dashboard, method, path):
    status, headers, body = ask(dashboard, path, method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert b"bench studies rm" in body


def test_an_image_is_served_as_one_and_as_nothing_else(dashboard):
    study, trial = trial_with_images(dashboard)
    for artifact in trial["artifacts"]:
        status, headers, body = ask(dashboard, f"/artifacts/{study}/{trial['trial_id']}/{artifact['artifact_id']}")
        assert (status, headers["content-type"]) == (200, "image/png")
        assert body.startswith(b"\x89PNG")
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
        assert "sandbox" in headers["content-security-policy"]


def test_an_artifact_that_a_browser_would_run_is_refused():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", environ["PATH_INFO"].removeprefix("/artifacts/1/"))])
        return [b"<script>alert(1)</script>"]

    for kind in ("text/html", "image/svg+xml", "", "application/xhtml+xml", "text/html; image/png"):
        assert ask(Guard(app, PORT), f"/artifacts/1/{kind}")[0] == 403
    assert ask(Guard(app, PORT), "/artifacts/1/application/json")[0] == 200


def test_files_of_a_study_that_bench_did_not_make_are_not_found(dashboard):
    assert ask(dashboard, "/artifacts/2/8/0-0")[0] == 404


@pytest.mark.parametrize("path", ["1/999/999-1-1", "999/1/1-1-1", "999/1-1-1", "1/1/1-1-1"])
def test_an_image_of_nothing_is_not_found_and_no_news_in_the_terminal(dashboard, path, capfd):
    assert ask(dashboard, f"/artifacts/{path}")[0] == 404
    assert capfd.readouterr() == ("", "")


def test_a_downloaded_table_runs_nothing_in_a_spreadsheet(dashboard):
    listed = json.loads(ask(dashboard, "/api/studies")[2])["study_summaries"]
    study = next(study["study_id"] for study in listed if study["study_name"] == "foreign")
    status, headers, body = ask(dashboard, f"/csv/{study}")
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    assert (status, row["Value"]) == (200, "1.5")
    assert row["Param kind"] in ("'=cmd()", "b")
    assert int(headers["content-length"]) == len(body)


def test_a_cell_that_would_be_run_gets_an_apostrophe_and_a_number_does_not():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/csv")])
        return [b'=cmd(),-1.5,+x,"@a\nb",1e-3\r\n']

    assert ask(Guard(app, PORT), "/csv/1")[2].decode() == "'=cmd(),-1.5,'+x,'@a\N{REPLACEMENT CHARACTER}b,1e-3\n"


def test_a_head_request_is_answered(dashboard):
    assert ask(dashboard, "/api/studies", "HEAD")[0] == 200


def test_a_script_without_any_accept_header_is_answered(dashboard):
    assert ask(dashboard, "/static/bundle.js")[0] == 200


def test_every_answer_ends_its_session_even_a_failing_one():
    ended = []

    def app(environ, start_response):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ask(Guard(app, PORT, lambda: ended.append(1)), "/")
    assert ended == [1]


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"Port {port} of 127\.0\.0\.1 is in use.*--port"):
            serve(lambda environ, start_response: [], port)
