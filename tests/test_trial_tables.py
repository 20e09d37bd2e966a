"""Rows written here are those that Optuna writes."""

import json
from datetime import datetime

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import create_engine, event, update
from sqlalchemy.exc import OperationalError

from bench.rows import row
from bench.space import Choice, Float, Int, SearchSpace, When
from bench.tables import TRIALS, TrialTables

SPACE = SearchSpace(
    {
        "width": Int(8, 64, log=True),
        "optimizer": Choice("adam", "sgd"),
        "momentum": When("optimizer", ("sgd",), Float(0.5, 0.99)),
        "deep": Choice(False, True, 3),
    }
)
PARAMS = {"width": 16, "optimizer": "sgd", "momentum": 0.9, "deep": True}
STEPS = {10: 0.25, 30: 0.5, 90: float("inf")}


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request, tmp_path):
    if request.param == "postgresql":
        url = request.getfixturevalue("url").replace("postgresql://", "postgresql+psycopg://")
    else:
        url = f"sqlite:///{tmp_path / 'bench.db'}"
    made = RDBStorage(url)
    if request.param == "sqlite":
        with made.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    yield made
    made.remove_session()
    made.engine.dispose()


def by_optuna(storage, study, state, values):
    template = row(SPACE, PARAMS)
    template.user_attrs["bench"] = "begun"
    trial = storage.create_new_trial(study, template)
    for step, value in STEPS.items():
        storage.set_trial_intermediate_value(trial, step, value)
    storage.set_trial_user_attr(trial, "bench", "over")
    if state is not None:
        storage.set_trial_state_values(trial, state, values)
    return storage.get_trial(trial)


def by_us(storage, study, state, values):
    template = row(SPACE, PARAMS)
    template.user_attrs["bench"] = "begun"
    tables = TrialTables(storage.engine, study)
    trial, number = tables.create(template)
    assert storage.get_trial(trial).user_attrs == {"bench": "begun"}
    assert storage.get_trial(trial).state == TrialState.RUNNING
    tables.step(trial, {10: 0.1})
    tables.step(trial, {10: STEPS[10]})
    tables.attribute(trial, "bench", "between")
    tables.record(trial, "bench", "over", {step: value for step, value in STEPS.items() if step > 10}, state, values)
    assert storage.get_trial(trial).number == number
    return storage.get_trial(trial)


@pytest.mark.parametrize(
    ("state", "values"),
    [
        (None, []),
        (TrialState.COMPLETE, [0.75]),
        (TrialState.PRUNED, [0.5]),
        (TrialState.PRUNED, []),
        (TrialState.FAIL, []),
    ],
)
def test_a_trial_reads_as_if_optuna_had_written_it(storage, state, values):
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    other = storage.create_new_study([StudyDirection.MAXIMIZE], "other")
    by_us(storage, other, None, [])
    ours, theirs = by_us(storage, study, state, values), by_optuna(storage, study, state, values)
    again = by_us(storage, study, state, values)
    assert [ours.number, theirs.number, again.number] == [0, 1, 2]
    for name in ("state", "values", "params", "distributions", "user_attrs", "system_attrs", "intermediate_values"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for one in (ours, theirs):
        assert abs((one.datetime_start - datetime.now()).total_seconds()) < 60
        assert (one.datetime_complete is None) == (state is None)
        assert one.datetime_complete is None or 0 <= (one.datetime_complete - one.datetime_start).total_seconds() < 60
    assert json.dumps(ours.params) == json.dumps(theirs.params)


def test_a_trial_that_is_over_is_not_changed(storage):
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    over = by_us(storage, study, TrialState.COMPLETE, [0.75])
    tables = TrialTables(storage.engine, study)
    for change in (
        lambda: tables.step(over._trial_id, {10: 0.9}),
        lambda: tables.attribute(over._trial_id, "bench", "later"),
        lambda: tables.record(over._trial_id, "bench", "later", {200: 0.9}, TrialState.FAIL, []),
    ):
        with pytest.raises(UpdateFinishedTrialError):
            change()
    assert storage.get_trial(over._trial_id) == over


def test_nobody_ends_a_trial_between_the_look_at_its_state_and_what_is_written(storage, monkeypatch):
    """Another process that took the trial over, for instance: the end that it wrote would be replaced."""
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    trial = by_us(storage, study, None, [])._trial_id
    impatient = {"timeout": 0.1} if storage.engine.dialect.name == "sqlite" else {"options": "-c lock_timeout=100"}
    other, refused = create_engine(storage.url, connect_args=impatient), []

    def end_it(*_):
        with pytest.raises(OperationalError) as error, other.begin() as connection:
            connection.execute(update(TRIALS).where(TRIALS.c.trial_id == trial).values(state=TrialState.FAIL))
        refused.append(error.value)

    monkeypatch.setattr("bench.tables._set_steps", end_it)
    TrialTables(storage.engine, study).record(trial, "bench", "ours", {}, TrialState.COMPLETE, [0.5])
    other.dispose()
    assert len(refused) == 1
    assert storage.get_trial(trial).state == TrialState.COMPLETE


def test_an_event_that_fails_half_way_leaves_nothing(storage, monkeypatch):
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    trial = by_us(storage, study, None, [])
    tables = TrialTables(storage.engine, study)
    monkeypatch.setattr("bench.tables._utc", lambda moment: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tables.record(trial._trial_id, "bench", "later", {200: 0.9}, TrialState.COMPLETE, [0.5])
    assert storage.get_trial(trial._trial_id) == trial
    with pytest.raises(ZeroDivisionError):
        tables.create(row(SPACE, PARAMS))
    assert storage.get_n_trials(study) == 1


def test_optunas_own_study_goes_on_from_our_trials(storage):
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    for _ in range(3):
        by_us(storage, study, TrialState.COMPLETE, [0.75])
    loaded = optuna.load_study(study_name="s", storage=storage)
    trial = loaded.ask()
    assert (trial.number, loaded.best_value) == (3, 0.75)


@pytest.mark.parametrize("usual", [1, 2])  # as SQLite is built: NORMAL or FULL
def test_only_what_ends_a_trial_waits_for_the_disk(tmp_path, usual):
    storage = RDBStorage(f"sqlite:///{tmp_path / 'bench.db'}")
    storage.engine.dispose()
    event.listen(storage.engine, "connect", lambda made, _: made.execute(f"PRAGMA synchronous={usual}"))
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    tables = TrialTables(storage.engine, study)
    seen = []
    for flushed in (True, False, True):
        with tables._transaction(flushed) as connection:
            seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
        with storage.engine.connect() as connection:
            seen.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    assert seen == [2, 2, 1, 2, 2, 2]  # NORMAL is 1, FULL is 2, also for whoever has the connection next
    storage.engine.dispose()
