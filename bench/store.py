"""Studies and trials on Optuna storage, readable by any Optuna client, one writer a study.

The search runs on a study in memory; this mirrors it: one row when a trial starts, its rungs as they are reached, and
the finished state last, so that a trial which reads as finished is whole. What Optuna has no place for stands in the
user attribute `bench` of the study and of each trial.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bench import failpoints, servers
from bench.errors import RecordError, UsageError
from bench.leases import Leases, make_table
from bench.patience import Patience, reported
from bench.records import Trial
from bench.rows import ATTRIBUTE, NOTE, trial_of
from bench.space import SearchSpace
from bench.urls import shown, why, with_driver
from bench.writer import Writer


class Store:
    """One storage, `<home>/bench.db` unless another URL is given.

    Args:
        make: make the home and its database where they are missing. Who only reads does not: a home without a database
            is one without studies.

    Raises:
        RecordError: the file is no Optuna database, or one of another version.
        UsageError: the URL is none, or nothing answers there; the home is no folder.
        MissingPackage: its driver is not installed.
    """

    def __init__(self, home: Path, url: str | None = None, make: bool = True) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.home = home
        path, driven = home / "bench.db", _driven(home, url)
        if make:
            home.mkdir(parents=True, exist_ok=True)
        else:
            _check_there(home, url)
        if not make and url is None and not path.exists():
            self._storage = RDBStorage("sqlite://")  # in memory, and empty
            return
        try:
            with servers.one_at_a_time(driven, own=url is None):
                if url is None:
                    with sqlite3.connect(path, timeout=30) as connection:
                        connection.execute("PRAGMA journal_mode=WAL")
                    connection.close()
                self._storage = RDBStorage(driven, servers.arguments(driven))
                if make and self.folder is None:
                    make_table(self._storage.engine)
        except ModuleNotFoundError as error:
            raise servers.missing(error) from None
        except (sqlite3.DatabaseError, RuntimeError, SQLAlchemyError, ImportError) as error:
            if url is None:
                said = str(error).strip().rstrip(".")
                raise RecordError(f"{path} cannot be used as a storage: {said}. Move it away or use --home.") from error
            raise UsageError(f"--storage {shown(url)} {why(error)}") from None

    @property
    def folder(self) -> Path | None:
        """Where the file of the storage stands; None where it is no file."""
        file = servers.file_of(self._storage.engine.url)
        return file.parent if file else None

    def leases(self, study: str) -> Leases:
        """Who works on a study, and this process's part in it; to be closed."""
        return Leases(self._storage.engine, study)

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    @reported
    def names(self) -> list[str]:
        """Every study in the storage, whoever made it."""
        return [study.study_name for study in self._storage.get_all_studies()]

    @reported
    def count(self, study: str) -> int:
        """How many trials a study holds, whether they read back or not."""
        return int(self._storage.get_n_trials(self._storage.get_study_id_from_name(study)))

    @reported
    def remove(self, study: str) -> None:
        """Delete a study and its trials."""
        self._storage.delete_study(self._storage.get_study_id_from_name(study))

    @reported
    def studies(self) -> dict[str, dict[str, Any]]:
        """Name -> settings of every study that bench made, oldest first."""
        found = {}
        for study in self._storage.get_all_studies():
            # A broken study shall not hide the others; asked for by name it is an error.
            with contextlib.suppress(RecordError):
                settings = _settings(study.study_name, study.user_attrs)
                if settings is not None:
                    found[study.study_name] = settings
        return found

    @reported
    def settings(self, study: str) -> dict[str, Any] | None:
        """What was frozen when the study was made, or None if there is no such study.

        Raises:
            RecordError: they do not read back.
        """
        try:
            study_id = self._storage.get_study_id_from_name(study)
        except KeyError:
            return None
        return _settings(study, self._storage.get_study_user_attrs(study_id))

    @reported
    def create(self, study: str, settings: Mapping[str, Any]) -> None:
        try:
            failpoints.reach("store: before a study")
            study_id = self._storage.create_new_study([StudyDirection.MAXIMIZE], study)
            failpoints.reach("store: between a study and its settings")
        except DuplicatedStudyError:
            # A kill between the two writes leaves an empty study; one that holds anything is somebody else's.
            study_id = self._storage.get_study_id_from_name(study)
            ours = self._storage.get_study_directions(study_id) == [StudyDirection.MAXIMIZE]
            if not ours or self._storage.get_study_user_attrs(study_id) or self._storage.get_n_trials(study_id):
                raise UsageError(
                    f"A study {study!r} that bench did not make stands in this storage; give another name with --study."
                ) from None
        self._storage.set_study_user_attr(study_id, ATTRIBUTE, json.dumps(settings, sort_keys=True))

    @reported
    def change(self, study: str, settings: Mapping[str, Any]) -> None:
        """Replace what is frozen, after the user accepted a change."""
        study_id = self._storage.get_study_id_from_name(study)
        self._storage.set_study_user_attr(study_id, ATTRIBUTE, json.dumps(settings, sort_keys=True))

    @reported
    def trials(self, study: str) -> list[Trial]:
        """Every trial, in order of number.

        Raises:
            RecordError: one does not read back.
        """
        study_id = self._storage.get_study_id_from_name(study)
        found = []
        for row in self._storage.get_all_trials(study_id, deepcopy=False):
            try:
                found.append(trial_of(row))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise RecordError(f"Trial {row.number} of study {study!r} {_unread(study, error)}") from None
        return found

    def set_seconds(self, study: str, seconds: float) -> None:
        """Remember the wall time that all searches of this study took together."""
        failpoints.reach("store: before the seconds")
        # A full disk is reported where trials are written; what is lost here, `seconds` finds in the trials.
        with contextlib.suppress(StorageInternalError, SQLAlchemyError):
            study_id = self._storage.get_study_id_from_name(study)
            before = float(self._storage.get_study_user_attrs(study_id).get("seconds", 0.0))  # others' of a shared one
            self._storage.set_study_user_attr(study_id, "seconds", max(before, seconds))

    @reported
    def note(self, study: str, name: str, value: Any) -> None:
        """Keep something small with a study, for every process that shares it."""
        self._storage.set_study_user_attr(self._storage.get_study_id_from_name(study), f"{NOTE}{name}", value)

    @reported
    def noted(self, study: str, name: str) -> Any:
        """What `note` kept, or None."""
        return self._storage.get_study_user_attrs(self._storage.get_study_id_from_name(study)).get(f"{NOTE}{name}")

    @reported
    def notes(self, study: str, beginning: str) -> list[Any]:
        """All that `note` kept under names that begin so."""
        kept = self._storage.get_study_user_attrs(self._storage.get_study_id_from_name(study))
        return [value for name, value in kept.items() if name.startswith(f"{NOTE}{beginning}")]

    @reported
    def seconds(self, study: str) -> float:
        """Wall time of all searches of this study; of one that was killed, until its last finished trial."""
        study_id = self._storage.get_study_id_from_name(study)
        stored = float(self._storage.get_study_user_attrs(study_id).get("seconds", 0.0))
        return max([stored, *(trial.elapsed for trial in self.trials(study) if trial.elapsed is not None)])

    @reported
    def writer(
        self,
        study: str,
        space: SearchSpace,
        wait_for_room: Callable[[], None] = lambda: None,
        patience: Patience | None = None,
        shared: bool = False,
    ) -> Writer:
        """A subscriber that mirrors a search's events.

        Args:
            wait_for_room: called when the disk is full, before the write is tried again.
            patience: what is done while the storage is away.
            shared: other processes write this study too.
        """
        shared = shared or self.folder is None
        return Writer(self._storage, study, space, wait_for_room, patience or Patience(), shared)


