"""Commands on a home in which one family was searched and tested."""

import subprocess

from command_line import BENCH


def bench(home, *arguments):
    """What a command says and how it ends; it may fail, but never with a traceback."""
    run = subprocess.run([*BENCH, *arguments, "--home", str(home)], capture_output=True, text=True)
    assert "Traceback" not in run.stderr, run.stderr
    return run


def one(home, pattern):
    (path,) = home.glob(pattern)
    return path


def replace_the_storage(home):
    (home / "bench.db").write_text("not a database at all, " * 100)
