"""bench as a process of its own, the way that its user starts it."""

import json
import subprocess
import sys

BENCH = [sys.executable, "-m", "bench"]


def bench(home, *arguments, check=True):
    command = [*BENCH, *arguments, "--home", str(home)]
    run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert not check or run.returncode == 0, run.stderr
    return run


def document(home, *arguments):
    return json.loads(bench(home, *arguments, "--json").stdout)
