"""What every command has: the nearest name for a slip, help with examples, --quiet, output that fits 60 columns."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import closing
from importlib import import_module

import pytest

from bench import cli
from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
WIDTHS = (60, 80, 160)


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BENCH_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serch"], "no command 'serch'. Did you mean search?"),
        (["search", "cnn", "--trails", "5"], "no option --trails. Did you mean --trials?"),
        (["search", "--trails", "5"], "no option --trails. Did you mean --trials?"),
        (["search", "cnn", "--trails=5"], "no option --trails. Did you mean --trials?"),
        (["search", "cnn", "--sampler", "tpee"], "--sampler: there is no value 'tpee'. Did you mean tpe?"),
        (["search", "cnn", "--accept", "verions"], "--accept: there is no value 'verions'. Did you mean versions?"),
        (["search", "cnnn"], "No family named 'cnnn'. Did you mean cnn?"),
        (["trials", "mpl"], "No family named 'mpl'. Did you mean mlp?"),
        (["trials", "mlp", "--dataset", "mnits"], "No data set named 'mnits'. Did you mean mnist?"),
        (["search", "mlp", "--dataset", "mnits"], "No data set named 'mnits'. Did you mean mnist?"),
        (["leaderboard", "--dataset", "mnits"], "No data set named 'mnits'. Did you mean mnist?"),
        (["leaderboard", "--baseline", "mpl"], "No family named 'mpl'. Did you mean mlp?"),
        (["datasets", "mnits"], "No data set named 'mnits'. Did you mean mnist?"),
        (["studies", "rmm"], "there is no value 'rmm'. Did you mean rm?"),
        (["completion", "bsh"], "there is no value 'bsh'. Did you mean bash"),
        (["config", "serch"], "there is no value 'serch'. Did you mean search?"),
        (["config", "search", "--trails", "5"], "no option --trails. Did you mean --trials?"),
        (["search", "cnn", "--tri", "5"], "no option --tri."),  # no abbreviations: scripts rely on the contract
        (["search", "cnn", "--seed", "x"], "--seed: must be a whole number, not 'x'"),
        (["leaderboard", "cnn"], "there is no place for 'cnn'"),
        (
            ["leaderboard", "--at", "40x"],
            "--at: is written like 20 for trials, or 40s, 10m, 1h for device time, not '40x'",
        ),
        (["leaderboard", "--at", "20", "--curves"], "--curves: not allowed with argument --at"),
        (["mistakes", "cnn"], "compares two families, or takes no name; not cnn"),
        (["leaderboard", "--csv", "--json"], "--json: not allowed with argument --csv"),
        (["leaderboard", "a\x1b[31m"], "there is no place for 'a\\x1b[31m'"),
        (["leaderboard", "--\x1b[31m"], "there is no option -- [31m"),
    ],
)
def test_a_slip_is_one_line_with_the_nearest_name_and_exit_2(arguments, said, capsys):
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    lines = [line for line in err.splitlines() if not line.endswith(" ...")]  # a slow machine says what it waits for
    assert len(lines) == 1
    assert lines[0].isprintable()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("studies rm --home X digits-mlp --yes", {"action": "rm", "names": ["digits-mlp"], "yes": True}),
        ("studies --yes rm a -q b", {"action": "rm", "names": ["a", "b"], "quiet": True}),
        ("search mlp --trials 1 cnn", {"families": ["mlp", "cnn"], "trials": 1}),
        ("search --set a=1 mlp --seed -1 -- --cnn", {"families": ["mlp", "--cnn"], "fixed": [("a", "1")], "seed": -1}),
        ("search mlp --trials=1 cnn --gpus none", {"families": ["mlp", "cnn"], "trials": 1, "gpus": []}),
    ],
)
def test_names_may_stand_on_both_sides_of_an_option(line, expected):
    found = vars(cli.parser().parse_args(line.split()))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("studies", 0),
        ("studies rm digits-mlp --yes", 2),
        ("leaderboard --dataset digits", 0),
        ("leaderboard --dataset digits --validation", 0),
        ("leaderboard --dataset digits --at 5", 0),
        ("leaderboard --dataset digits --curves", 0),
        ("mistakes --dataset digits", 3),
        ("trials mlp --dataset digits", 3),
        ("show mlp --dataset digits", 3),
        ("fsck", 2),
        ("dashboard", 2),
        ("families", 0),
        ("config search", 0),
    ],
)
def test_what_only_reads_makes_neither_a_home_nor_a_storage(line, code, tmp_path, capsys):
    missing = f"sqlite:///{tmp_path / 'other.db'}"
    assert cli.main([*line.split(), "--home", "typo"]) == code
    if "storage" in cli.parser().commands[line.split()[0]].options() and not line.startswith("config"):
        (tmp_path / "there").mkdir()
        cli.main([*line.split(), "--home", "there"])
        cli.main([*line.split(), "--home", "typo", "--storage", missing])
        (tmp_path / "there").rmdir()
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()


def test_a_storage_that_is_not_there_is_named(tmp_path, capsys):
    assert cli.main(["studies", "--storage", f"sqlite:///{tmp_path / 'other.db'}"]) == 2
    assert "There is no storage at" in capsys.readouterr().err


def test_a_study_that_is_not_there_names_the_nearest(tmp_path, capsys):
    with closing(Store(tmp_path / "runs")) as store:
        store.create("digits-mlp", {"schema": 1})
    assert cli.main(["trials", "mlp", "--study", "digits-mpl"]) == 3
    assert "Did you mean digits-mlp?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_fits_80_columns_and_shows_examples_that_parse(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert max(map(len, text.splitlines())) <= 80
    examples = text.partition("examples:\n")[2]
    lines = [line.strip() for line in examples.splitlines() if " bench " in f" {line}" and line.startswith("  ")]
    assert lines
    for line in lines:
        words = shlex.split(line.partition("   ")[0].partition(" > ")[0].replace('eval "$(', "").replace(')"', ""))
        words = words[next(i for i, word in enumerate(words) if word == "bench") + 1 :]
        if "--help" not in words:
            assert cli.parser().parse_args(words).command == (command or words[0])


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_is_explained(command):
    for name, action in cli.parser().commands[command].options().items():
        assert action.help, f"bench {command} --{name} has no help"
    assert import_module(f"bench.commands.{command.replace('-', '_')}").EXAMPLES


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with one small search and its final, and what was printed for it with --quiet."""
    folder = tmp_path_factory.mktemp("quiet")
    options = ["--trials", "3", "--dataset", "digits", "--seeds", "2", "--home", "runs", "-q"]
    run = subprocess.run([*BENCH, "search", "mlp", *options], capture_output=True, text=True, cwd=folder)
    assert run.returncode == 0, run.stderr
    (folder / "out.txt").write_text(run.stdout)
    (folder / "err.txt").write_text(run.stderr)
    return folder


