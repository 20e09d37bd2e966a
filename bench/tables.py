"""Optuna's tables, written one transaction an event.

Optuna's own storage writes a parameter, a value and an attribute each by several statements of its object mapper, and
waits for the disk after each: of a search's own cost that was nearly all. What is written here is the same rows; the
tests hold them to those that Optuna writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, Table, delete, insert, select, update

STUDIES: Any = models.StudyModel.__table__
TRIALS: Any = models.TrialModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
VALUES: Any = models.TrialValueModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__


class TrialTables:
    """The trials of one study.

    Args:
        engine: of the storage, with Optuna's schema in it.

    Raises:
        SQLAlchemyError: by every method; nothing of the event is then written.
        UpdateFinishedTrialError: by what changes a trial that is over.
    """

    def __init__(self, engine: Engine, study_id: int) -> None:
        self._engine, self._study_id = engine, study_id
        self._file = engine.dialect.name == "sqlite"
        self._log = False  # a file's write-ahead log, in which a later flush carries all earlier writes to the disk
        if self._file:
            with engine.connect() as connection:
                self._log = connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"

    def create(self, template: FrozenTrial) -> tuple[int, int]:
        """Add a running trial; returns its id and its number, the next one of the study."""
        start = template.datetime_start or datetime.now()
        with self._transaction() as connection:
            # A server numbers trials one at a time; a file is locked as a whole.
            connection.execute(select(STUDIES.c.study_id).where(STUDIES.c.study_id == self._study_id).with_for_update())
            added = connection.execute(
                insert(TRIALS).values(study_id=self._study_id, state=TrialState.RUNNING, datetime_start=_utc(start))
            )
            trial_id: int = added.inserted_primary_key[0]  # type: ignore[index]  # one row, so that there is a key
            before = (TRIALS.c.study_id == self._study_id) & (TRIALS.c.trial_id < trial_id)
            latest = select(TRIALS.c.number).where(before).order_by(TRIALS.c.trial_id.desc()).limit(1)
            last = connection.execute(latest).scalar()
            number = 0 if last is None else last + 1
            connection.execute(update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(number=number))
            params = [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": template.distributions[name].to_internal_repr(value),
                    "distribution_json": distribution_to_json(template.distributions[name]),
                }
                for name, value in template.params.items()
            ]
            _add(connection, PARAMS, params)
            for key, value in template.user_attrs.items():
                _set_attribute(connection, trial_id, key, value)
        return trial_id, number

    def step(self, trial_id: int, steps: Mapping[int, float]) -> None:
        """Set values at steps of a running trial."""
        with self._transaction() as connection:
            self._check_running(connection, trial_id)
            _set_steps(connection, trial_id, steps)

    def attribute(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of a running trial."""
        with self._transaction() as connection:
            self._check_running(connection, trial_id)
            _set_attribute(connection, trial_id, key, value)

    def record(
        self,
        trial_id: int,
        key: str,
        value: Any,
        steps: Mapping[int, float],
        state: TrialState | None = None,
        values: Sequence[float] = (),
    ) -> None:
        """Set an attribute and steps; with a `state`, end the trial in it, on the disk before this returns."""
        with self._transaction(flushed=state is not None) as connection:
            self._check_running(connection, trial_id)
            _set_steps(connection, trial_id, steps)
            _set_attribute(connection, trial_id, key, value)
            if state is None:
                return
            connection.execute(delete(VALUES).where(VALUES.c.trial_id == trial_id))
            _add(connection, VALUES, [_value(trial_id, place, one) for place, one in enumerate(values)])
            ended = {"state": state, "datetime_complete": _utc(datetime.now())}
            connection.execute(update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(**ended))

    @contextmanager
    def _transaction(self, flushed: bool = False) -> Iterator[Connection]:
        """A transaction; one that is not flushed survives the end of the process, but maybe not that of the machine."""
        with self._engine.connect() as connection:
            if self._log:  # some builds of SQLite begin with NORMAL where there is a log
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if flushed else 'NORMAL'}")
            try:
                if self._file:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")  # Python's own begins with a write, after a look
                yield connection
                connection.commit()
            finally:
                connection.rollback()
                if self._log and not flushed:
                    connection.exec_driver_sql("PRAGMA synchronous=FULL")  # the pool hands the connection on

    def _check_running(self, connection: Connection, trial_id: int) -> None:
        found = select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id).with_for_update()
        state = connection.execute(found).scalar()
        if state is None or state.is_finished():
            raise UpdateFinishedTrialError(f"Trial#{trial_id} has already finished and can not be updated.")


def _set_steps(connection: Connection, trial_id: int, steps: Mapping[int, float]) -> None:
    if not steps:
        return
    connection.execute(delete(STEPS).where(STEPS.c.trial_id == trial_id, STEPS.c.step.in_([*steps])))
    rows = []
    for step, value in steps.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        rows.append({"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    _add(connection, STEPS, rows)


def _set_attribute(connection: Connection, trial_id: int, key: str, value: Any) -> None:
    text = json.dumps(value)
    own = (ATTRIBUTES.c.trial_id == trial_id) & (ATTRIBUTES.c.key == key)
    if not connection.execute(update(ATTRIBUTES).where(own).values(value_json=text)).rowcount:
        _add(connection, ATTRIBUTES, [{"trial_id": trial_id, "key": key, "value_json": text}])


def _value(trial_id: int, objective: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"trial_id": trial_id, "objective": objective, "value": stored, "value_type": kind}


def _add(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _utc(moment: datetime) -> datetime:
    """How Optuna's tables keep times: in UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None)