def _driven(home: Path, url: str | None) -> str:
    """The URL that Optuna opens; the home's own file where none is given.

    Raises:
        UsageError: the home's path would end in the middle of a URL, and the file be made elsewhere.
    """
    if url:
        return with_driver(url)
    if "?" in str(home):
        raise UsageError(f"The home {home} must have no '?' in its path, which ends one in SQLite's URLs; rename it.")
    return f"sqlite:///{home / 'bench.db'}"


def _check_there(home: Path, url: str | None) -> None:
    """Before something is read, which would else be made: SQLite makes the file of any path.

    Raises:
        UsageError: the home is no folder, or the file of the URL is not there.
    """
    if home.exists() and not home.is_dir():
        raise UsageError(f"The home {home} is no folder. Give another with --home DIR.")
    with contextlib.suppress(ArgumentError):  # said where it is opened
        file = servers.file_of(make_url(url or "sqlite://"))
        if file and not file.exists():
            raise UsageError(f"There is no storage at {file}. `bench search` with the same --storage makes it.")


def problem_of(home: Path, url: str | None = None) -> str | None:
    """Why the storage cannot be read and written, or None; leaves it as it is."""
    try:
        driven = _driven(home, url)
        engine = create_engine(driven, **servers.arguments(driven))
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            connection.rollback()
        engine.dispose()
    except ModuleNotFoundError as error:
        return str(servers.missing(error))
    except (SQLAlchemyError, ImportError) as error:
        return f"{shown(url) if url else home / 'bench.db'} {why(error)}"
    return None


def _settings(study: str, attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    if ATTRIBUTE not in attributes:
        return None
    try:
        found = json.loads(attributes[ATTRIBUTE])
        if not isinstance(found, dict):
            raise ValueError("settings are a mapping")
    except (ValueError, TypeError) as error:
        raise RecordError(f"Study {study!r} {_unread(study, error)}") from None
    return found


def _unread(study: str, error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    return f"does not read back ({said}). Restore the storage from a copy, or `bench studies rm {study}`."
