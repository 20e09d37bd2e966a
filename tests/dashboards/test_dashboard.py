"""`bench dashboard` from its first line to its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest


@pytest.fixture
def start():
    """(home, *arguments) -> a dashboard's process, which is gone after the test however that ends."""
    started = []

    def begin(home, *arguments):
        command = [sys.executable, "-m", "bench", "dashboard", "--home", str(home), *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def read_document(process):
    lines = []
    while not lines or lines[-1].rstrip() != "}":
        line = process.stdout.readline()
        assert line, process.stderr.read()
        lines.append(line)
    return json.loads("".join(lines))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped_and_ends_with_0(start, searched, number):
    process = start(searched, "--json")
    document = read_document(process)
    assert (document["schema"], document["pid"]) == (1, process.pid)
    api = document["url"].replace("/dashboard/", "/api/studies")
    with urllib.request.urlopen(api, timeout=10) as answer:
        names = {study["study_name"] for study in json.load(answer)["study_summaries"]}
    assert names >= {"digits-mlp", "foreign"}
    # With so few trials Optuna warns about the importances, which is nothing for the terminal.
    with urllib.request.urlopen(f"{api}/1/param_importances", timeout=30) as answer:
        assert json.load(answer)["param_importances"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{api}/1", method="DELETE"), timeout=10)
    assert refused.value.code == 405
    refused.value.close()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == ["Read-only; a search that runs goes on. End it with Ctrl-C."]


def test_without_json_the_address_is_the_one_line_on_stdout(start, searched):
    process = start(searched)  # no terminal, hence no browser
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[0] == ""


def test_the_asked_port_is_taken_and_one_in_use_is_named(start, searched):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    first = start(searched, "--json", "--port", str(port))
    assert read_document(first)["port"] == port
    second = start(searched, "--port", str(port))
    _, err = second.communicate(timeout=60)
    assert second.returncode == 2
    assert err.startswith(f"bench: Port {port} of 127.0.0.1 is in use.")
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=20)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "There is no storage at"),
        (["--port", "0"], 2, "must be a whole number from 1 to 65535, not '0'"),
        (["--port", "²"], 2, "must be a whole number from 1 to 65535"),
        (["--storage", "postgresql://u:secret@nowhere.invalid/x"], 2, "--storage postgresql://u:***@nowhere.invalid/x"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_message(start, tmp_path, arguments, code, message):
    process = start(tmp_path, *arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert message in err
    assert "Traceback" not in err
    assert "secret" not in err
    assert not list(tmp_path.iterdir())


def test_a_broken_database_is_a_broken_record(start, tmp_path):
    (tmp_path / "bench.db").write_bytes(b"not a database, but long enough to look like one" * 40)
    process = start(tmp_path)
    assert "bench.db cannot be used as a storage" in process.communicate(timeout=60)[1]
    assert process.returncode == 3


def test_its_help_loads_neither_plotly_nor_matplotlib_nor_optuna():
    heavy = ("plotly", "matplotlib", "optuna", "optuna_dashboard", "dashboards.figures")
    code = f"import sys, bench.cli; bench.cli.parser(); print([n for n in {heavy} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert run.stdout == "[]\n"
