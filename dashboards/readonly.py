"""An Optuna storage that is read and never written: opened read-only where the database can be, guarded where not."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bench.errors import BenchError, RecordError, UsageError
from bench.rows import ATTRIBUTE
from bench.urls import shown, why, with_driver

FIRST = "First: bench search cnn --trials 50"


class ReadOnly(BenchError):
    """Something tried to change a storage that is only shown."""


def open_read_only(home: Path, url: str | None = None) -> ReadOnlyStorage:
    """`<home>/bench.db`, or the storage at `url`.

    SQLite is opened with `mode=ro`, which neither writes nor locks out the process that does.

    Raises:
        UsageError: there is no storage there yet, or the URL is none, lacks its driver or does not answer.
        RecordError: the file is no Optuna database, or one of another version.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    given, url = url, with_driver(url) if url else None
    try:
        path = home / "bench.db" if url is None else _sqlite_path(url)
    except ArgumentError as error:
        raise UsageError(f"--storage {shown(given or '')} {why(error)}") from None
    if path is not None and not path.is_file():
        raise UsageError(f"There is no storage at {path} yet. {FIRST}")
    try:
        storage = RDBStorage(url or "sqlite:///bench.db", _read_only(path) if path else None, skip_table_creation=True)
        storage.get_all_studies()
    except (StorageInternalError, SQLAlchemyError, RuntimeError, ImportError) as error:
        if path is not None:
            cause = str(error.__cause__ or error).splitlines()[0].rstrip(".")
            raise RecordError(f"{path} cannot be used as a storage: {cause}. Move it away or use --home.") from error
        raise UsageError(f"--storage {shown(given or '')} {why(error.__cause__ or error)}") from None
    return ReadOnlyStorage(storage)


def _sqlite_path(url: str) -> Path | None:
    """The file behind an SQLite URL; None for another kind of database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:":
        raise ArgumentError("a database in memory cannot be shown")
    return Path(parsed.database)


def _read_only(path: Path) -> dict[str, Any]:
    """Arguments of an engine that reads this file. A URL does not do: what it quotes differs between versions."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    return {"creator": lambda: sqlite3.connect(uri, uri=True, timeout=30, check_same_thread=False)}


class ReadOnlyStorage(BaseStorage):
    """Passes on what reads, refuses what would change something.

    Raises:
        ReadOnly: from every method that writes.
    """

    def __init__(self, stored: BaseStorage) -> None:
        self._stored = stored
        # Keeps finished trials in memory, so that a page that asks every few seconds reads new ones only.
        self._inner = get_storage(stored)
        self._known: dict[int, tuple[str, Any]] = {}

    # --- what reads; what the base class has besides is built on these

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._inner.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._inner.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._inner.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._inner.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._inner.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        studies = sorted(self._stored.get_all_studies(), key=lambda study: study._study_id)
        now = {study._study_id: (study.study_name, study.user_attrs.get(ATTRIBUTE)) for study in studies}
        if any(now.get(study_id) != before for study_id, before in self._known.items()):
            # Databases give a deleted study's number to the next one: what is kept of its trials is another's.
            self._inner = get_storage(self._stored)
        self._known = now
        return studies

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._inner.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._inner.get_all_trials(study_id, deepcopy, states)

    def remove_session(self) -> None:
        self._inner.remove_session()

    # --- what writes

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> NoReturn:
        _refuse()

    def delete_study(self, study_id: int) -> NoReturn:
        _refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> NoReturn:
        _refuse()

    def set_trial_param(self, *_: Any, **__: Any) -> NoReturn:
        _refuse()

    def set_trial_state_values(self, *_: Any, **__: Any) -> NoReturn:
        _refuse()

    def set_trial_intermediate_value(self, *_: Any, **__: Any) -> NoReturn:
        _refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        _refuse()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> NoReturn:
        _refuse()


def _refuse() -> NoReturn:
    raise ReadOnly("The dashboard only shows; studies are changed with `bench search` and `bench studies rm`.")
