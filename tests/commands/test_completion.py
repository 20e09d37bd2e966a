"""A shell that asks what could be typed next gets names at once, and nothing is written or trained for it."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from bench.store import Store

MARK = "@@"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `bench` on the path, a home with two studies, a family, a data file."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "bin").mkdir()
    script = folder / "bin" / "bench"
    script.write_text(f"#!{sys.executable}\nfrom bench.cli import entry\nentry()\n")
    script.chmod(0o755)
    with closing(Store(folder / "home")) as store:
        for name in ("digits-mlp", "it's a study"):
            store.create(name, {"schema": 1})
    (folder / "home" / "results" / "shapes").mkdir(parents=True)
    (folder / "search_spaces").mkdir()
    (folder / "search_spaces" / "tiny.py").write_text("raise SystemExit('completion must not run me')")
    (folder / "images.npz").touch()
    return folder


def environment(place):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BENCH_")}
    root = str(Path(__file__).parents[2])
    return {**kept, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": root, "BENCH_HOME": "home"}


def completions(place, line, **variables):
    """What bash has in COMPREPLY after a Tab behind `line`: the registered function is called as bash calls it."""
    program = f"""
        eval "$(cd / && bench completion bash)"
        COMP_LINE=$1 COMP_POINT=${{#1}} COMP_TYPE=9
        COMP_WORDS=($1); [[ $1 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        function=$(complete -p bench | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        "$function" bench "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '{MARK}%s\\n' "${{COMPREPLY[@]}}"
    """
    command = ["bash", "--norc", "-c", program, "bash", line]
    run = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment(place) | variables)
    assert "Traceback" not in run.stderr
    return [text.removeprefix(MARK).strip() for text in run.stdout.splitlines() if text.startswith(MARK)]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("bench lead", ["leaderboard"]),
        ("bench search --tri", ["--trials", "--trial-timeout"]),
        ("bench search mlp --see", ["--seed", "--seeds"]),
        ("bench search cnn --trails 5 --dry", ["--dry-run"]),
        ("bench search mlp --sampler q", ["qmc"]),
        ("bench search mlp --sampler=q", ["qmc"]),
        ("bench search ", ["tiny", "cnn", "mlp", "mlp_dropout", "all"]),
        ("bench search cnn ml", ["mlp", "mlp_dropout"]),
        ("bench leaderboard --baseline ti", ["tiny"]),
        ("bench leaderboard --dataset ", ["digits", "mnist", "fashion_mnist", "cifar10", "shapes"]),
        ("bench datasets ./im", ["./images.npz"]),
        ("bench search ./search_spaces/", ["./search_spaces/tiny.py"]),
        ("bench trials mlp --study d", ["digits-mlp"]),
        ("bench studies rm d", ["digits-mlp"]),
        ("bench studies rm --home home d", ["digits-mlp"]),
        ("bench studies rm --yes d", ["digits-mlp"]),
        ("bench search cnn --trials 5 ml", ["mlp", "mlp_dropout"]),
        ("bench studies rm d --home nowhere --study ", [""]),
        ("bench completion ", ["bash", "zsh", "fish"]),
        ("bench config se", ["search"]),
        ("bench search mlp --home ho", ["home/"]),
        ("bench search mlp --trials ", [""]),
    ],
)
def test_bash_completes(place, line, wanted):
    assert completions(place, line) == wanted


def test_the_home_of_a_flag_and_of_a_file_are_looked_into(place, tmp_path):
    assert completions(place, "bench trials --study d --home nowhere --study d") == [""]
    with closing(Store(tmp_path / "other")) as store:
        store.create("dunes", {"schema": 1})
    assert completions(place, f"bench trials --home {tmp_path / 'other'} --study d") == ["dunes"]
    (place / "bench.toml").write_text(f'home = "{tmp_path / "other"}"\n')
    try:
        assert completions(place, "bench trials --study d", BENCH_HOME="") == ["dunes"]
        (place / "bench.toml").write_text("broken")
        assert completions(place, "bench search --sampler q") == ["qmc"]
    finally:
        (place / "bench.toml").unlink()


def test_completion_loads_nothing_heavy_and_writes_nothing(place):
    def seen():
        return sorted((path, path.stat().st_mtime_ns) for path in (place / "home").rglob("*"))

    before = seen()
    program = (
        "import os, sys\n"
        "os.environ |= {'_ARGCOMPLETE': '1', '_ARGCOMPLETE_STDOUT_FILENAME': 'answer', 'COMP_TYPE': '9'}\n"
        "os.environ |= {'COMP_LINE': sys.argv[1], 'COMP_POINT': str(len(sys.argv[1])), '_ARGCOMPLETE_IFS': ' '}\n"
        "os._exit = lambda code: sys.exit(code)\n"
        "from bench.cli import entry\n"
        "try: entry()\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'optuna', 'sqlalchemy', 'numpy', 'rich', 'pandas', 'sklearn', 'ray'}\n"
        "    print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    for line, found in (("bench trials --study ", "digits-mlp"), ("bench search --dataset sh", "shapes")):
        command = [sys.executable, "-c", program, line]
        run = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment(place))
        assert run.stdout == "loaded: []\n", run.stderr
        assert found in (place / "answer").read_text()
    assert seen() == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_reads(place, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    command = ["bench", "completion", shell]
    script.write_bytes(subprocess.run(command, check=True, capture_output=True, env=environment(place)).stdout)
    subprocess.run([shell, "-n", script], check=True)
    assert b"_ARGCOMPLETE" in script.read_bytes()


def test_a_tab_in_a_real_terminal_completes_the_line(place):
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    tmux = ["tmux", "-L", f"bench-test-{os.getpid()}"]

    def screen_shows(text):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout
            if text in shown:
                return True
            time.sleep(0.1)
        raise AssertionError(shown)

    start = ["new-session", "-d", "-x", "100", "-y", "10", "bash", "--norc"]
    subprocess.run([*tmux, *start], check=True, cwd=place, env=environment(place))
    try:
        subprocess.run([*tmux, "send-keys", "-l", 'eval "$(bench completion bash)"; echo "re""ady"'], check=True)
        subprocess.run([*tmux, "send-keys", "Enter"], check=True)
        screen_shows("\nready")
        for typed, shown in (("bench sea", "bench search "), ("mlp --study dig", "mlp --study digits-mlp ")):
            subprocess.run([*tmux, "send-keys", "-l", typed], check=True)
            subprocess.run([*tmux, "send-keys", "Tab"], check=True)
            screen_shows(shown.rstrip())
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
