"""An option comes from a flag, the environment, a file, or its default; in this order, and checked the same way."""

import json
import os
from pathlib import Path

import pytest

from bench import cli
from bench.errors import UsageError
from bench.family import load
from bench.space import Choice


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A working directory of its own, and no option in the environment."""
    folder = tmp_path / "project" / "below"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("BENCH_")]:
        monkeypatch.delenv(name)
    return folder


def parsed(*argv):
    return cli.parser().parse_args(argv)


def config(capsys, *argv):
    assert cli.main(["config", *argv, "--json"]) == 0
    return {(row["command"], row["option"]): row for row in json.loads(capsys.readouterr().out)["rows"]}


# option, flags, environment, bench.toml, what is wanted of (flag, environment, file, default)
PRECEDENCE = {
    "a whole number": ("trials", ["--trials", "7"], "8", "trials = 9", (7, 8, 9, 50)),
    "asked for or not": ("sampler", ["--sampler", "gp"], "qmc", 'sampler = "random"', ("gp", "qmc", "random", None)),
    "a duration": ("timeout", ["--timeout", "1m"], "2m", 'timeout = "1h30m"', (60, 120, 5400, None)),
    "a number as a duration": ("timeout", ["--timeout", "1"], "2", "timeout = 3", (1, 2, 3, None)),
    "a value that means the default": ("workers", ["--workers", "auto"], "2", "workers = 3", (None, 2, 3, None)),
    "a list in a value": ("gpus", ["--gpus", "0"], "1,2", 'gpus = "none"', (["0"], ["1", "2"], [], None)),
    "a switch": ("no-final", ["--no-final"], "true", "no-final = true", (True, True, True, False)),
    "a switch turned off nearer": ("dry-run", ["--dry-run"], "no", "dry_run = true", (True, False, True, False)),
    "a repeated option": (
        "set", ["--set", "a=1", "--set", "b=2"], "c=3 'd=x y'", "set = ['e=5']",
        ([("a", "1"), ("b", "2")], [("c", "3"), ("d", "x y")], [("e", "5")], []),
    ),
    "a repeated option as a table": (
        "range", ["--range", "a=1:2"], "b=3:4", "range = { c = [1e-4, 0.5], d = 'x,y' }",
        ([("a", "1:2")], [("b", "3:4")], [("c", ("0.0001", "0.5")), ("d", "x,y")], []),
    ),
    "an option with another name inside": (
        "accept", ["--accept", "versions"], "versions versions", "accept = []",
        (["versions"], ["versions", "versions"], [], []),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PRECEDENCE)
def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(case, monkeypatch, alone):
    option, flags, variable, line, wanted = PRECEDENCE[case]
    name = f"BENCH_{option.replace('-', '_').upper()}"

    def value(*flags):
        options = parsed("search", "mlp", *flags)
        action = cli.parser().commands["search"].options()[option]
        return getattr(options, action.dest), options.origins[option].kind

    assert value() == (wanted[3], "default")
    (alone / "bench.toml").write_text(line)
    assert value() == (wanted[2], "file")
    monkeypatch.setenv(name, variable)
    assert value() == (wanted[1], "environment")
    assert value(*flags) == (wanted[0], "flag")
    monkeypatch.setenv(name, "")
    assert value() == (wanted[2], "file"), "an empty variable counts as not set"


def test_a_table_of_a_command_goes_before_what_is_for_all(alone):
    (alone / "bench.toml").write_text("seeds = 3\n[search]\nseeds = 4\n[trials]\nstudy = 's'\n")
    assert (parsed("search", "mlp").seeds, parsed("final", "mlp").seeds) == (4, 3)
    assert parsed("trials", "mlp").study == "s"
    assert parsed("families").origins.keys().isdisjoint({"seeds", "study"})
    (alone / "bench.toml").write_text("trials = 9\n")
    assert parsed("search", "mlp").trials == 9, "the option, which is not the command of that name"


def test_a_study_continues_with_what_the_file_says_as_with_a_flag(alone):
    (alone / "bench.toml").write_text('sampler = "random"\n')
    assert parsed("search", "mlp").sampler == "random"
    assert parsed("search", "mlp").pruner is None, "what nobody asked for stays 'not asked'"


@pytest.mark.parametrize("name", ["bench.toml", "pyproject.toml"])
def test_the_nearest_folder_with_a_file_is_taken_and_no_other(name, alone, capsys):
    table = "[tool.bench]\n" if name == "pyproject.toml" else ""
    (alone.parent / name).write_text(f"{table}trials = 9\nseeds = 2\n")
    row = config(capsys)["search", "trials"]
    assert (row["value"], row["source"], Path(row["file"])) == (9, "file", alone.parent / name)
    assert row["name"] == ("tool.bench.trials" if table else "trials")
    (alone / "pyproject.toml").write_text("[tool.other]\nbench = 1\n")
    assert parsed("search", "mlp").trials == 9, "a pyproject.toml without our table is passed by"
    (alone / "bench.toml").write_text("trials = 8\n")
    assert (parsed("search", "mlp").trials, parsed("search", "mlp").seeds) == (8, 5)


def test_paths_in_a_file_are_relative_to_it(alone):
    above = alone.parent
    (above / "bench.toml").write_text(
        'home = "here"\ndata_dir = "~/data"\ndataset = "images/x.npz"\nstorage = "sqlite:///trials.db"\n'
    )
    options = parsed("search", "mlp")
    assert options.home == above / "here"
    assert options.data_dir == Path("~/data").expanduser()
    assert options.dataset == str(above / "images/x.npz")
    assert options.storage == f"sqlite:///{above}/trials.db"
    (above / "bench.toml").write_text('dataset = "digits"\nstorage = "postgresql:///bench"\n')
    assert (parsed("search", "mlp").dataset, parsed("search", "mlp").storage) == ("digits", "postgresql:///bench")


def test_of_options_that_exclude_each_other_the_nearer_one_stands(alone, monkeypatch):
    def shape(*flags):
        options = parsed("leaderboard", *flags)
        return options.json, options.csv, options.markdown

    (alone / "bench.toml").write_text("markdown = true\n")
    assert shape() == (False, False, True)
    assert shape("--csv") == (False, True, False)
    monkeypatch.setenv("BENCH_JSON", "1")
    assert shape() == (True, False, False)
    monkeypatch.setenv("BENCH_CSV", "1")
    with pytest.raises(UsageError, match=r"\$BENCH_JSON and \$BENCH_CSV exclude each other"):
        shape()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trials = 0", ("bench.toml, trials: must be a whole number of at least 1, not '0'",)),
        ("trials = true", ("bench.toml, trials: must be one text or number, not true",)),
        ("[search]\ntrials = [1]", ("bench.toml, search.trials: must be one text or number, not [1]",)),
        ("sampler = 'tpee'", ("bench.toml, sampler: there is no value 'tpee'. Did you mean tpe?",)),
        ("timeout = 'soon'", ("bench.toml, timeout: is written like 90s, 30m or 1h30m, not 'soon'",)),
        ("quiet = 'yes'", ("bench.toml, quiet: must be true or false, not 'yes'",)),
        ("set = 'a=1'", ("bench.toml, set: must be a list or a table, not 'a=1'",)),
        ("set = ['a']", ("bench.toml, set: is written name=value, not 'a'",)),
        ("[search.set]\na = {}", ("bench.toml, search.set.a: must be one text or number, not {}",)),
        ("trails = 5", ("bench.toml, trails: bench has no option 'trails'. Did you mean trials",)),
        ("[serch]\ntrials = 5", ("bench.toml, serch: bench has no command 'serch'. Did you mean search?",)),
        ("[final]\ntrials = 5", ("bench.toml, final.trials: bench final has no option 'trials'.",)),
        ("dry-run = true\ndry_run = true", ("bench.toml, dry_run: 'dry-run' is said twice",)),
        ("trials =\n", ("bench.toml is not valid TOML", "line 1")),
        ("a = 'x", ("bench.toml is not valid TOML", "at end of document")),
        (b"\xff", ("bench.toml cannot be read",)),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_place_the_rule_and_the_value(text, said, alone, capsys):
    (alone / "bench.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["search", "mlp"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert str(alone) in err
    for part in said:
        assert part in err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BENCH_TRIALS", "0", "$BENCH_TRIALS: must be a whole number of at least 1, not '0'"),
        ("BENCH_SAMPLER", "tpee", "$BENCH_SAMPLER: there is no value 'tpee'. Did you mean tpe?"),
        ("BENCH_QUIET", "maybe", "$BENCH_QUIET: must be one of 1, true, yes, on, 0, false, no, off, not 'maybe'"),
        ("BENCH_SET", "'a=1", "$BENCH_SET: is split at spaces like a command line; No closing quotation"),
    ],
)
def test_a_wrong_variable_is_one_line_too(name, value, said, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    assert cli.main(["search", "mlp"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"bench: {said}")
    assert err.count("\n") == 1


def test_somebody_elses_broken_pyproject_is_not_our_error(alone):
    (alone / "pyproject.toml").write_text('[project\nname = "workbench"\n')
    assert parsed("search", "mlp").trials == 50


def test_config_names_where_each_value_is_from(alone, monkeypatch, capsys):
    (alone / "bench.toml").write_text("seeds = 3\n")
    monkeypatch.setenv("BENCH_WORKERS", "2")
    rows = config(capsys, "search", "--trials", "7")
    sources = {option: (row["value"], row["source"], row["name"]) for (_, option), row in rows.items()}
    assert sources["trials"] == (7, "flag", "--trials")
    assert sources["workers"] == (2, "environment", "BENCH_WORKERS")
    assert sources["seeds"] == (3, "file", "seeds")
    assert sources["engine"] == ("optuna", "default", None)
    assert {command for command, _ in rows} == {"search"}


def test_a_list_in_the_file_is_a_range_or_the_options_of_a_choice(alone, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")
    ranges = 'range = { optimizer = ["adam", "sgd"], batch_size = [64, 128, 256], epochs = [2, 5] }'
    (alone / "bench.toml").write_text(f"[search]\n{ranges}\n")
    space = load("cnn").space.override(ranges=dict(parsed("search", "cnn").ranges))
    assert space.domains["optimizer"] == Choice("adam", "sgd")
    assert space.domains["batch_size"] == Choice(64, 128, 256)
    assert (space.domains["epochs"].low, space.domains["epochs"].high) == (2, 5)
    assert cli.main(["config", "search"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "optimizer=adam,sgd batch_size=64,128,256 epochs=2,5" in said


def test_defaults_that_engines_have_of_their_own_are_all_named(alone, capsys):
    assert cli.main(["config", "search"]) == 0
    rows = {line.split()[0]: line.split()[1:-1] for line in capsys.readouterr().out.splitlines() if line}
    assert (rows["sampler"], rows["pruner"]) == (["tpe,", "bayesian"], ["asha"])


def test_config_for_people_fits_the_terminal_and_names_the_file(alone, monkeypatch, capsys):
    (alone / "bench.toml").write_text("seeds = 3\n[search]\nseeds = 4\n")
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["config"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 60
    assert "file: " in text
    rows = [line.split() for line in text.splitlines() if line.startswith("seeds")]
    assert [row[1] for row in rows] == ["3", "4"], "one line where commands do not agree"


def test_a_variable_that_no_option_has_is_pointed_out(monkeypatch, capsys):
    monkeypatch.setenv("BENCH_WORKRES", "5")
    monkeypatch.setenv("BENCH_FAILPOINT", "")
    assert cli.main(["config", "search", "--json"]) == 0
    assert capsys.readouterr().err == "$BENCH_WORKRES is set, but there is no option --workres. Did you mean workers?\n"


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@host/db", "postgresql://me:hun@ter2@host/db", "mysql:///x?user=a&password=hunter2"]
)
def test_passwords_are_never_printed(url, monkeypatch, alone, capsys):
    monkeypatch.setenv("COLUMNS", "300")
    for argv in (["config", "search", "--storage", url], ["config", "--json"], ["config"], ["trials", "mlp", url]):
        monkeypatch.setenv("BENCH_STORAGE", url)
        cli.main(argv)
        out, err = capsys.readouterr()
        assert "ter2" not in out + err
        assert "***" in out + err


def test_the_file_is_not_read_for_help(alone, capsys):
    (alone / "bench.toml").write_text("broken")
    with pytest.raises(SystemExit) as ended:
        cli.main(["search", "--help"])
    assert ended.value.code == 0
