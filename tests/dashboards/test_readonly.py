"""A storage that is shown cannot be changed, and showing it hinders nobody who changes it."""

import shutil
import sqlite3

import optuna
import pytest
from optuna.storages import BaseStorage
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bench.errors import RecordError, UsageError
from bench.family import load
from bench.records import Finished, Started, Trial
from bench.store import Store
from dashboards.derived import DerivedStorage
from dashboards.readonly import ReadOnly, ReadOnlyStorage, open_read_only

WRITES = {name for name in vars(BaseStorage) if name.startswith(("set_", "create_", "delete_"))}
READS = {name for name in BaseStorage.__abstractmethods__ if name not in WRITES}


@pytest.mark.parametrize("name", sorted(WRITES))
def test_every_method_that_writes_is_refused(searched, name):
    arguments = {"create_new_study": ([],), "delete_study": (1,), "create_new_trial": (1,), "set_trial_param": ()}
    storage = DerivedStorage(open_read_only(searched))
    with pytest.raises(ReadOnly, match="only shows"):
        getattr(storage, name)(*arguments.get(name, (1, "x", 2)))


def test_optunas_storages_have_no_other_abstract_methods_than_those_sorted_here():
    assert BaseStorage.__abstractmethods__ == WRITES | READS
    assert {name for name in READS if not name.startswith("get_")} == set()
    assert all(name in vars(ReadOnlyStorage) for name in BaseStorage.__abstractmethods__)


@pytest.mark.parametrize("by_url", [False, True])
def test_the_database_itself_refuses_a_write(searched, tmp_path, by_url):
    url = f"sqlite:///{searched / 'bench.db'}" if by_url else None
    storage = open_read_only(tmp_path if by_url else searched, url)
    with storage._stored.engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.execute(text("DELETE FROM trials"))


def test_a_search_writes_on_while_its_storage_is_read(home):
    storage = open_read_only(home)
    study = storage.get_study_id_from_name("digits-mlp")
    before = len(storage.get_all_trials(study))
    connection = storage._stored.engine.connect()
    connection.exec_driver_sql("SELECT count(*) FROM trials").fetchall()  # a read that is not over yet
    store = Store(home)
    writer = store.writer("digits-mlp", load("mlp").space)
    params = dict(load("mlp").reference)
    writer(Started(before, params, 0, 1000))
    writer(Finished(Trial(before, "complete", params, 0.5, curve=((1000, 0.5),))))
    store.close()
    connection.close()
    assert [t.value for t in storage.get_all_trials(study)[before:]] == [0.5]


def test_a_study_that_takes_the_place_of_a_deleted_one_is_not_shown_with_its_trials(home):
    storage = open_read_only(home)
    last = storage.get_all_studies()[-1]
    assert [t.value for t in storage.get_all_trials(last._study_id)] == [1.5]
    url = f"sqlite:///{home / 'bench.db'}"
    optuna.delete_study(study_name="foreign", storage=url)
    new = optuna.create_study(study_name="new", storage=url)
    new.add_trial(optuna.trial.create_trial(value=7.0))
    assert new._study_id == last._study_id
    storage.get_all_studies()
    assert [t.value for t in storage.get_all_trials(new._study_id)] == [7.0]


def test_a_path_may_hold_what_means_something_in_an_address(searched, tmp_path):
    folder = shutil.copytree(searched, tmp_path / "a b?c#d%20{e}&f=g")
    assert "digits-mlp" in [study.study_name for study in open_read_only(folder).get_all_studies()]


def test_a_home_without_a_storage_is_told_what_to_run_and_stays_as_it_is(tmp_path):
    with pytest.raises(UsageError, match=r"no storage at .*bench\.db yet\. First: bench search"):
        open_read_only(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to look like one" * 40])
def test_a_file_that_is_no_optuna_database_is_named_and_left_alone(tmp_path, content):
    (tmp_path / "bench.db").write_bytes(content)
    with pytest.raises(RecordError, match=r"bench\.db cannot be used.*--home"):
        open_read_only(tmp_path)
    assert (tmp_path / "bench.db").read_bytes() == content


def test_a_database_of_another_version_is_named(home):
    with sqlite3.connect(home / "bench.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0'")
    connection.close()
    with pytest.raises(RecordError, match=r"bench\.db cannot be used"):
        open_read_only(home)


@pytest.mark.parametrize("url", ["no url", "foo://user:secret@host/db", "sqlite://"])
def test_a_storage_that_cannot_be_used_is_named_without_its_password(tmp_path, url):
    with pytest.raises(UsageError, match="cannot be used") as caught:
        open_read_only(tmp_path, url)
    assert "secret" not in str(caught.value)
