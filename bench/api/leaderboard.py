"""`bench.leaderboard`: the families compared, as a table, a data frame or a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from rich.console import Console, ConsoleOptions, RenderResult

from bench import boards, formats
from bench.api import html
from bench.api.text import plain
from bench.errors import UsageError
from bench.options import home_of
from bench.ranking import Board
from bench.terminal.tables import leaderboard_table

if TYPE_CHECKING:
    from bench.budgets import Budget

Row = Mapping[str, Any]


def leaderboard(
    dataset: str | Path | None = None,
    baseline: str | None = None,
    validation: bool = False,
    home: str | Path | None = None,
    storage: str | None = None,
    at: int | str | None = None,
) -> Leaderboard:
    """Compare the families that have a final on this data set. Reads stored numbers; nothing is trained or tested.

    Args:
        dataset: a name or the path of an .npz; None for MNIST, if it was used in this home, else for the one used last.
        baseline: the family that error reduction is against; None for mlp.
        validation: rank the studies by their best validation accuracy instead, before any look at the test set.
        home: where everything is stored; None for $BENCH_HOME, else ./runs.
        storage: URL of another Optuna storage than <home>/bench.db; only `validation` and `at` read it.
        at: the board on validation as it was after so many trials each (20), or so much device time ("40s", "10m").

    Returns:
        Its rows in order of rank. None is not an error.

    Raises:
        UsageError: `at` is no budget, or is given together with `validation`, or either with a baseline.
        UnknownFamily: the baseline is no family.
        RecordError: a stored result does not read back, or was changed.
    """
    where = home_of(home)
    name = boards.dataset_name(where, str(dataset) if dataset is not None else None)
    if baseline is not None and (validation or at is not None):
        raise UsageError("Only test errors are compared with a baseline: leave it out, or ask for the tested finals.")
    if at is not None:
        if validation:
            raise UsageError("A board at a budget is one on validation already: leave validation out, or at.")
        return Leaderboard(boards.make_validation_board(where, storage, name, _budget(at)))
    if validation:
        return Leaderboard(boards.make_validation_board(where, storage, name))
    return Leaderboard(boards.make_board(where, name, baseline))


def _budget(at: object) -> Budget:
    from bench.budgets import WRITTEN, budget_of

    found = budget_of(str(at)) if isinstance(at, (int, str)) and not isinstance(at, bool) else None
    if found is None:
        raise UsageError(f"at {WRITTEN}, not {at!r}.")
    return found


@dataclass(frozen=True, repr=False, eq=False)
class Leaderboard(Sequence[Row]):
    """The rows of `bench leaderboard --json`, in order of rank: accuracies are fractions in [0, 1], times are seconds.

    Printed, it is the table that the command line shows; a notebook shows it as a table too.
    """

    board: Board

    @property
    def dataset(self) -> str:
        return self.board.dataset

    @property
    def baseline(self) -> str | None:
        """The family that errors are compared with; None while it has no final."""
        return self.board.baseline

    @property
    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.to_json()["rows"]
        return rows

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong below the table: what cannot be told apart, warnings of the data."""
        return self.board.notes

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.board.rows)

    def to_json(self) -> dict[str, Any]:
        """The document of `bench leaderboard --json`."""
        return formats.to_json(self.board)

    def to_frame(self) -> Any:
        """A pandas DataFrame, one line a row, with the columns of `bench leaderboard --csv`."""
        import pandas as pd

        rows = [formats.flat_row(self.board, row) for row in self.board.rows]
        return pd.DataFrame(rows, columns=formats.flat_columns(self.board))

    def plot(self) -> Any:
        """A plotly figure: a dot and its 95 % interval for each row, the best at the top."""
        import plotly.graph_objects as go

        from dashboards.figures import BLUE, GREY, GRID

        tested = "test_accuracy" in self.board.columns and self.board.at is None
        family = formats.columns_of(self.board)["family"]
        percent = [100 * row["test_accuracy" if tested else "val_accuracy"] for row in self.board.rows]
        bounds = [[100 * bound for bound in row["ci95"]] for row in self.board.rows]
        places = list(range(len(percent)))
        figure = go.Figure()
        figure.add_scatter(
            x=percent,
            y=places,
            mode="markers",
            marker={"size": 10, "color": BLUE},
            error_x={
                "symmetric": False,
                "array": [high - x for (_, high), x in zip(bounds, percent, strict=True)],
                "arrayminus": [x - low for (low, _), x in zip(bounds, percent, strict=True)],
            },
            customdata=[[html.inert(row["study"]), *ends] for row, ends in zip(self.board.rows, bounds, strict=True)],
            hovertemplate="%{customdata[0]}: %{x:.2f} (%{customdata[1]:.2f} to %{customdata[2]:.2f}) %<extra></extra>",
        )
        labels = [html.inert(f"{row['rank']}  {family(row)}") for row in self.board.rows]
        axis = {"gridcolor": GRID, "zeroline": False, "automargin": True}
        figure.update_yaxes(axis, tickvals=places, ticktext=labels, autorange="reversed")
        figure.update_xaxes(axis, title="test accuracy, %" if tested else "best validation accuracy, %")
        figure.update_layout(
            template="none",
            title={"text": html.inert(formats.caption(self.board)), "x": 0.02, "xanchor": "left"},
            font={"color": GREY, "size": 13},
            paper_bgcolor="rgba(0, 0, 0, 0)",
            plot_bgcolor="rgba(0, 0, 0, 0)",
        )
        return figure

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield leaderboard_table(self.board, options.max_width)

    def __repr__(self) -> str:
        return plain(self)

    def _repr_html_(self) -> str:
        if not self.board.rows:
            return html.lines([f"No results for {self.dataset} yet."])
        columns = formats.columns_of(self.board)
        cells = html.table(list(columns), [[cell(row) for cell in columns.values()] for row in self.board.rows])
        return cells + html.lines([formats.caption(self.board), *self.notes])
