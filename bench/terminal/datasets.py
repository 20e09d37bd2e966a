"""`bench datasets`: what there is and how to get it; of one data set, class counts as bars and some training images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bench.data.catalog import KNOWN, source_of
from bench.data.sealed import Sealed, sealed_in
from bench.errors import UsageError
from bench.inert import one_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bench.data.arrays import Arrays

SCHEMA = 1
MOST_CLASSES = 20
SAMPLES = 10
SAMPLE_COLUMNS = 16
GAP = 2


def datasets_json(home: Path, data_dir: Path | None = None) -> dict[str, Any]:
    """The known data sets, then those of the user that are sealed in this home; `found` is null where it is missing."""
    rows = [_known_row(home, name, data_dir) for name in KNOWN]
    rows += [_sealed_row(sealed) for sealed in sealed_in(home) if sealed.source["kind"] == "file"]
    return {"schema": SCHEMA, "rows": rows}


def _known_row(home: Path, name: str, data_dir: Path | None) -> dict[str, Any]:
    known = KNOWN[name]
    try:
        source = source_of(name, data_dir)
    except UsageError:
        source = None
    ours = (sealed for sealed in sealed_in(home) if sealed.name == name and sealed.source["kind"] != "file")
    sealed = next(ours, None)
    counts = sealed or known
    return {
        "dataset": name,
        "image_shape": list(known.image_shape),
        "classes": known.classes,
        "train": counts.n_train,
        "validation": counts.n_validation,
        "test": counts.n_test,
        "sealed": sealed.data_id if sealed else None,
        "found": (source.path or source.kind) if source else None,
        "how_to_get": known.how_to_get,
        "warnings": list(sealed.warnings) if sealed else [],
    }


def _sealed_row(sealed: Sealed) -> dict[str, Any]:
    return {
        "dataset": sealed.name,
        "image_shape": list(sealed.image_shape),
        "classes": sealed.classes,
        "train": sealed.n_train,
        "validation": sealed.n_validation,
        "test": sealed.n_test,
        "sealed": sealed.data_id,
        "found": sealed.source["path"],
        "how_to_get": "a file of yours",
        "warnings": list(sealed.warnings),
    }


def datasets_table(home: Path, data_dir: Path | None = None, width: int = 80) -> RenderableType:
    """One line a data set: shape, classes, images in train / validation / test, where it is or how to get it.

    Below 80 columns it leaves out shape and classes, and says so.
    """
    narrow = width < 80
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("data set", no_wrap=True)
    for title in () if narrow else ("image", "classes"):
        table.add_column(title, no_wrap=True, justify="right")
    table.add_column("train / val / test", no_wrap=True, justify="right")
    table.add_column("where", overflow="fold")
    for row in datasets_json(home, data_dir)["rows"]:
        where = Text(one_line(_short(row["found"]))) if row["found"] else Text(row["how_to_get"], style="dim")
        for sentence in row["warnings"]:
            where.append(f"\n! {one_line(sentence)}", style="bold")
        table.add_row(
            Text(one_line(row["dataset"])),
            *(() if narrow else ("x".join(map(str, row["image_shape"])), str(row["classes"]))),
            " / ".join(f"{row[part]:,}" for part in ("train", "validation", "test")),
            where,
        )
    return Group(table, Text("Not shown at this width: image, classes.", style="dim")) if narrow else table


def _short(path: str) -> str:
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path


def dataset_page(sealed: Sealed, arrays: Arrays) -> Group:
    """Class counts of train and validation as bars, and one training image of each class (the first ten)."""
    height, width, channels = sealed.image_shape
    head = Text.assemble(
        (one_line(sealed.name), "bold"),
        f"  {height}x{width}x{channels} {sealed.dtype}, {sealed.classes} classes; {sealed.n_train:,} train, "
        f"{sealed.n_validation:,} validation, {sealed.n_test:,} test (sealed)",
    )
    notes = [Text(f"! {one_line(sentence)}", style="bold") for sentence in sealed.warnings]
    split = Text(f"split {sealed.split_fingerprint[:12]}, data {sealed.checksum[:12]}", style="dim")
    return Group(head, *notes, split, Text(), _counts_table(sealed, arrays), Text(), _samples(sealed, arrays))


def page_json(sealed: Sealed, arrays: Arrays) -> dict[str, Any]:
    """The same as one document: class counts by split."""
    train, validation = class_counts(sealed, arrays)
    rows = [
        {"class": i, "name": name, "train": train[i], "validation": validation[i]}
        for i, name in enumerate(sealed.class_names)
    ]
    return {
        "schema": SCHEMA,
        **_sealed_row(sealed),
        "split_fingerprint": sealed.split_fingerprint,
        "class_counts": rows,
    }


def class_counts(sealed: Sealed, arrays: Arrays) -> tuple[list[int], list[int]]:
    """Images of each class in train and in validation."""
    import numpy as np

    parts = (arrays.train, arrays.validation)
    train, validation = (np.bincount(y, minlength=sealed.classes).tolist() for _, y in parts)
    return train, validation


def _counts_table(sealed: Sealed, arrays: Arrays) -> Table:
    train, validation = class_counts(sealed, arrays)
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    table.add_column("class", no_wrap=True, max_width=24, overflow="crop")
    table.add_column("train", justify="right", no_wrap=True)
    table.add_column("", ratio=5)
    table.add_column("validation", justify="right", no_wrap=True)
    table.add_column("", ratio=2)
    for i, name in enumerate(sealed.class_names[:MOST_CLASSES]):
        bars = (_Bar(train[i] / max(train)), _Bar(validation[i] / max(*validation, 1)))
        table.add_row(Text(one_line(name)), f"{train[i]:,}", bars[0], f"{validation[i]:,}", bars[1])
    if sealed.classes > MOST_CLASSES:
        table.add_row(Text(f"... and {sealed.classes - MOST_CLASSES} more", style="dim"))
    return table


@dataclass
class _Bar:
    """A horizontal bar that fills `share` of the width it gets."""

    share: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = round(self.share * options.max_width)
        yield Text(("#" if options.ascii_only else "█") * (width or (self.share > 0)), style="cyan")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, options.max_width)


def _samples(sealed: Sealed, arrays: Arrays) -> _Gallery:
    """The first training image of each class."""
    import numpy as np

    x, y = arrays.train
    pictures = []
    for label in range(min(sealed.classes, SAMPLES)):
        image = x[int((y == label).argmax())].astype(np.float32) * arrays.scale
        pictures.append((sealed.class_names[label], _small(image)))
    return _Gallery(pictures)


def _small(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """At most 16 pixels wide and of even height, RGB, uint8: means over square blocks; a small image stays as it is."""
    import numpy as np

    step = -(-max(image.shape[:2]) // SAMPLE_COLUMNS)
    height, width = (-(-side // step) for side in image.shape[:2])
    height += height % 2
    padded = np.zeros((height * step, width * step, image.shape[2]), np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    mean = padded.reshape(height, step, width, step, -1).mean(axis=(1, 3))
    rgb = mean[..., :3] if mean.shape[2] >= 3 else np.repeat(mean[..., :1], 3, axis=2)
    small: npt.NDArray[np.uint8] = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8)
    return small


@dataclass
class _Gallery:
    """Pictures side by side, two pixels a character: coloured half blocks, or shades where there are no colours."""

    pictures: list[tuple[str, npt.NDArray[np.uint8]]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        coloured = console.color_system is not None and not console.no_color and not options.ascii_only
        shades = " .:-=+*#%@" if options.ascii_only else " ░▒▓█"
        width = max(picture.shape[1] for _, picture in self.pictures)
        fit = max(1, (options.max_width + GAP) // (width + GAP))
        lines = -(-len(self.pictures) // fit)
        across = -(-len(self.pictures) // lines)  # rows of equal length
        for first in range(0, len(self.pictures), across):
            row = self.pictures[first : first + across]
            yield Text((" " * GAP).join(one_line(name)[:width].ljust(width) for name, _ in row).rstrip())
            for line in range(row[0][1].shape[0] // 2):
                for number, (_, picture) in enumerate(row):
                    if number:
                        yield Segment(" " * GAP)
                    top, bottom = picture[2 * line], picture[2 * line + 1]
                    yield from _half_blocks(top, bottom) if coloured else _shaded(top, bottom, shades)
                yield Segment.line()


def _half_blocks(top: npt.NDArray[np.uint8], bottom: npt.NDArray[np.uint8]) -> Iterator[Segment]:
    for upper, lower in zip(top.tolist(), bottom.tolist(), strict=True):
        yield Segment("▀", Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))


def _shaded(top: npt.NDArray[np.uint8], bottom: npt.NDArray[np.uint8], shades: str) -> Iterator[Segment]:
    for upper, lower in zip(top.mean(axis=1).tolist(), bottom.mean(axis=1).tolist(), strict=True):
        yield Segment(shades[min(int((upper + lower) / 512 * len(shades)), len(shades) - 1)])
