"""A real PostgreSQL server of one test session: found, started on a free port, stopped and started again, removed."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PASSWORD = "xyzzy-never-shown"
USER = "bench"


def programs():
    """The folder of initdb and postgres, or None; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].split(".")[0]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Server:
    """PostgreSQL refuses to run as root, so that root starts it as `postgres`."""

    def __init__(self, folder):
        self._bin, self._folder = programs(), folder / "data"
        self._as = []
        if os.getuid() == 0:
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._socket = folder
        self._run("initdb", "-D", self._folder, "-U", USER, "-A", "scram-sha-256", "--pwfile", secret, "--no-sync")
        secret.unlink()
        self.start()

    def _run(self, program, *arguments):
        command = [*self._as, str(self._bin / program), *map(str, arguments)]
        run = subprocess.run(command, capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
        assert run.returncode == 0, run.stderr + run.stdout

    def start(self):
        log = self._socket / "log"
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self._socket} -c fsync=off"
        self._run("pg_ctl", "-D", self._folder, "-l", log, "-w", "-o", options, "start")

    def stop(self):
        self._run("pg_ctl", "-D", self._folder, "-m", "fast", "-w", "stop")

    def url(self, database, password=PASSWORD):
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new(self, database):
        """The URL of a new, empty database."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)


@pytest.fixture(scope="session")
def server():
    if programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed: python -m pip install 'psycopg[binary]'")
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-", dir="/tmp"))  # a socket's path is short
    started = Server(folder)
    yield started
    started.stop()
    shutil.rmtree(folder)


@pytest.fixture
def url(server, request):
    """A database of the test's own."""
    return server.new(f"d{abs(hash(request.node.nodeid))}")
