"""`bench show` in a terminal: sections with short headings, the most important first, side by side where that fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bench.formats import duration
from bench.terminal.heat import count, heat
from bench.terminal.sections import section_table
from bench.terminal.sparkline import bar, height, one_line, percent, sparkline
from bench.terminal.summary import short

Document = Mapping[str, Any]
WIDE = 150  # columns from which two stand side by side
GAP = 4
MOST_ROWS = 12  # classes in the table of errors
LONGEST_BAR = 40


def draw(document: Document, width: int, *, timing: bool = False, ascii_only: bool = False) -> RenderableType:
    """Everything, within `width` columns.

    Args:
        document: as `bench.portrait.portrait` gives it.
        timing: whether to say where the time went.
    """
    sections = _Sections(document, (width - GAP) // 2 if width >= WIDE else width, ascii_only)
    first = [sections.configuration(), sections.importance(), sections.curve()]
    second = [sections.confusion(), sections.errors(), sections.serving()]
    if timing:
        second += [sections.timing(), sections.rungs()]
    if width >= WIDE:
        grid = Table.grid(padding=(0, GAP, 0, 0))
        for _ in range(2):
            grid.add_column(width=sections.width)
        grid.add_row(_stacked(first), _stacked(second))
        body: list[RenderableType] = [grid]
    else:
        body = [_stacked([first[0], *second[:2], *first[1:], *second[2:]])]
    return Group(sections.header(), "", *body, sections.code())


def _stacked(sections: Sequence[RenderableType]) -> RenderableType:
    return Group(*(part for section in sections for part in (section, "")))


class _Sections:
    def __init__(self, document: Document, width: int, ascii_only: bool) -> None:
        self.document, self.width, self.ascii_only = document, width, ascii_only

    def header(self) -> RenderableType:
        document, trial, final = self.document, self.document["trial"], self.document["final"]
        trials = document["trials"]
        title = Text(one_line(f"{document['family']} on {document['dataset']}"), "bold")
        title.append(
            one_line(
                f"  study {document['study']}, {trials['total']} trials ({trials['complete']} complete, "
                f"{trials['pruned']} pruned, {trials['failed']} failed)"
            ),
            "not bold",
        )
        lines = [title]
        if final:
            low, high = final["ci95"]
            lines.append(
                Text(
                    f"test accuracy {percent(final['test_accuracy'])} ({100 * low:.2f} to "
                    f"{100 * high:.2f}), {final['errors']:.1f} errors a seed, mean of {final['seeds']} seeds",
                    "bold",
                )
            )
            lines += [Text(one_line(line), "dim") for line in _about_seeds(final)]
        lines += [Text(line) for line in self._about(trial)]
        lines += [Text(line, "dim") for line in self._notes()]
        return Group(*lines)

    def _about(self, trial: Mapping[str, Any]) -> Iterator[str]:
        said = f"trial {trial['number']}"
        if trial["reason"] or trial["state"] != "complete":
            said += f", {trial['state']}" + (f": {trial['reason']}" if trial["reason"] else "")
        elif trial["number"] == self.document["best_trial"]:
            said += ", the best on validation"
        if trial["val_accuracy"] is not None:
            said += f": validation accuracy {percent(trial['val_accuracy'])}"
        yield one_line(said)

    def _notes(self) -> Iterator[str]:
        document, final, other = self.document, self.document["final"], self.document["other_final"]
        number, best = document["trial"]["number"], document["best_trial"]
        if document["trial"]["state"] == "complete" and document["trial"]["detail"]:
            yield one_line(f"Trial {number} {document['trial']['detail']}.")
        if final and final["trials"] < document["trials"]["total"]:
            more = document["trials"]["total"] - final["trials"]
            yield f"{more} trials were added since that test; `bench final` chooses and tests anew."
        if final and best != number and best in final["confirmed"]:
            yield f"Trial {best} was best in the search; over fresh seeds {number} was. --trial {best} shows the other."
        if other:
            yield f"The final of this study tested trial {other['trial']}; what it measured is shown with that one."

    def configuration(self) -> RenderableType:
        rows = self.document["configuration"]
        table = section_table(("parameter", "left"), ("value", "right"), ("searched", "left"))
        for row in rows:
            value = Text(one_line(short(row["value"])), "bold" if row["edge"] else "")
            if row["edge"]:
                value.append(f" {row['edge']}", "not bold red")
            table.add_row(Text(one_line(row["name"])), value, Text(one_line(row["searched"]), "dim"))
        hints = []
        for row in rows:
            if row["edge"]:
                text = f"{row['name']}: best value at the edge of its range: widen with --range {row['wider']}"
                hints.append(Text(one_line(text)))
        if hints:
            hints.append(Text("The space of a study is frozen: give the wider one a name with --study.", "dim"))
        return Group(_heading("Configuration"), table, *hints)

    def confusion(self) -> RenderableType:
        found = self.document["confusion"]
        if found is None:
            return Group(_heading("Confusion"), Text("Not known: nothing was kept of this trial's answers.", "dim"))
        matrix = heat(found["matrix"], found["classes"], self.width, ascii_only=self.ascii_only)
        what = f"on {self._images(found)}; one row a true class"
        if matrix is None:
            matrix = Text(f"{len(found['classes'])} classes do not fit as a matrix; the confused pairs are below.")
            what = f"on {self._images(found)}"
        pairs = self.document["confused_pairs"]
        said = ", ".join(
            f"{pair['true']} as {pair['predicted']} ({count(pair['images'])})"
            for pair in pairs[: self._most_pairs(found)]
        )
        lines = [Text(one_line(f"most confused: {said}"))] if pairs else [Text("No image was confused.")]
        return Group(_heading("Confusion", what), matrix, *lines)

    def _most_pairs(self, found: Mapping[str, Any]) -> int:
        return 5 if len(found["classes"]) <= 20 else 10

    def _images(self, found: Mapping[str, Any]) -> str:
        if found["source"] == "test":
            return f"{found['images']:,} test images, mean of {found['seeds']} seeds"
        part = f" of {found['of']:,}" if found["of"] != found["images"] else ""
        return f"{found['images']:,}{part} validation images, trial {self.document['trial']['number']}"

    def errors(self) -> RenderableType:
        rows = [row for row in self.document["class_errors"] if row["rate"] is not None]
        if not rows:
            return Group(_heading("Errors by class"), Text("Not known.", "dim"))
        rows.sort(key=lambda row: (-row["rate"], row["label"]))
        table = section_table(
            ("class", "left"), ("images", "right"), ("errors", "right"), ("error %", "right"), ("95 %", "left")
        )
        for row in rows[:MOST_ROWS]:
            low, high = row["ci95"]
            interval = Text(f"{100 * low:.1f} to {100 * high:.1f}", "dim")
            cells = (f"{row['images']:,}", count(row["errors"]) if row["errors"] else "0", f"{100 * row['rate']:.2f}")
            table.add_row(Text(one_line(row["name"])), *cells, interval)
        rest = [Text(f"and {len(rows) - MOST_ROWS} classes with fewer", "dim")] if len(rows) > MOST_ROWS else []
        return Group(_heading("Errors by class", "hardest first"), table, *rest)

    def importance(self) -> RenderableType:
        found = self.document["importance"]
        head = _heading("Importance", "of each parameter for being among the best trials")
        if found["problem"]:
            return Group(head, Text(one_line(found["problem"])))
        level = f"after {found['samples']:,} samples" if found["samples"] is not None else "at their end"
        names = max(len(one_line(row["name"])) for row in found["rows"])
        room = min(max(self.width - names - 22, 5), LONGEST_BAR)
        table = Table.grid(padding=(0, 2, 0, 0))
        for justify in ("left", "right", "left", "left"):
            table.add_column(justify=justify)
        for row in found["rows"]:
            done, _ = bar(row["share"], room, ascii_only=self.ascii_only)
            style = "" if row["clear"] else "dim"
            cells = (f"{100 * row['share']:.0f} %", "" if row["clear"] else "chance?", done)
            table.add_row(*(Text(text, style) for text in (one_line(row["name"]), *cells)))
        note = f"PED-ANOVA over {found['trials']} trials; {found['reached']} of them judged {level}."
        doubt = " 'chance?': shuffled trials give as much in more than one case of twenty."
        return Group(head, table, Text(note + doubt, "dim"))

    def curve(self) -> RenderableType:
        points = self.document["curve"]
        judged = f", rungs by {self.document['judged_by']}" if len(points) > 1 else ""
        what = f"trial {self.document['trial']['number']}{judged}"
        parts: list[RenderableType] = [_heading("Learning curve", what)]
        if points:
            parts.append(self._accuracies(points))
        else:
            parts.append(Text("It was never judged.", "dim"))
        if self.document["loss_curves"]:
            parts.append(self._losses(self.document["loss_curves"]))
        return Group(*parts)

    def _accuracies(self, points: Sequence[Mapping[str, Any]]) -> RenderableType:
        table = section_table(("samples", "right"), ("epochs", "right"), ("validation", "right"), ("", "left"))
        room = min(self.width - 40, LONGEST_BAR)
        heights = [height(point["val_accuracy"]) for point in points]
        for point, high in zip(points, heights, strict=True):
            done, _ = bar(high / max(*heights, 1e-9), room, ascii_only=self.ascii_only)
            epochs = "" if point["epochs"] is None else f"{point['epochs']:.1f}"
            table.add_row(f"{point['samples']:,}", epochs, percent(point["val_accuracy"]), Text(done, "cyan"))
        return table

    def _losses(self, curves: Sequence[Mapping[str, Any]]) -> RenderableType:
        """A line a seed of the final, all on one scale: the logarithm of the loss."""
        import math

        logs = [[math.log10(max(loss, 1e-9)) for _, loss in curve["samples_and_loss"]] for curve in curves]
        every = [value for values in logs for value in values]
        table = section_table(("retraining", "left"), ("loss", "right"), ("", "left"), ("", "right"))
        room = min(self.width - 40, LONGEST_BAR)
        for place, (curve, values) in enumerate(zip(curves, logs, strict=True), 1):
            if values:
                losses = curve["samples_and_loss"]
                line = sparkline(values, room, min(every), max(every), ascii_only=self.ascii_only)
                table.add_row(f"seed {place}", f"{losses[0][1]:.3g}", Text(line, "cyan"), f"{losses[-1][1]:.3g}")
        return table

    def serving(self) -> RenderableType:
        trial, found = self.document["trial"], self.document["serving"]
        table = Table.grid(padding=(0, 2, 0, 0))
        parameters = "not known" if trial["params"] is None else f"{trial['params']:,}"
        table.add_row("parameters", Text(parameters))
        if found is None:
            table.add_row("size on disk, latency", Text("not measured", "dim"))
            return Group(_heading("Size", "and speed"), table)
        table.add_row("model.keras", Text(f"{found['model_bytes'] / 1e6:.1f} MB"))
        for entry in found["latency"]:
            what = "one image" if entry["images"] == 1 else f"batch of {entry['images']}"
            each = "" if entry["images"] == 1 else f" ({1e3 * entry['seconds'] / entry['images']:.2g} ms an image)"
            table.add_row(what, Text(f"{1e3 * entry['seconds']:.3g} ms{each}"))
        threads = f"{found['threads']} thread{'s' if found['threads'] > 1 else ''}"
        note = Text(one_line(f"A compiled forward pass, median, on {found['device']} with {threads}."), "dim")
        return Group(_heading("Size", "and speed"), table, note)

    def timing(self) -> RenderableType:
        found = self.document["timing"]
        whole = found["worker_seconds"]
        workers = f"{found['workers']} worker{'s' if found['workers'] > 1 else ''}"
        what = f"{duration(whole)} of {workers} in {duration(found['wall_seconds'])} of search"
        table = section_table(("phase", "left"), ("seconds", "right"), ("share", "right"), ("", "left"))
        room = min(self.width - 32, LONGEST_BAR)
        for name, seconds in found["phases"].items():
            share = seconds / whole if whole else 0.0
            done, _ = bar(share, room, ascii_only=self.ascii_only)
            table.add_row(name, f"{seconds:,.1f}", f"{100 * share:.0f} %", Text(done, "cyan"))
        states = section_table(("trials", "left"), ("count", "right"), ("seconds", "right"), ("share", "right"))
        for name, state in found["states"].items():
            share = state["seconds"] / whole if whole else 0.0
            states.add_row(name, str(state["trials"]), f"{state['seconds']:,.1f}", f"{100 * share:.0f} %")
        note = Text("wait: for a verdict or a next trial. other: starting, idle, and runs that were cut off.", "dim")
        return Group(_heading("Time", what), table, note, "", states)

    def rungs(self) -> RenderableType:
        """How well each rung ranks the trials; see `bench.rungs`."""
        heading = _heading("Rungs", "ranks of those that went on, here and at their next judgement")
        if not self.document["rungs"]:
            return Group(heading, Text("No trial was judged before its end.", "dim"))
        table = section_table(
            ("samples", "right"), ("trials", "right"), ("went on", "right"), ("rank correlation", "right")
        )
        for rung in self.document["rungs"]:
            found = rung["rank_correlation"]
            correlation = "" if found is None else f"{found:.2f}"
            table.add_row(f"{rung['samples']:,}", str(rung["trials"]), str(rung["went_on"]), correlation)
        return Group(heading, table)

    def code(self) -> RenderableType:
        code = self.document["code"]
        if code is None:
            return Group(
                _heading("As code"),
                Text("Not known: the sealed data are gone, or the family was made in Python and has no file.", "dim"),
            )
        text = "\n".join(one_line(line) for line in code.splitlines())
        return Group(_heading("As code", "stock Keras"), Text(text, overflow="fold"))


def _about_seeds(final: Mapping[str, Any]) -> Iterator[str]:
    if final["seed_sd"] is not None:
        sd, expected = 100 * final["seed_sd"], 100 * final["seed_sd_expected"]
        yield f"seeds differ by a standard deviation of {sd:.2f} points ({expected:.2f} expected)"
    yield from final["findings"]


def _heading(title: str, what: str = "") -> Text:
    text = Text(title, "bold")
    if what:
        text.append(f"  {one_line(what)}", "not bold dim")
    return text
