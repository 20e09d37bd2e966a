"""Options that Python and the command line share."""

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.options import Options, data_dir_of, home_of


def test_an_empty_variable_is_not_set(monkeypatch):
    monkeypatch.setenv("BENCH_HOME", "")
    monkeypatch.setenv("BENCH_DATA_DIR", "")
    assert (home_of(None), data_dir_of(None)) == (Path("runs"), None)
    monkeypatch.setenv("BENCH_HOME", "there")
    assert (home_of(None), home_of("here")) == (Path("there"), Path("here"))


@pytest.mark.parametrize(("accept", "named"), [("versions", "'versions'"), (["rungs"], "'rungs'")])
def test_what_may_be_accepted_is_a_list_of_what_can_do_no_harm(accept, named):
    with pytest.raises(UsageError, match=f"accept must be a list of any of versions, source, not {named}"):
        Options(Path("runs"), accept=accept)
