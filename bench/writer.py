"""The mirror of a search in its storage: one row a trial, written as the search goes."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from bench import failpoints
from bench.disk import is_full
from bench.errors import BenchError
from bench.patience import Patience, is_gone
from bench.records import Event, Finished, Paused, Reported, Shelved, Started, Trial
from bench.rows import ATTRIBUTE, SAMPLER, STATES, row
from bench.space import SearchSpace
from bench.tables import TrialTables
from bench.urls import why

RETRY_SECONDS = 1.0


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
        self._tables = TrialTables(storage.engine, self._study_id)
        self._ids = {t.number: t._trial_id for t in storage.get_all_trials(self._study_id, deepcopy=False)}
        self._steps: dict[int, dict[int, float]] = {}

    def __call__(self, event: Event) -> None:
        tries = 0

        def attempt() -> None:
            nonlocal tries
            tries += 1
            try:
                self._written(event)
            except UpdateFinishedTrialError as error:
                if tries == 1:  # else only the answer to an earlier try was lost
                    raise BenchError(f"{_ended(event)} Run the command again to go on.") from error

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
        if event.sampler_state:
            template.user_attrs[SAMPLER] = json.dumps(dict(event.sampler_state))
        failpoints.reach("store: before a trial")
        trial_id, number = self._tables.create(template)
        failpoints.reach("store: after a trial")
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
        steps = self._steps.setdefault(number, {})
        if steps.get(samples) != val_accuracy:
            failpoints.reach("store: before a rung")
            self._tables.step(self._ids[number], {samples: val_accuracy})
            steps[samples] = val_accuracy
            failpoints.reach("store: after a rung")

    def _attributes(self, number: int, changes: Mapping[str, Any]) -> None:
        trial_id = self._ids[number]
        before = json.loads(self._storage.get_trial_user_attrs(trial_id).get(ATTRIBUTE, "{}"))
        self._tables.attribute(trial_id, ATTRIBUTE, json.dumps({**before, **changes}))

    def _record(self, trial: Trial, end: TrialState | None = None) -> None:
        """All that is known of a trial, in one write; with `end` it is over."""
        self._known(trial.number)  # what another process left may be over here without having begun
        record = trial.to_json()
        for kept_elsewhere in ("number", "state"):
            del record[kept_elsewhere]
        known = self._steps.setdefault(trial.number, {})
        steps = {at: value for at, value in trial.curve if known.get(at) != value}
        values = [trial.val_accuracy] if trial.state != "failed" and trial.val_accuracy is not None else []
        failpoints.reach("store: before a record")
        self._tables.record(self._ids[trial.number], ATTRIBUTE, json.dumps(record), steps, end, values if end else ())
        failpoints.reach("store: after a record")
        known.update(steps)

    def _finish(self, trial: Trial) -> None:
        self._record(trial, STATES[trial.state])
        self._steps.pop(trial.number, None)


def _lost(event: Event) -> str:
    if isinstance(event, Finished):
        return f"The end of trial {event.trial.number} is not written, so it will be run again."
    number = _number(event)
    return "Nothing is lost." if number is None else f"Trial {number} will be run again."


def _ended(event: Event) -> str:
    return f"Another program ended trial {_number(event)} while it ran here; the end that it wrote is what counts."


def _number(event: Event) -> int | None:
    return event.trial.number if isinstance(event, Finished) else getattr(event, "number", None)
