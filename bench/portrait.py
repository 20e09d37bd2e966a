"""Everything that `bench show` says of one study, gathered from what is stored, as one JSON-ready document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import edges, frozen, seeds
from bench.data.sealed import Sealed
from bench.errors import FamilyError, NoTrialSucceeded, UsageError
from bench.records import Final, Phases, Trial
from bench.results import Predictions
from bench.rungs import rungs
from bench.sessions import Session, most_workers
from bench.snippet import snippet
from bench.space import restore

SCHEMA = 1
MOST_PAIRS = 10
STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Examined:
    """The study's newest final with what is stored beside it.

    Attributes:
        curves: one entry a seed, `seed` and `samples_and_loss`; None where the file is gone.
        serving: as `bench.training.serving.measure` gives it; None where it was not measured.
    """

    final: Final
    manifest: Mapping[str, Any]
    predictions: Predictions
    curves: Sequence[Mapping[str, Any]] | None
    serving: Mapping[str, Any] | None


@dataclass(frozen=True)
class Searched:
    """The study as it stands.

    Attributes:
        settings: what was frozen with it.
        seconds: wall time of all its searches.
        sessions: as `bench.sessions.of` gives them; empty where they were not noted.
        sealed: its data, or None where they are gone.
    """

    name: str
    settings: Mapping[str, Any]
    trials: Sequence[Trial]
    seconds: float
    sessions: Sequence[Session]
    sealed: Sealed | None


def portrait(study: Searched, tested: Examined | None, number: int | None, named: str) -> dict[str, Any]:
    """The document of `bench show --json`; accuracies and shares are fractions, times are seconds.

    It is about one trial: `number`, else the winner of the newest final, else the best one on validation. What a final
    measured (confusion, losses, latency) is shown with the trial that it trained again, and with no other.

    Args:
        named: how the family was named on the command line.

    Raises:
        UsageError: there is no trial of that number.
        NoTrialSucceeded: no number was given, and no trial is complete.
    """
    trial = _chosen(study, tested, number)
    own = tested if tested is not None and tested.manifest["trial"] == trial.number else None
    settings, sealed = study.settings, study.sealed
    best = _best(study.trials)
    return {
        "schema": SCHEMA,
        "study": study.name,
        "family": settings["family"],
        "dataset": settings["dataset"],
        "engine": settings["engine"],
        "precision": settings["precision"],
        "trials": {
            "total": sum(trial.state in STATES for trial in study.trials),
            **{state: sum(trial.state == state for trial in study.trials) for state in STATES},
        },
        "trial": {
            "number": trial.number,
            "state": trial.state,
            "reason": trial.reason,
            "detail": trial.detail,
            "val_accuracy": trial.val_accuracy,
            "samples": trial.samples,
            "seed": trial.seed,
            "params": trial.parameters if own is None else own.final.parameters,
            "seconds": asdict(trial.seconds),
        },
        "best_trial": best.number if best else None,
        "final": _final(own),
        "other_final": _final(tested) if own is None else None,
        "configuration": [asdict(placed) for placed in edges.place(settings["space"], trial.params)],
        **_mistakes(trial, own, sealed),
        "importance": _importance(study),
        "judged_by": settings.get("rungs", frozen.EARLIER["rungs"]),
        "curve": [
            {"samples": samples, "epochs": samples / sealed.n_train if sealed else None, "val_accuracy": accuracy}
            for samples, accuracy in trial.curve
        ],
        "loss_curves": own.curves if own else None,
        "serving": own.serving if own else None,
        "timing": timing(study.trials, study.seconds, study.sessions),
        "rungs": rungs(study.trials),
        "code": _code(trial, study, named),
    }


def timing(trials: Sequence[Trial], seconds: float, sessions: Sequence[Session]) -> dict[str, Any]:
    """Where the time of a search went.

    Args:
        seconds: wall time of all searches of the study.
        sessions: of each process; where there are none, workers count that finished a trial.

    Returns:
        workers (the most at a time), wall_seconds, worker_seconds, phases and states. The phases add up to the worker
        seconds; `other` is what no finished trial accounts for: workers that start or stand idle, and runs that were
        cut off and begun anew.
    """
    over = [trial for trial in trials if trial.state in STATES]
    known = sessions or [Session(0.0, seconds, len({trial.worker for trial in over if trial.worker is not None}))]
    capacity = sum(session.seconds * session.workers for session in known)
    phases = {name: sum(getattr(trial.seconds, name) for trial in over) for name in Phases.__dataclass_fields__}
    phases["other"] = max(0.0, capacity - sum(phases.values()))
    states = {
        state: {
            "trials": sum(trial.state == state for trial in over),
            "seconds": sum(trial.seconds.total for trial in over if trial.state == state),
        }
        for state in STATES
    }
    return {
        "workers": most_workers(known),
        "wall_seconds": seconds,
        "worker_seconds": capacity,
        "phases": phases,
        "states": states,
    }


def _best(trials: Sequence[Trial]) -> Trial | None:
    complete = [trial for trial in trials if trial.state == "complete"]
    return max(complete, key=lambda trial: (trial.val_accuracy or 0.0, -trial.number), default=None)


def _chosen(study: Searched, tested: Examined | None, number: int | None) -> Trial:
    by_number = {trial.number: trial for trial in study.trials}
    if number is not None:
        if number not in by_number:
            there = f"0 to {max(by_number)}" if by_number else "none yet"
            raise UsageError(f"Study {study.name!r} has no trial {number}; its trials are {there}.")
        return by_number[number]
    if tested is not None and tested.manifest["trial"] in by_number:
        return by_number[tested.manifest["trial"]]
    best = _best(study.trials)
    if best is None:
        raise NoTrialSucceeded(
            f"Study {study.name!r} has no complete trial among {len(study.trials)}. Run `bench search` for more, or "
            "look at one with --trial N."
        )
    return best


def _final(tested: Examined | None) -> dict[str, Any] | None:
    if tested is None:
        return None
    final = tested.final
    return {
        "id": final.id,
        "trial": tested.manifest["trial"],
        "created": final.created,
        "test_accuracy": final.test_accuracy,
        "ci95": list(final.ci95),
        "seeds": len(final.seeds),
        "errors": final.errors,
        "val_accuracy": final.val_accuracy,
        "confirmed": [entry["trial"] for entry in tested.manifest.get("confirm") or ()],
        "trials": final.trials,
        **seeds.columns(final),
        "findings": list(final.findings),
        "hardware": tested.manifest.get("hardware"),
    }


def _mistakes(trial: Trial, own: Examined | None, sealed: Sealed | None) -> dict[str, Any]:
    """Confusion, error rates and pairs: on the test images of the final, else on the trial's validation images."""
    from bench import mistakes

    if own is not None and own.predictions.labels is not None:
        labels, predicted = own.predictions.labels, own.predictions.probabilities.argmax(axis=2)
        source, classes = "test", own.predictions.probabilities.shape[2]
    elif trial.confusion:
        labels, predicted = mistakes.answers(trial.confusion)
        source, classes = "validation", int(max(labels.max(), predicted.max())) + 1
    else:
        return {"confusion": None, "class_errors": [], "confused_pairs": []}
    names = [str(label) for label in range(classes)]
    if sealed is not None and len(sealed.class_names) >= classes:
        names, classes = list(sealed.class_names), len(sealed.class_names)
    matrix = mistakes.confusion(labels, predicted, classes)
    found = mistakes.class_errors(labels, predicted, classes)
    return {
        "confusion": {
            "source": source,
            "images": len(labels),
            "of": sealed.n_validation if sealed is not None and source == "validation" else len(labels),
            "seeds": len(predicted),
            "classes": names,
            "matrix": matrix.tolist(),
        },
        "class_errors": [{**asdict(one), "name": names[one.label]} for one in found],
        "confused_pairs": [
            {**asdict(pair), "true": names[pair.label], "predicted": names[pair.predicted]}
            for pair in mistakes.pairs(matrix, MOST_PAIRS)
        ],
    }


def _importance(study: Searched) -> dict[str, Any]:
    from bench.engines.importance import importance

    found = importance(restore(study.settings["space"]), study.trials)
    return {
        "method": "PED-ANOVA",
        "trials": found.trials,
        "reached": found.reached,
        "samples": found.samples,
        "problem": found.problem,
        "rows": [{"name": name, "share": share, "clear": name in found.clear} for name, share in found.shares.items()],
    }


def _code(trial: Trial, study: Searched, named: str) -> str | None:
    of_python = str(study.settings.get("build", "")).startswith("object")  # nothing that a script could load
    if study.sealed is None or of_python:
        return None
    try:
        return snippet(named, trial.params, study.sealed, study.settings["precision"], trial.seed)
    except FamilyError:  # a configuration that cannot be trained, which is why its trial failed
        return None
