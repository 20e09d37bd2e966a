"""Notes, images and figures for optuna-dashboard, made when they are read: no search pays, and nothing is stored.

optuna-dashboard looks for them in system attributes (its `_note.py`, `_custom_plot_data.py`, `artifact/_backend.py`):
`dashboard:<trial id>:note_ver` and `...:note_str:<part>` of the study, `dashboard:plot_data:<figure>:<part>` of the
study, `artifacts:<artifact id>` of the trial. Studies and trials that bench did not make are shown as they are.
"""

from __future__ import annotations

import copy
import functools
import io
import json
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, BinaryIO, NoReturn

from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from bench.records import Trial
from bench.rows import ATTRIBUTE, NOTE, SAMPLER, trial_of
from dashboards.figures import FIGURES
from dashboards.notes import note
from dashboards.readonly import ReadOnlyStorage

IMAGES = {"1": "learning curve", "2": "confusion matrix"}  # the digit stands in the artifact's id
SHOWN_SETTINGS = ("family", "dataset", "engine", "sampler", "pruner", "precision", "seed", "created", "version")
ARTIFACT, NOTE_VERSION, NOTE_TEXT = "artifacts:", "dashboard:{}:note_ver", "dashboard:{}:note_str:0"
METRIC_NAMES = "study:metric_names"  # what Optuna calls a study's objectives
FIGURE = "dashboard:plot_data:{}:0"


class DerivedStorage(ReadOnlyStorage):
    """A read-only storage whose answers carry what optuna-dashboard shows beside parameters and values."""

    def __init__(self, inner: ReadOnlyStorage) -> None:
        super().__init__(inner)
        self._derived: dict[int, tuple[Any, dict[str, Any]]] = {}  # study -> (what it was made from, attributes)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return _readable_settings(super().get_study_user_attrs(study_id))

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        try:
            ours = ATTRIBUTE in super().get_study_user_attrs(study_id)
        except KeyError:
            return {}  # asked for an image of no study, optuna-dashboard answers that there is none
        named = {METRIC_NAMES: ["validation accuracy"]} if ours else {}
        return {**_without_files(super().get_study_system_attrs(study_id)), **named, **self._attributes(study_id)}

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        try:
            return super().get_trial_system_attrs(trial_id)
        except KeyError:
            return {}  # likewise of no trial

    def get_all_studies(self) -> list[FrozenStudy]:
        return [self._study(study) for study in super().get_all_studies()]

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _shown(super().get_trial(trial_id))

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [_shown(trial) for trial in super().get_all_trials(study_id, deepcopy, states)]

    def _study(self, stored: FrozenStudy) -> FrozenStudy:
        shown = copy.copy(stored)
        shown.user_attrs = _readable_settings(stored.user_attrs)
        shown.system_attrs = _without_files(stored.system_attrs)
        if ATTRIBUTE in stored.user_attrs:
            # A list of studies needs no figures: they are made when one study is asked for.
            named = {**shown.system_attrs, METRIC_NAMES: ["validation accuracy"]}
            lazy: Any = _Lazy(named, lambda: self._attributes(stored._study_id))
            shown.system_attrs = lazy
        return shown

    def _attributes(self, study_id: int) -> dict[str, Any]:
        """Notes and figures of a study, made again when its trials have changed."""
        settings = self._inner.get_study_user_attrs(study_id).get(ATTRIBUTE)
        if settings is None:
            return {}
        read = ((row._trial_id, record_of(row)) for row in self._inner.get_all_trials(study_id, deepcopy=False))
        records = {trial_id: trial for trial_id, trial in read if trial is not None}
        made_from = [settings, *((trial_id, trial.state, len(trial.curve)) for trial_id, trial in records.items())]
        known = self._derived.get(study_id)
        if known is None or known[0] != made_from:
            known = self._derived[study_id] = (made_from, _derive(study_id, records))
        return known[1]


class _Lazy(Mapping[str, Any]):
    """A study's system attributes: a stored one is given at once, asking for more makes the derived ones, once."""

    def __init__(self, stored: Mapping[str, Any], derive: Callable[[], Mapping[str, Any]]) -> None:
        self._stored, self._derive = stored, derive

    @functools.cached_property
    def _all(self) -> dict[str, Any]:
        return {**self._stored, **self._derive()}

    def __getitem__(self, key: str) -> Any:
        return (self._all if key.startswith("dashboard:") else self._stored)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def items(self) -> Any:
        return self._all.items()  # a view of a dict is iterated a thousand times faster than one of a Mapping


