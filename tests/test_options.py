"""Options that Python and the command line share."""

from pathlib import Path

from bench.options import data_dir_of, home_of


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("BENCH_HOME", "")
    monkeypatch.setenv("BENCH_DATA_DIR", "")
    assert (home_of(None), data_dir_of(None)) == (Path("runs"), None)
    monkeypatch.setenv("BENCH_HOME", "there")
    assert (home_of(None), home_of("here")) == (Path("there"), Path("here"))
