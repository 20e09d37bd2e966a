"""The storage is Optuna's own: written by bench, read back by bench and by a plain Optuna client."""

import errno
import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from bench.errors import BenchError, RecordError, UsageError
from bench.family import load
from bench.records import Finished, Paused, Phases, Reported, Shelved, Started, Trial
from bench.rows import trial_of
from bench.store import Store

FAMILY = load("cnn")
PARAMS = {**FAMILY.reference, "optimizer": "sgd", "momentum": 0.9}
DONE = Trial(
    0, "complete", PARAMS, 0.97, 4096, Phases(0.1, 0.2, 3.0, 0.4, 0.5), 1, None, None,
    ((1000, 0.9), (4000, 0.97)), 1234, 77, 1, 12.5, ((0, 0, 60), (1, 0, 2), (1, 1, 58)),
    ((1000, 0.7), (4000, 0.2)),
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path)
    opened.create("digits-cnn", {"family": "cnn"})
    yield opened
    opened.close()


def write(store, *events):
    writer = store.writer("digits-cnn", FAMILY.space)
    for event in events:
        writer(event)


MAKES = """
import sys
from pathlib import Path
from bench.store import Store
print("ready", flush=True)
sys.stdin.readline()
Store(Path(sys.argv[1]), sys.argv[2]).close()
"""


@pytest.mark.parametrize("names", [["bench.db"], ["bench.db", "link.db"], ["file:bench.db?uri=true", "bench.db"]])
def test_processes_of_several_homes_that_make_one_file_at_the_same_time_all_get_it(names, tmp_path):
    """Without a lock one in two or so of these fails in Optuna's migrations."""
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "link.db").symlink_to("bench.db")
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKES, str(tmp_path / str(number)), f"sqlite:///{names[number % len(names)]}"],
            cwd=tmp_path / "0",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for maker in makers:
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        maker.stdin.write("go\n")
        maker.stdin.flush()
    assert [maker.communicate(timeout=100)[1] for maker in makers] == [""] * 4
    assert [maker.returncode for maker in makers] == [0] * 4