def bench(home, *arguments, **variables):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LANG": "C.UTF-8", **variables}
    return subprocess.run([*BENCH, *arguments], capture_output=True, text=True, cwd=home, env=environment)


def test_a_quiet_search_prints_its_result_and_nothing_else(home):
    assert (home / "err.txt").read_text() == ""
    assert (home / "out.txt").read_text().startswith("mlp on digits: 3 trials (")
    assert "test accuracy" in (home / "out.txt").read_text()


def test_quiet_may_stand_in_the_environment_and_json_is_still_one_document(home):
    again = bench(
        home, "search", "mlp", "--dataset", "digits", "--trials", "3", "--seeds", "2", "--json", BENCH_QUIET="1"
    )
    assert json.loads(again.stdout)["trials"]["total"] == 3
    assert again.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["leaderboard"], ["leaderboard", "--validation"], ["trials", "mlp"], ["studies"], ["families"], ["datasets"],
     ["datasets", "digits"], ["fsck"], ["config"]],
    ids=" ".join,
)  # fmt: skip
def test_quiet_commands_print_their_result_on_stdout_alone(home, arguments):
    run = bench(home, *arguments, "-q")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout


def test_quiet_keeps_warnings_and_errors(home):
    run = bench(home, "trials", "mpl", "-q")
    assert (run.returncode, run.stdout) == (2, "")
    assert "Did you mean mlp" in run.stderr


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "arguments",
    [["leaderboard"], ["leaderboard", "--validation"], ["trials", "mlp"], ["studies"], ["families"], ["datasets"],
     ["datasets", "digits"], ["config"], ["config", "search"]],
    ids=" ".join,
)  # fmt: skip
def test_every_table_fits_the_terminal(home, arguments, width):
    run = bench(home, *arguments, COLUMNS=str(width))
    assert run.returncode == 0, run.stderr
    lines = [line.rstrip() for line in run.stdout.splitlines()]
    assert max(map(len, lines)) <= width
    for line in lines:
        assert "\x1b" not in line


def test_a_finished_search_told_in_60_columns_fits(home):
    assert max(len(line) for line in bench(
        home, "search", "mlp", "--dataset", "digits", "--trials", "3", "--seeds", "2", COLUMNS="60"
    ).stdout.splitlines()) <= 60  # fmt: skip


def in_a_terminal(home, *arguments, **variables):
    """What a real terminal of 80 columns is sent."""
    if shutil.which("script") is None:
        pytest.skip("script (util-linux) is not installed")
    line = shlex.join([*BENCH, *arguments])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color", "COLUMNS": "80"}
    environment = {name: value for name, value in environment.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = ["script", "-qec", line, "/dev/null"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=home, env=environment | variables)
    return run.stdout


@pytest.mark.parametrize("arguments", [["leaderboard"], ["datasets", "digits"], ["trials", "mlp"]], ids=" ".join)
def test_no_color_is_obeyed(home, arguments):
    def colours(text):
        codes = [code for part in text.split("\x1b[")[1:] for code in part.partition("m")[0].split(";")]
        return {code for code in codes if code.isdigit() and (30 <= int(code) <= 49 or 90 <= int(code) <= 107)}

    assert colours(in_a_terminal(home, *arguments, NO_COLOR="1")) == set()
    if arguments == ["datasets", "digits"]:
        assert colours(in_a_terminal(home, *arguments)), "with colours there are some"
