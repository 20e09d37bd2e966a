"""Ray Tune's plug-ins, each of which hands on what it hears to the driver: searcher, callback and stopper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ray import tune
from ray.tune.search import Searcher


class _Here:
    """Tune pickles what it is given, to restore a search from it some day. Ours is never restored, and stays here."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Search(_Here, Searcher):  # type: ignore[misc]  # Ray carries no types
    """Our proposer to Tune. Its state is in our storage: there is nothing to save, and Tune restores nothing."""

    def __init__(self, suggest: Callable[[str], Any]) -> None:
        super().__init__(metric="val_accuracy", mode="max")
        self._suggest = suggest

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        return True  # `suggest` says None when every worker has a trial

    def suggest(self, trial_id: str) -> Any:
        return self._suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass  # the callback hears of it, with the trial

    def save(self, checkpoint_path: str) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass

    def get_state(self) -> dict[str, Any]:
        return {}


class Listener(_Here, tune.Callback):  # type: ignore[misc]
    """What happens, to the driver."""

    def __init__(
        self,
        started: Callable[[Any], None],
        said: Callable[[Any, dict[str, Any]], None],
        completed: Callable[[Any], None],
        errored: Callable[[Any], None],
        stepped: Callable[[Sequence[Any]], None],
    ) -> None:
        self._started, self._said, self._stepped = started, said, stepped
        self._completed, self._errored = completed, errored

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._started(trial)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        self._said(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._completed(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        self._errored(trial)

    def on_step_begin(self, iteration: int, trials: list[Any], **_: Any) -> None:
        self._stepped(trials)


class Ends(_Here, tune.Stopper):  # type: ignore[misc]
    """Ends the experiment when the driver says so."""

    def __init__(self, ended: Callable[[], bool]) -> None:
        self._ended = ended

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._ended()
