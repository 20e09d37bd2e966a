"""What a search gives back in Python, and the searches that a home holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench import boards, chain, results
from bench.api import html
from bench.api.text import plain
from bench.errors import UsageError, did_you_mean
from bench.family import Family
from bench.options import home_of
from bench.records import Final, Trial
from bench.space import Value
from bench.study import Outcome, outcome
from bench.terminal.summary import short, summary

if TYPE_CHECKING:
    from bench.boards import Standing
    from bench.chain import Searched


@dataclass(frozen=True, repr=False, eq=False)
class SearchResult:
    """One family's search, and its final if it has one.

    Attributes:
        outcome: the study as it stands: its frozen settings and its trials.
        home: where it is stored.
    """

    outcome: Outcome
    home: Path
    _tested: Final | None = field(default=None)
    _standing: Standing | None = field(default=None)
    _family: Family | None = field(default=None)  # its definition, where it is known

    @classmethod
    def of(cls, searched: Searched, home: Path) -> SearchResult:
        return cls(searched.outcome, home, searched.final, searched.standing, searched.family)

    @property
    def final(self) -> Mapping[str, Any] | None:
        """The final's row as in `bench leaderboard --json`, or None without one: accuracies are fractions in [0, 1].

        It is this very final's, also where the study has a newer one, of other seeds, which the leaderboard shows.
        """
        return self._standing.row if self._standing else None

    @property
    def study(self) -> str:
        return self.outcome.study

    @property
    def family(self) -> str:
        return str(self.outcome.settings["family"])

    @property
    def dataset(self) -> str:
        return str(self.outcome.settings["dataset"])

    @property
    def engine(self) -> str:
        return str(self.outcome.settings["engine"])

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in order of number."""
        return tuple(self.outcome.trials)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest validation accuracy; None where none is complete."""
        return self.outcome.best

    @property
    def best_config(self) -> dict[str, Value] | None:
        """The configuration that was tested; without a final, that of the best trial.

        The two can differ: candidates are confirmed over fresh seeds before one is tested.
        """
        if self._tested is not None:
            return dict(self._manifest(self._tested)["config"])
        return dict(self.best.params) if self.best else None

    @property
    def seconds(self) -> float:
        """Wall time of the search, over all the times that it was continued."""
        return self.outcome.seconds

    def to_json(self) -> dict[str, Any]:
        """The document of `bench search --json`."""
        return chain.document(self.outcome, self._standing)

    def to_frame(self) -> Any:
        """A pandas DataFrame, one row a trial, indexed by its number.

        Columns: state, val_accuracy (a fraction), samples, seconds, worker, reason, and params_<name> for each
        parameter, as in Optuna's `trials_dataframe`; a parameter that is not active in a trial is missing there.
        """
        import pandas as pd

        # As they were declared; a frozen space is kept in the order of the alphabet.
        names = list(
            dict.fromkeys(
                name for params in (*(t.params for t in self.trials), self.outcome.settings["space"]) for name in params
            )
        )
        rows = [
            {
                "number": trial.number,
                "state": trial.state,
                "val_accuracy": trial.val_accuracy,
                "samples": trial.samples,
                "seconds": trial.seconds.total,
                "worker": trial.worker,
                "reason": trial.reason,
                **{f"params_{name}": trial.params.get(name) for name in names},
            }
            for trial in self.trials
        ]
        return pd.DataFrame(rows, columns=[*COLUMNS, *(f"params_{name}" for name in names)]).set_index("number")

    def best_model(self, trust: bool = False, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """The Keras model of the final, trained on train and validation with its first seed; not compiled.

        Args:
            trust: load the file even if it is not the one that the manifest names, and run the code it may hold.
            custom_objects: layers of the family's own, by name; not needed for the result of `bench.search`.

        Raises:
            UsageError: there is no final yet, or a newer one has replaced its weights.
            SealError: the stored model was changed, or was kept without a hash.
            FamilyError: Keras cannot load it, or it holds code that only `trust` runs.
        """
        from bench import models

        if self._tested is None:
            raise UsageError(
                f"Study {self.study!r} has no final, and models are kept of finals only; run "
                f"bench.final({self.family!r}, {self.dataset!r}) first."
            )
        manifest = self._manifest(self._tested)
        path = self._folder(self._tested) / "model.keras"
        newer = self._standing.newer if self._standing else None
        if newer and not path.is_file():
            raise UsageError(
                f"Only the weights of a study's newest final are kept, and {self.study!r} has a newer one, of "
                f"{len(newer.seeds)} seeds; bench.final({self.family!r}, {self.dataset!r}, seeds={len(newer.seeds)}) "
                "gives that one."
            )
        if not trust:
            hashes = manifest.get("model_sha256") or [None]
            models.check(path, hashes[0], "Load it with best_model(trust=True) if you know where it comes from.")
        return models.load(path, {**self._own_layers(manifest), **(custom_objects or {})}, trust)

    def plot(self, figure: str = "accuracy-over-time") -> Any:
        """A plotly figure of the search.

        Args:
            figure: accuracy-over-time, rung-survival, or learning-curves.

        Raises:
            UsageError: no such figure.
        """
        from dashboards.figures import FIGURES

        if figure not in FIGURES:
            raise UsageError(f"No figure {figure!r}.{did_you_mean(figure, FIGURES)} Known: {', '.join(FIGURES)}.")
        return FIGURES[figure](self.trials)

    def _folder(self, tested: Final) -> Path:
        return results.folder(self.home, tested.dataset, tested.family, tested.id)

    def _manifest(self, tested: Final) -> dict[str, Any]:
        results.read_final(self._folder(tested))  # checks it
        return results.read_manifest(self._folder(tested))

    def _own_layers(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        from bench import models
        from bench.data.sealed import Sealed

        folder = self.home / "cache" / manifest["data_id"]
        if self._family is None or not (folder / "seal.json").is_file():
            return {}
        sealed = Sealed.load(folder)
        return models.custom_objects_of(self._family, manifest["config"], sealed.image_shape, sealed.classes)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.from_markup(summary(self.to_json(), hints=False))

    def __repr__(self) -> str:
        return plain(self)

    def _repr_html_(self) -> str:
        said = Text.from_markup(summary(self.to_json(), hints=False)).plain.splitlines()
        config = self.best_config or {}
        table = html.table(["parameter", "value"], [(name, short(value)) for name, value in config.items()])
        return html.lines(line for line in said if not line.startswith("  ")) + (table if config else "")


class SearchResults(Sequence[SearchResult]):
    """Several searches, by place or by the name of their study."""

    def __init__(self, found: Sequence[SearchResult]) -> None:
        self._found = tuple(found)

    @overload
    def __getitem__(self, key: int | str) -> SearchResult: ...

    @overload
    def __getitem__(self, key: slice) -> SearchResults: ...

    def __getitem__(self, key: int | str | slice) -> SearchResult | SearchResults:
        if isinstance(key, slice):
            return SearchResults(self._found[key])
        if isinstance(key, int):
            return self._found[key]
        names = [result.study for result in self._found]
        if key not in names:
            raise KeyError(f"No study named {key!r}.{did_you_mean(key, names)} Known: {', '.join(names) or 'none'}.")
        return self._found[names.index(key)]

    def __len__(self) -> int:
        return len(self._found)

    def to_frame(self) -> Any:
        """The trials of all of them, one row each, indexed by study and number."""
        import pandas as pd

        if not self._found:
            return pd.DataFrame()
        return pd.concat({result.study: result.to_frame() for result in self._found}, names=["study"])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._found

    def __repr__(self) -> str:
        return plain(self) if self._found else "No studies yet."

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self._found) or html.lines(["No studies yet."])


COLUMNS = ("number", "state", "val_accuracy", "samples", "seconds", "worker", "reason")


def studies(home: str | Path | None = None, storage: str | None = None) -> SearchResults:
    """Every search that this home holds, oldest first, with its newest final.

    Args:
        home: where everything is stored; None for $BENCH_HOME, else ./runs.
        storage: URL of another Optuna storage than <home>/bench.db.

    Raises:
        RecordError: the storage or a stored result does not read back.
    """
    from bench.store import Store

    where = home_of(home)
    finals = results.read_finals(where)
    with closing(Store(where, storage, make=False)) as store:
        found = [outcome(store, name) for name in store.studies()]
    return SearchResults([_stored(one, where, finals) for one in found])


def _stored(found: Outcome, home: Path, finals: Sequence[Final]) -> SearchResult:
    own = results.of_study(home, finals, found.study, found.settings, found.trials)
    if not own:
        return SearchResult(found, home)
    together = [one for one in finals if one.dataset == own[-1].dataset]
    return SearchResult(found, home, own[-1], boards.standing(home, own[-1], together))