def record_of(row: FrozenTrial) -> Trial | None:
    """The record within a row, or None where bench did not make it or it does not read back."""
    if ATTRIBUTE not in row.user_attrs:
        return None
    try:
        return trial_of(row)
    except (TypeError, ValueError, AttributeError):
        return None


def image_ids(row_id: int, trial: Trial) -> dict[str, str]:
    """Image -> artifact id of those that there are. An id changes with what is drawn, so that no stale one is kept."""
    there = {"1": len(trial.curve), "2": len(trial.confusion or ())}
    return {IMAGES[kind]: f"{row_id}-{kind}-{points}" for kind, points in there.items() if points}


def _derive(study_id: int, records: Mapping[int, Trial]) -> dict[str, Any]:
    trials = list(records.values())
    attributes: dict[str, Any] = {FIGURE.format(name): draw(trials).to_json() for name, draw in FIGURES.items()}
    for trial_id, trial in records.items():
        ids = image_ids(trial_id, trial)
        images = {title: f"/artifacts/{study_id}/{trial_id}/{artifact}" for title, artifact in ids.items()}
        try:
            text = note(trial, trials, images)
        except (TypeError, ValueError):
            continue  # a record that holds something else than numbers is shown without a note
        attributes[NOTE_VERSION.format(trial_id)] = 1
        attributes[NOTE_TEXT.format(trial_id)] = text
    return attributes


def _shown(row: FrozenTrial) -> FrozenTrial:
    """A trial with links to its images, and with its record as columns instead of one line of JSON."""
    shown = copy.copy(row)
    system = _without_files(row._system_attrs)
    trial = record_of(row)
    if trial is not None:
        for title, artifact in image_ids(row._trial_id, trial).items():
            meta = {
                "artifact_id": artifact,
                "filename": f"{title.replace(' ', '-')}.png",
                "mimetype": "image/png",
                "encoding": None,
            }
            system[ARTIFACT + artifact] = json.dumps(meta)
        shown.user_attrs = {
            **{k: v for k, v in row.user_attrs.items() if k not in (ATTRIBUTE, SAMPLER)},
            **_columns(trial),
        }
    shown._system_attrs = system
    return shown


def _without_files(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Files that others attached lie where bench does not know, so they are left out."""
    return {key: value for key, value in attributes.items() if not key.startswith((ARTIFACT, f"dashboard:{ARTIFACT}"))}


def _columns(trial: Trial) -> dict[str, Any]:
    columns = {
        "samples": trial.samples or None,
        "seconds": round(trial.seconds.total, 3) or None,
        "parameters": trial.parameters,
        "reason": trial.reason,
    }
    return {name: value for name, value in columns.items() if value is not None}


def _readable_settings(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What is frozen with a study, an entry each instead of one line of JSON."""
    try:
        settings = json.loads(attributes[ATTRIBUTE])
        shown = {name: settings[name] for name in SHOWN_SETTINGS if name in settings}
    except (KeyError, TypeError, ValueError):
        return dict(attributes)
    others = {name: value for name, value in attributes.items() if name != ATTRIBUTE and not name.startswith(NOTE)}
    return {**shown, **others}


class ImageStore:
    """Optuna's artifact store, whose images are drawn when they are opened."""

    def __init__(self, storage: ReadOnlyStorage) -> None:
        self._storage = storage

    def open_reader(self, artifact_id: str) -> BinaryIO:
        from dashboards.images import confusion_matrix, learning_curve

        try:
            row_id, kind, _ = artifact_id.split("-")
            trial = record_of(self._storage.get_trial(int(row_id)))
        except (ValueError, KeyError):
            trial = None
        if trial is not None and kind == "1" and trial.curve:
            return io.BytesIO(learning_curve(trial.curve, len(trial.rungs), trial.state))
        if trial is not None and kind == "2" and trial.confusion:
            return io.BytesIO(confusion_matrix(trial.confusion))
        raise ArtifactNotFound(f"No image {artifact_id!r}.")

    def write(self, artifact_id: str, content_body: BinaryIO) -> NoReturn:
        raise PermissionError("Images are drawn from records and never stored.")

    def remove(self, artifact_id: str) -> NoReturn:
        raise PermissionError("Images are drawn from records and never stored.")