def test_a_file_that_cannot_be_locked_is_opened_all_the_same_where_it_is_not_the_homes_own(tmp_path, monkeypatch):
    """On a file system without locks, or beside a lock that another user made."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("bench.servers.FileLock.acquire", refuse)
    store = Store(tmp_path / "home", f"sqlite:///{tmp_path / 'shared.db'}")
    assert store.names() == []
    store.close()
    with pytest.raises(PermissionError):
        Store(tmp_path / "home")


def test_a_finished_trial_reads_back_as_it_was(store):
    write(store, Started(0, PARAMS, 1, 4000, 1, 77), Reported(0, 1, 1000, 0.9), Finished(DONE))
    assert store.trials("digits-cnn") == [DONE]


def test_what_a_sampler_remembers_with_a_trial_stays_with_it(store):
    remembered = {"cma:generation": 3, "x_for_tell": [0.25, 1.5], "cma:optimizer:0": "80ff" * 500}
    begun = Started(0, PARAMS, 1, 4000, 1, 77, remembered)
    write(store, begun, Paused(0, 1), replace(begun, sampler_state={}), Reported(0, 1, 1000, 0.9), Finished(DONE))
    (trial,) = store.trials("digits-cnn")
    assert trial == replace(DONE, sampler_state=remembered)
    assert "sampler_state" not in trial.to_json()


def test_a_trial_whose_end_was_half_written_is_run_again_and_one_that_was_shelved_waits(store):
    shelved = replace(DONE, number=1, state="running", elapsed=None)
    write(store, Started(0, PARAMS, 1, 4000, 1, 77), Started(1, PARAMS, 1, 4000, 1, 77), Shelved(1, 1, shelved))
    store.writer("digits-cnn", FAMILY.space)._record(DONE)  # as a kill before the state leaves it
    assert [(trial.state, trial.paused) for trial in store.trials("digits-cnn")] == [
        ("running", False),
        ("running", True),
    ]


def test_a_record_that_was_written_before_confusions_were_kept_is_read_without_one(store):
    write(store, Started(0, PARAMS, 1, 4000, 1, 77), Finished(DONE))
    (stored,) = store._storage.get_all_trials(store._storage.get_study_id_from_name("digits-cnn"))
    assert '"confusion": [[0, 0, 60], ' in stored.user_attrs["bench"]  # within the one record, no write of its own
    old = json.loads(stored.user_attrs["bench"])
    del old["confusion"]
    stored.user_attrs["bench"] = json.dumps(old)
    assert trial_of(stored) == replace(DONE, confusion=None)


def test_states_and_values_are_optunas_own(store, tmp_path):
    pruned = Trial(1, "pruned", PARAMS, 0.8, 1000, curve=((1000, 0.8),))
    failed = Trial(2, "failed", PARAMS, None, 10, reason="diverged", detail="loss is nan")
    events = [Finished(DONE), Finished(pruned), Finished(failed)]
    for number, event in enumerate(events):
        write(store, Started(number, PARAMS, 0, 4000), event)
    write(store, Started(3, PARAMS, 0, 4000))
    study = optuna.load_study(study_name="digits-cnn", storage=f"sqlite:///{tmp_path}/bench.db")
    assert [t.state.name for t in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    assert study.best_value == 0.97
    assert study.best_params["momentum"] == 0.9
    assert study.trials[1].intermediate_values == {1000: 0.8}
    assert [t.reason for t in store.trials("digits-cnn")] == [None, None, "diverged", None]


def test_optunas_own_command_line_reads_it(store, tmp_path):
    write(store, Started(0, PARAMS, 1, 4000, 1, 77), Finished(DONE))
    url = f"sqlite:///{tmp_path}/bench.db"
    command = [str(Path(sys.executable).with_name("optuna")), "trials", "--study-name", "digits-cnn", "--storage", url]
    run = subprocess.run([*command, "-f", "json"], capture_output=True, text=True)
    assert '"COMPLETE"' in run.stdout, run.stderr


def test_a_clean_stop_does_not_count_as_an_attempt(store):
    write(store, Started(0, PARAMS, 1, 4000, 1), Paused(0, 1))
    (trial,) = store.trials("digits-cnn")
    assert (trial.state, trial.attempts) == ("running", 0)


@pytest.mark.parametrize("event", [Reported(0, 1, 1000, 0.9), Paused(0, 1), Finished(DONE)])
def test_a_trial_that_another_program_ended_is_named_with_what_to_do(store, tmp_path, event):
    writer = store.writer("digits-cnn", FAMILY.space)
    writer(Started(0, PARAMS, 1, 4000, 1, 77))
    theirs = optuna.load_study(study_name="digits-cnn", storage=f"sqlite:///{tmp_path / 'bench.db'}")
    theirs.tell(0, state=optuna.trial.TrialState.FAIL)  # as optuna-dashboard does
    with pytest.raises(BenchError, match=r"Another program ended trial 0 .* Run the command again"):
        writer(event)
    assert [trial.state for trial in store.trials("digits-cnn")] == ["failed"]


def test_a_trial_that_is_run_again_stays_one_row(store):
    write(store, Started(0, PARAMS, 1, 4000, 1), Reported(0, 1, 1000, 0.9))
    write(store, Started(0, PARAMS, 0, 4000, 2), Reported(0, 0, 1000, 0.9), Finished(DONE))
    assert store.trials("digits-cnn") == [DONE]


def test_two_studies_share_one_file(store, tmp_path):
    other = Store(tmp_path)
    other.create("digits-mlp", {"family": "mlp"})
    assert set(store.studies()) == {"digits-cnn", "digits-mlp"}
    other.close()


def test_the_file_is_in_wal_mode_so_that_it_can_be_read_while_it_is_written(store, tmp_path):
    connection = sqlite3.connect(tmp_path / "bench.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_home_whose_path_would_end_inside_a_url_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"must have no '\?' in its path"):
        Store(tmp_path / "who?" / "runs")
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "bench.db").write_bytes(b"not a database, but long enough to look like one" * 40)
    with pytest.raises(RecordError, match=r"bench\.db cannot be used.*--home"):
        Store(tmp_path)


@pytest.mark.parametrize("url", ["foo://x", "no url", "sqlite:////nonexistent/folder/x.db"])
def test_a_storage_that_cannot_be_used_is_named(tmp_path, url):
    with pytest.raises(UsageError, match=r"--storage .* cannot be used"):
        Store(tmp_path, url)


def test_a_password_is_never_shown(tmp_path):
    with pytest.raises(UsageError) as caught:
        Store(tmp_path, "foo://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_study_that_was_killed_while_it_was_made_is_made_again_and_a_foreign_one_is_left_alone(tmp_path):
    store = Store(tmp_path)
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    optuna.create_study(storage=url, study_name="empty", direction="maximize")
    foreign = optuna.create_study(storage=url, study_name="foreign", direction="maximize")
    foreign.tell(foreign.ask(), 1.0)
    store.create("empty", {"a": 1})
    assert store.settings("empty") == {"a": 1}
    with pytest.raises(UsageError, match="give another name with --study"):
        store.create("foreign", {"a": 1})
    store.close()


def test_an_empty_study_of_another_kind_is_not_taken_over(tmp_path):
    store = Store(tmp_path)
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    optuna.create_study(storage=url, study_name="losses", direction="minimize")
    optuna.create_study(storage=url, study_name="theirs", direction="maximize").set_user_attr("owner", "somebody")
    for name in ("losses", "theirs"):
        with pytest.raises(UsageError, match="give another name with --study"):
            store.create(name, {"a": 1})
    store.close()


@pytest.mark.parametrize("broken", ["{", "[]", "3"])
def test_settings_that_do_not_read_back_are_named_and_hide_no_other_study(store, broken):
    store._storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "broken")
    store._storage.set_study_user_attr(store._storage.get_study_id_from_name("broken"), "bench", broken)
    with pytest.raises(RecordError, match=r"'broken' does not read back.*bench studies rm broken"):
        store.settings("broken")
    assert set(store.studies()) == {"digits-cnn"}


def test_a_trial_that_does_not_read_back_is_named(store):
    write(store, Started(0, PARAMS, 1, 4000, 1, 77))
    store._storage.set_trial_user_attr(store._storage.get_all_trials(1)[0]._trial_id, "bench", "{")
    with pytest.raises(RecordError, match="Trial 0 of study 'digits-cnn' does not read back"):
        store.trials("digits-cnn")
    assert store.count("digits-cnn") == 1


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@127.0.0.1:1/db",
        "postgresql+psycopg2://user@127.0.0.1:1/db?password=secret",
        "secret nonsense",
        "mysql+nosuchdriver://user:secret@host/db?sslpassword=secret",
    ],
)
def test_a_password_is_shown_neither_by_a_command_nor_by_the_doctors_question(tmp_path, url):
    from bench.store import problem_of

    with pytest.raises(UsageError) as caught:
        Store(tmp_path, url)
    assert "secret" not in str(caught.value)
    assert "secret" not in str(problem_of(tmp_path, url))
