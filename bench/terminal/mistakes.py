"""`bench mistakes` in a terminal: what no family gets right, likely label errors, one family against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from bench.terminal.heat import count
from bench.terminal.sections import section_table
from bench.terminal.sparkline import cut, one_line
from bench.terminal.summary import arguments_for

MOST_IMAGES = 12  # lines of a table of images
MOST_CLASSES = 12
LONGEST_NAME = 14  # cells of a class's name
STYLES = {"better": "bold green", "worse": "bold red", "not resolved": "", "not tested": "dim"}
Document = Mapping[str, Any]


def draw(document: Document, width: int) -> RenderableType:
    """The document of `bench mistakes --json`, within `width` columns."""
    families = document["families"]
    listed = ", ".join(f"{one['name']} ({one['seeds']})" for one in families)
    head = Text(one_line(document["dataset"]), "bold")
    head.append(f"  {document['test_images']:,} test images; models: {one_line(listed)}", "not bold")
    sure = f"{100 * document['sure']:.0f} %"
    whose = "the family" if len(families) == 1 else "every family"
    parts: list[RenderableType] = [
        head,
        Text(),
        _heading("No family gets right", f"every model of {whose} is wrong", document["unsolved"]),
        *_images(document["unsolved"], document["models"]),
        Text(),
        _heading(
            "Likely label errors",
            f"all models say the same other class, each family with {sure} or more",
            document["likely_label_errors"],
        ),
        *_images(document["likely_label_errors"], document["models"]),
    ]
    if document["likely_label_errors"]:
        parts.append(Text("Models can be sure and wrong together: look at them. No figure changes for it.", "dim"))
    if document["against"]:
        parts += [Text(), *_against(document["against"], width)]
    parts += [Text(one_line(note), "dim") for note in document["notes"]]
    shown = (arguments_for(one["family"], document["dataset"], one["study"]) for one in families[:3])
    hints = " · ".join(f"bench show {one_line(of)}" for of in shown)
    parts += [Text(), Text(f"confusion and errors by class: {hints}", "dim")]
    return Group(*parts)


def _images(rows: Sequence[Mapping[str, Any]], models: int) -> list[RenderableType]:
    if not rows:
        return []
    table = section_table(
        ("image", "right"), ("label", "left"), ("said", "left"), ("by models", "right"), ("sure %", "right")
    )
    for row in rows[:MOST_IMAGES]:
        by = f"{row['models']} of {models}"
        names = (Text(cut(row[name], LONGEST_NAME)) for name in ("name", "said_name"))
        table.add_row(str(row["image"]), *names, by, f"{100 * row['probability']:.1f}")
    return [table, *_rest(rows, MOST_IMAGES, "images")]


def _rest(rows: Sequence[object], shown: int, what: str) -> list[Text]:
    return [Text(f"and {len(rows) - shown} more {what}; --json lists all", "dim")] if len(rows) > shown else []


def _against(found: Mapping[str, Any], width: int) -> list[RenderableType]:
    one, other = one_line(found["family"]), one_line(found["other"])
    title = Text(f"{one} against {other}", "bold")
    said = (
        f"{one} rights {_mean(found['fixed'])} of the {_mean(found['other_errors'])} errors of {other}, and newly "
        f"makes {_mean(found['broken'])}: {_mean(found['errors'])} in all. Means over seeds."
    )
    return [
        title,
        Text(f"{said}{_resolved(found)}"),
        *_classes(found, width),
        *_single(found, one, other),
    ]


def _resolved(found: Mapping[str, Any]) -> str:
    low, high = (100 * bound for bound in found["difference_ci95"])
    points = f"{100 * found['difference']:+.2f} points ({low:+.2f} to {high:+.2f})"
    if found["p_value"] is None:
        return f" The accuracy differs by {points}, of one seed, which resolves nothing."
    p = "p < 0.001" if found["p_value"] < 0.001 else f"p = {found['p_value']:.3f}"
    return f" The accuracy differs by {points}, {p}."


def _classes(found: Mapping[str, Any], width: int) -> list[RenderableType]:
    rows = [row for row in found["classes"] if row["images"]]
    rows.sort(key=lambda row: (-abs(row["difference"] or 0.0), row["label"]))
    if not rows:
        return []
    label = max(cell_len("class"), *(min(cell_len(one_line(row["name"])), LONGEST_NAME) for row in rows))
    wide = width >= label + 64
    table = section_table(
        ("class", "left"), *([("images", "right"), ("errors", "right")] if wide else []), ("fixed", "right"),
        ("broken", "right"), ("points", "right"), ("", "left"),
    )  # fmt: skip
    for row in rows[:MOST_CLASSES]:
        more = (f"{row['images']:,}", f"{_mean(row['other_errors'])} to {_mean(row['errors'])}") if wide else ()
        points = "" if row["difference"] is None else f"{100 * row['difference']:+.2f}"
        table.add_row(
            Text(cut(row["name"], LONGEST_NAME)),
            *more,
            _mean(row["fixed"]),
            _mean(row["broken"]),
            points,
            Text(_verdict(row), STYLES[row["verdict"]]),
        )
    tested = sum(row["p_holm"] is not None for row in found["classes"])
    note = f"Points of accuracy; {tested} classes tested, Holm-corrected. Too few errors, or one seed: not tested."
    return [table, *_rest(rows, MOST_CLASSES, "classes"), Text(note, "dim")]


def _verdict(row: Mapping[str, Any]) -> str:
    if row["p_holm"] is None:
        return str(row["verdict"])
    p = "p < 0.001" if row["p_holm"] < 0.001 else f"p = {row['p_holm']:.3f}"
    return f"{row['verdict']}, {p}"


def _single(found: Mapping[str, Any], one: str, other: str) -> list[RenderableType]:
    mine, theirs = found["models"]
    if found["models_needed"]:
        needed = found["models_needed"]
        text = (
            f"No single image can be told fixed or broken by {mine} and {theirs} models: it takes {needed} of each "
            f"(bench final FAMILY --seeds {needed}, which adds a look)."
        )
        return [Text(text, "dim")]
    rate = f"{100 * found['false_discovery_rate']:.0f} %"
    lines: list[RenderableType] = []
    for side, what in (("images_fixed", f"fixed by {one}"), ("images_broken", f"newly broken by {one}")):
        rows = found[side]
        named = ", ".join(f"{row['image']} ({row['name']})" for row in rows[:MOST_IMAGES])
        more = f" and {len(rows) - MOST_IMAGES} more" if len(rows) > MOST_IMAGES else ""
        lines.append(Text(f"{len(rows)} images {what}{': ' if rows else ''}{one_line(named)}{more}"))
    note = (
        f"Images told apart singly, out of {found['questions']} that {mine} models of {one} and {theirs} of {other} "
        f"could tell; at most {rate} of those listed are expected to be chance (Benjamini-Hochberg)."
    )
    return [*lines, Text(note, "dim")]


def _mean(images: float) -> str:
    return count(images) if images else "0"


def _heading(title: str, what: str, rows: Sequence[object]) -> Text:
    text = Text(f"{title}: {len(rows) or 'none'}", "bold")
    text.append(f"  {what}", "not bold dim")
    return text
