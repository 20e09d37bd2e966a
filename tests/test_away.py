"""A PostgreSQL server that goes away and comes back, and the URL of one."""

import os
import re
import sys

import pytest
from postgresql import PASSWORD

from bench.engines import cluster
from bench.errors import BenchError, Interrupted, UsageError
from bench.patience import Patience
from bench.store import Store, problem_of


def test_a_server_that_is_away_is_said_waited_for_and_then_written_to(tmp_path, server, url):
    store = Store(tmp_path, url)
    store.create("s", {"family": "mlp"})
    lines = []

    def say(line):
        lines.append(line)
        if "does not answer" in line:
            server.start()

    server.stop()
    try:
        assert Patience(say)(lambda: store.count("s"), "Nothing is lost.") == 0
    finally:
        if not lines:
            server.start()
    assert "does not answer" in lines[0] and "Ctrl-C stops" in lines[0]
    assert lines[-1] == "The storage answers again; going on."
    assert PASSWORD not in "".join(lines)
    store.close()


def test_a_wait_can_be_stopped_and_ends_by_itself_and_both_say_what_is_lost(tmp_path, server, url):
    store = Store(tmp_path, url)
    store.create("s", {"family": "mlp"})
    server.stop()
    try:
        with pytest.raises(Interrupted, match="Trial 7 is lost"):
            Patience(stop_asked=lambda: True)(lambda: store.count("s"), "Trial 7 is lost.")
        with pytest.raises(BenchError, match=r"has not answered for 0 min .*Trial 7 is lost") as caught:
            Patience(seconds=1.5)(lambda: store.count("s"), "Trial 7 is lost.")
        with pytest.raises(BenchError, match="storage cannot be used") as plain:
            store.trials("s")
        assert PASSWORD not in f"{caught.value} {plain.value} {problem_of(tmp_path, url)}"
    finally:
        server.start()
    store.close()


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_without_a_driver_is_taken_to_psycopg_3(tmp_path, url, scheme):
    store = Store(tmp_path, url.replace("postgresql:", f"{scheme}:"))
    assert store._storage.engine.driver == "psycopg"
    store.close()


def test_a_missing_driver_gives_its_pip_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UsageError, match=re.escape("python -m pip install 'psycopg[binary]'")):
        Store(tmp_path, f"postgresql://u:{PASSWORD}@127.0.0.1:1/x")
    assert "pip install 'psycopg[binary]'" in problem_of(tmp_path, f"postgresql://u:{PASSWORD}@127.0.0.1:1/x")


def test_a_wrong_password_is_not_shown(tmp_path, server, url):
    wrong = url.replace(PASSWORD, "wrong-and-secret")
    with pytest.raises(UsageError, match="password authentication failed") as caught:
        Store(tmp_path, wrong)
    assert "wrong-and-secret" not in str(caught.value)


def test_a_password_of_the_environment_stays_with_the_storage_when_a_cluster_is_started(tmp_path, url, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    store = Store(tmp_path, url.replace(f":{PASSWORD}@", "@"))
    with cluster._environment():
        assert PASSWORD not in "".join(os.environ.values())
        store._storage.engine.dispose()  # as when the server was away: it is connected to anew
        assert store.names() == []
    assert os.environ["PGPASSWORD"] == PASSWORD
    store.close()
