"""Studies and trials on Optuna storage, readable by any Optuna client, one writer a study.

The search runs on a study in memory; this mirrors it: one row when a trial starts, its rungs as they are reached, and
the finished state last, so that a trial which reads as finished is whole. What Optuna has no place for stands in the
user attribute `bench` of the study and of each trial.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bench import failpoints
from bench.disk import is_full
from bench.errors import BenchError, MissingPackage, RecordError, UsageError
from bench.leases import Leases, make_table
from bench.patience import Patience, is_gone, reported
from bench.records import Event, Finished, Paused, Phases, Reported, Shelved, Started, State, Trial
from bench.space import Choice, Domain, Int, SearchSpace, Value
from bench.urls import shown, with_driver, without_passwords

ATTRIBUTE = "bench"
SESSIONS = "sessions"
RETRY_SECONDS = 1.0
STATES: dict[State, TrialState] = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
NAMES = {state: name for name, state in STATES.items()}
# A server that vanishes is noticed within a minute or so rather than within the hours that TCP grants.
TO_A_SERVER = {"connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
SCHEMA_LOCK = 0x62656E6368  # any number, the same in every bench


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
        path = home / "bench.db"
        if make:
            home.mkdir(parents=True, exist_ok=True)
        else:
            _check_there(home, url)
        if not make and url is None and not path.exists():
            self._storage = RDBStorage("sqlite://")  # in memory, and empty
            return
        # Processes that create one SQLite schema at the same time race in its migrations.
        with FileLock(home / "bench.db.lock") if home.is_dir() else contextlib.nullcontext():
            try:
                if url is None:
                    with sqlite3.connect(path, timeout=30) as connection:
                        connection.execute("PRAGMA journal_mode=WAL")
                    connection.close()
                driven = with_driver(url) if url else None
                with _one_at_a_time(driven):
                    self._storage = RDBStorage(driven or f"sqlite:///{path}", _arguments(driven))
                    if self.folder is None:
                        make_table(self._storage.engine)
            except ModuleNotFoundError as error:
                raise _missing(error) from None
            except (sqlite3.DatabaseError, RuntimeError, SQLAlchemyError, ImportError) as error:
                if url is None:
                    said = str(error).strip().rstrip(".")
                    raise RecordError(
                        f"{path} cannot be used as a storage: {said}. Move it away or use --home."
                    ) from error
                raise UsageError(f"--storage {shown(url)} {why(error)}") from None

    @property
    def folder(self) -> Path | None:
        """Where the file of the storage stands; None where it is no file."""
        engine = self._storage.engine
        if engine.dialect.name != "sqlite" or not engine.url.database or engine.url.database.startswith((":", "file:")):
            return None
        return Path(engine.url.database).absolute().parent

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

    def begin_session(self, study: str, workers: int) -> None:
        """Note that so many workers search from here on, until the next session begins or the study's time ends.

        Of a session beside others, 0: they overlap, and their seconds cannot be told apart.
        """
        study_id = self._storage.get_study_id_from_name(study)
        sessions = [*self._sessions(study_id), (self.seconds(study), workers)]
        # As with `set_seconds`: a disk that is full is said where trials are written.
        with contextlib.suppress(StorageInternalError, SQLAlchemyError):
            self._storage.set_study_user_attr(study_id, SESSIONS, json.dumps(sessions))

    def sessions(self, study: str) -> list[tuple[float, int]]:
        """(seconds, workers) of every search of this study; empty where they are not all known.

        One that was killed counts as `seconds` has it, until its last finished trial.
        """
        noted = self._sessions(self._storage.get_study_id_from_name(study))
        if not noted or noted[0][0] > 0 or not all(workers for _, workers in noted):
            return []
        ends = [*(began for began, _ in noted[1:]), self.seconds(study)]
        return [(end - began, workers) for (began, workers), end in zip(noted, ends, strict=True)]

    def _sessions(self, study_id: int) -> list[tuple[float, int]]:
        """(the study's seconds at its beginning, workers) of each session."""
        stored = self._storage.get_study_user_attrs(study_id).get(SESSIONS, "[]")
        return [(float(began), int(workers)) for began, workers in json.loads(stored)]

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
        self._storage.set_study_user_attr(self._storage.get_study_id_from_name(study), f"bench {name}", value)

    @reported
    def noted(self, study: str, name: str) -> Any:
        """What `note` kept, or None."""
        return self._storage.get_study_user_attrs(self._storage.get_study_id_from_name(study)).get(f"bench {name}")

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


def _check_there(home: Path, url: str | None) -> None:
    """Before something is read, which would else be made: SQLite makes the file of any path.

    Raises:
        UsageError: the home is no folder, or the file of the URL is not there.
    """
    if home.exists() and not home.is_dir():
        raise UsageError(f"The home {home} is no folder. Give another with --home DIR.")
    with contextlib.suppress(ArgumentError):  # said where it is opened
        parsed = make_url(url or "sqlite://")
        file = parsed.database or ":memory:"
        on_disk = parsed.get_backend_name() == "sqlite" and not file.startswith((":", "file:"))
        if on_disk and not Path(file).exists():
            raise UsageError(f"There is no storage at {file}. `bench search` with the same --storage makes it.")


def problem_of(home: Path, url: str | None = None) -> str | None:
    """Why the storage cannot be read and written, or None; leaves it as it is."""
    try:
        driven = with_driver(url) if url else None
        engine = create_engine(driven or f"sqlite:///{home / 'bench.db'}", **_arguments(driven))
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            connection.rollback()
        engine.dispose()
    except ModuleNotFoundError as error:
        return str(_missing(error))
    except (SQLAlchemyError, ImportError) as error:
        return f"{shown(url) if url else home / 'bench.db'} {why(error)}"
    return None


def _arguments(url: str | None) -> dict[str, Any]:
    """What the engine of a storage is made with."""
    if url is None or url.startswith("sqlite"):
        return {"connect_args": {"timeout": 30}}
    server = url.startswith("postgresql+psycopg:")
    return {"pool_pre_ping": True, **({"connect_args": TO_A_SERVER} if server else {})}


@contextlib.contextmanager
def _one_at_a_time(url: str | None) -> Iterator[None]:
    """Machines that make one server's schema at the same time race; the file lock holds them for one home only."""
    if url is None or not url.startswith("postgresql"):
        yield
        return
    engine = create_engine(url, **_arguments(url))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
            yield
    finally:
        engine.dispose()


def _missing(error: ModuleNotFoundError) -> MissingPackage:
    package = {"psycopg": "'psycopg[binary]'"}.get(error.name or "", error.name)
    return MissingPackage(f"This --storage needs {error.name}: python -m pip install {package}")


def why(error: BaseException) -> str:
    """What is wrong with a storage, to follow its name."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"cannot be used: {without_passwords(first).rstrip('.')}. A storage is written like sqlite:///path/to/file.db "
        "or postgresql://user@host/database."
    )


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


class Writer:
    """Writes events. Every write is whole or not there, and each can be tried again.

    Raises:
        BenchError: the storage refuses a write for another reason than a full disk.
    """

    def __init__(
        self,
        storage: RDBStorage,
        study: str,
        space: SearchSpace,
        wait_for_room: Callable[[], None],
        patience: Patience,
        shared: bool,
    ) -> None:
        self._storage, self._space, self._wait_for_room = storage, space, wait_for_room
        self._patience, self._shared = patience, shared
        self._study_id = storage.get_study_id_from_name(study)
        self._ids = {t.number: t._trial_id for t in storage.get_all_trials(self._study_id, deepcopy=False)}
        self._steps: dict[int, set[int]] = {}

    def __call__(self, event: Event) -> None:
        tries = 0

        def attempt() -> None:
            nonlocal tries
            tries += 1
            try:
                self._written(event)
            except UpdateFinishedTrialError:
                if tries == 1:  # else only the answer to an earlier try was lost
                    raise

        self._patience(attempt, _lost(event))

    def _written(self, event: Event) -> None:
        while True:
            try:
                return self._write(event)
            except (StorageInternalError, SQLAlchemyError) as error:
                if is_gone(error):
                    raise
                if not is_full(error):
                    raise BenchError(f"The storage {why(error.__cause__ or error)}") from error
            time.sleep(RETRY_SECONDS)  # a quota can be full while the disk is not
            self._wait_for_room()

    def _write(self, event: Event) -> None:
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Reported):
            self._step(event.number, event.samples, event.val_accuracy)
        elif isinstance(event, Paused):
            # A clean stop is no attempt: the trial is run again as if for the first time.
            self._attributes(event.number, {"attempts": 0})
        elif isinstance(event, Shelved):
            self._record(event.trial)
        elif isinstance(event, Finished):
            self._finish(event.trial)

    def _start(self, event: Started) -> None:
        attributes = {"params": dict(event.params), "attempts": event.attempts, "seed": event.seed}
        if self._known(event.number):
            self._attributes(event.number, attributes)
            return
        template = row(self._space, event.params)
        template.user_attrs[ATTRIBUTE] = json.dumps(attributes)
        failpoints.reach("store: before a trial")
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        failpoints.reach("store: after a trial")
        if self._shared:
            number = self._storage.get_trial_number_from_id(trial_id)
            if number != event.number:  # the row stays, and is run like any whose process is gone
                raise BenchError(
                    f"Another program began trial {event.number} while this one was held up. Run the command again."
                )
        self._ids[event.number] = trial_id

    def _known(self, number: int) -> bool:
        """Whether the trial has a row; on shared storage another process may have made it."""
        if self._shared and number not in self._ids:
            with contextlib.suppress(KeyError):
                self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return number in self._ids

    def _step(self, number: int, samples: int, val_accuracy: float) -> None:
        if samples not in self._steps.setdefault(number, set()):
            failpoints.reach("store: before a rung")
            self._storage.set_trial_intermediate_value(self._ids[number], samples, val_accuracy)
            self._steps[number].add(samples)
            failpoints.reach("store: after a rung")

    def _attributes(self, number: int, changes: Mapping[str, Any]) -> None:
        trial_id = self._ids[number]
        before = json.loads(self._storage.get_trial_user_attrs(trial_id).get(ATTRIBUTE, "{}"))
        self._storage.set_trial_user_attr(trial_id, ATTRIBUTE, json.dumps({**before, **changes}))

    def _record(self, trial: Trial) -> None:
        self._known(trial.number)  # what another process left may be over here without having begun
        for samples, val_accuracy in trial.curve:
            self._step(trial.number, samples, val_accuracy)
        record = trial.to_json()
        for kept_elsewhere in ("number", "state", "curve"):
            del record[kept_elsewhere]
        failpoints.reach("store: before a record")
        self._storage.set_trial_user_attr(self._ids[trial.number], ATTRIBUTE, json.dumps(record))

    def _finish(self, trial: Trial) -> None:
        trial_id = self._ids[trial.number]
        self._record(trial)
        failpoints.reach("store: before a state")
        values = [trial.val_accuracy] if trial.state != "failed" and trial.val_accuracy is not None else None
        self._storage.set_trial_state_values(trial_id, STATES[trial.state], values)
        failpoints.reach("store: after a state")
        self._steps.pop(trial.number, None)


def _lost(event: Event) -> str:
    if isinstance(event, Finished):
        return f"The end of trial {event.trial.number} is not written, so it will be run again."
    number = getattr(event, "number", None)
    return "Nothing is lost." if number is None else f"Trial {number} will be run again."


def distribution(domain: Domain) -> BaseDistribution:
    """A domain in Optuna's terms; bounds are inclusive in both."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def row(
    space: SearchSpace,
    params: Mapping[str, Value],
    state: TrialState = TrialState.RUNNING,
    value: float | None = None,
    steps: Mapping[int, float] | None = None,
) -> FrozenTrial:
    """A trial in Optuna's terms, to be added to a study."""
    distributions: dict[str, BaseDistribution] = {}

    def note(name: str, domain: Domain) -> Value:
        distributions[name] = distribution(domain)
        return params[name]

    space.walk(note)
    now = datetime.now()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # choices that mix int and str are stored as JSON, which is what we want
        return FrozenTrial(
            number=-1,
            trial_id=-1,
            state=state,
            value=value,
            values=None,
            datetime_start=now,
            datetime_complete=now if state.is_finished() else None,
            params={name: params[name] for name in distributions},
            distributions=distributions,
            user_attrs={},
            system_attrs={},
            intermediate_values=dict(steps or {}),
        )


def trial_of(stored: FrozenTrial) -> Trial:
    """The record that a row of Optuna's holds; of a trial that bench did not make, what Optuna knows of it."""
    own = json.loads(stored.user_attrs.get(ATTRIBUTE, "{}"))
    own.setdefault("params", dict(stored.params))
    own["seconds"] = Phases(**own.get("seconds", {}))
    if own.get("confusion") is not None:  # records of older versions have none
        own["confusion"] = tuple((true, predicted, images) for true, predicted, images in own["confusion"])
    own["curve"] = tuple(sorted(stored.intermediate_values.items()))
    own["losses"] = tuple((int(samples), float(loss)) for samples, loss in own.get("losses", ()))
    return Trial(number=stored.number, state=NAMES.get(stored.state, "running"), **own)
