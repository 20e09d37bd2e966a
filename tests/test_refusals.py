"""What a PostgreSQL server refuses is one sentence with the way out, at the command line, and shows no password."""

import os
import re
import subprocess
import sys

import psycopg
import pytest
from postgresql import PASSWORD

from bench.cli import main
from bench.store import Store

SEARCH = ["search", "mlp", "--dataset", "digits", "--trials", "1", "--no-final", "--workers", "1"]
READER = "reader-secret"


@pytest.fixture
def bench(tmp_path, capsys, monkeypatch):
    """Run a command in this process on a storage; returns (exit code, stdout, stderr in one line)."""

    def run(storage, *arguments):
        monkeypatch.setenv("BENCH_STORAGE", storage)
        code = main([*arguments, "--quiet", "--home", str(tmp_path / "home")])
        said = capsys.readouterr()
        assert "Traceback" not in said.err and PASSWORD not in said.err and READER not in said.err
        assert said.err.count("\n") <= 1, said.err
        return code, said.out, said.err.strip()

    return run


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("127.0.0.1", "no-such-host.invalid"), r"cannot be used: .*no-such-host\.invalid"),
        (("/d", "/nosuch-d"), r'cannot be used: .*database "nosuch-d\d+" does not exist'),
        (("bench:", "nobody:"), r'cannot be used: .*password authentication failed for user "nobody"'),
        (("postgresql:", "postgresql+psycopg2:"), r"needs psycopg2: .*postgresql://"),
        (("postgresql:", "postgresql+nosuch:"), r"cannot be used: .*nosuch"),
        (("postgresql:", "postgrseql:"), r"cannot be used: .*postgrseql"),
    ],
    ids=["host", "database", "user", "driver", "no driver", "scheme"],
)
def test_what_is_wrong_with_a_url_is_said_before_anything_is_made(bench, url, wrong, said):
    for command in (SEARCH, ["studies"], ["final", "mlp", "--dataset", "digits"]):
        code, _, error = bench(url.replace(*wrong, 1), *command)
        assert code == 2
        assert re.search(said, error), error


@pytest.fixture
def reader(url):
    """The URL for a user who may read the database and nothing else."""
    name = "reader" + re.sub(r"\W", "", url.rpartition("/")[2])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{READER}'")
        connection.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {name}")
    return re.sub(r"//.*@", f"//{name}:{READER}@", url)


def test_who_may_only_read_reads_and_is_told_why_nothing_can_be_written(bench, tmp_path, url, reader):
    store = Store(tmp_path / "owner", url)
    store.create("digits-mlp", {"family": "mlp", "dataset": "digits", "data_checksum": "c"})
    store.close()
    for command in (["studies"], ["trials", "mlp", "--dataset", "digits"], ["leaderboard", "--validation"]):
        code, out, error = bench(reader, *command)
        assert code == 0, error
        assert command != ["studies"] or "digits-mlp" in out
    for command in (SEARCH, ["final", "mlp", "--dataset", "digits"], ["studies", "rm", "digits-mlp", "--yes"]):
        code, _, error = bench(reader, *command)
        assert code in (1, 2)
        assert re.search(r"permission denied .*may write", error), error


def test_who_may_only_read_is_told_so_where_nothing_is_there_yet(tmp_path, reader):
    """In a process of its own: Optuna leaves the connection open with which it could not make its tables."""
    command = [sys.executable, "-m", "bench", *SEARCH, "--quiet", "--home", str(tmp_path)]
    environment = {**os.environ, "BENCH_STORAGE": reader}
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 2
    assert re.search(r"permission denied .*may write", run.stderr), run.stderr
    assert READER not in run.stderr and run.stderr.count("\n") == 1
