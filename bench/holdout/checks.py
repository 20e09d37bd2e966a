"""Whether arrays can be trained on: every problem of an input in one error, with the first offending index of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.catalog import Known
from bench.errors import DataError

Array = npt.NDArray[Any]
NEEDED = ("x_train", "y_train", "x_test", "y_test")
SETS = ("train", "val", "test")


@dataclass(frozen=True)
class Checked:
    """Arrays that passed.

    Attributes:
        x: images by set (train, test, and val where given), shape (n, height, width, channels), uint8 in 0 to 255 or
            float32 in [0, 1], all of one shape and dtype.
        y: labels by set, int32 in [0, classes), shape (n,).
        warnings: sentences that belong beside every result.
    """

    x: Mapping[str, Array]
    y: Mapping[str, npt.NDArray[np.int32]]
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def with_warning(self, sentence: str) -> Checked:
        return replace(self, warnings=(*self.warnings, sentence))


def check(arrays: Mapping[str, Array], where: str, unread: Sequence[str] = (), known: Known | None = None) -> Checked:
    """Check the arrays of a source (x_train, y_train, x_test, y_test and, if given, x_val, y_val, class_names).

    Args:
        where: what the arrays were read from, for the message.
        unread: problems that reading already found; their arrays are missing here.
        known: what a named data set must look like.

    Raises:
        DataError: with every problem found.
    """
    problems = list(unread)
    said = {problem.split(" ", 1)[0] for problem in unread}
    needed = (*NEEDED, *(("x_val", "y_val") if {"x_val", "y_val"} & (arrays.keys() | said) else ()))
    problems += [
        f"{name} is missing; save the file with numpy.savez(..., {', '.join(f'{n}=...' for n in needed)})"
        for name in needed
        if name not in arrays and name not in said
    ]
    x, y = {}, {}
    for part in SETS:
        if f"x_{part}" in arrays:
            images, found = _images(f"x_{part}", arrays[f"x_{part}"])
            problems += found
            if images is not None:
                x[part] = images
        if f"y_{part}" in arrays:
            labels, found = _labels(f"y_{part}", arrays[f"y_{part}"])
            problems += found
            if labels is not None:
                y[part] = labels
        problems += _lengths(part, arrays)
    problems += _same_form(x)
    problems += _classes(y)
    names, found = _class_names(arrays.get("class_names"), y, known)
    problems += found
    if known and "train" in x and x["train"].shape[1:] != known.image_shape:
        problems.append(
            f"{known.name} has images of shape {known.image_shape}, not {x['train'].shape[1:]}; name the right file"
        )
    if problems:
        raise DataError(f"{where} cannot be used as a data set:", problems)
    return Checked(x, y, names, tuple(_warnings(x, y, known)))


def _first(bad: Array) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))


def _at(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]"


def _images(name: str, x: Array) -> tuple[Array | None, list[str]]:
    problems = _shape_problems(name, x) + _value_problems(name, x)
    if problems:
        return None, problems
    x = x[..., None] if x.ndim == 3 else x
    return np.ascontiguousarray(x, np.float32 if x.dtype.kind == "f" else np.uint8), []


def _shape_problems(name: str, x: Array) -> list[str]:
    rule = f"{name} must have shape (n, height, width) or (n, height, width, channels), not {x.shape}"
    if x.ndim not in (3, 4):
        side = isqrt(x.shape[1]) if x.ndim == 2 else 0
        hint = f"use {name}.reshape(-1, {side}, {side})" if side and side**2 == x.shape[1] else "reshape it"
        return [f"{rule}; {hint}"]
    if not len(x):
        return [f"{name} is empty: its shape is {x.shape}; give at least one image of each class"]
    if 0 in x.shape:
        return [f"{rule}; no side may be 0"]
    if x.ndim == 4 and x.shape[3] > 4:
        first = x.shape[1] <= 4
        hint = f"channels come last: use {name}.transpose(0, 2, 3, 1)" if first else "use 1 to 4 channels"
        return [f"{rule} with 1 to 4 channels; {hint}"]
    return []


def _value_problems(name: str, x: Array) -> list[str]:
    if x.dtype.kind not in "uif":
        hint = f"use {name}.astype('uint8') * 255" if x.dtype.kind == "b" else "save numbers"
        return [f"{name} must hold integers 0 to 255 or floats 0 to 1, not {x.dtype}; {hint}"]
    if x.size == 0 or x.dtype == np.uint8:
        return []
    if x.dtype.kind == "f":
        bad = ~np.isfinite(x)
        if bad.any():
            at = _first(bad)
            return [
                f"{name} must be finite, but {_at(name, at)} is {x[at]} ({int(bad.sum())} such values); remove them"
            ]
    low, high = float(x.min()), float(x.max())
    top = 1 if x.dtype.kind == "f" else 255
    if low >= 0 and high <= top:
        return []
    at = _first((x < 0) | (x > top))
    if x.dtype.kind == "f" and low >= 0 and high <= 255:
        hint = f"divide by 255, or use {name}.astype('uint8')"
    else:
        hint = f"scale them; they range from {low:g} to {high:g}"
    return [f"{name} ({x.dtype}) must lie between 0 and {top}, but {_at(name, at)} is {x[at]}; {hint}"]


def _labels(name: str, y: Array) -> tuple[npt.NDArray[np.int32] | None, list[str]]:
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        hint = f"use {name}.argmax(axis=1)" if y.ndim == 2 else "give one label an image"
        return None, [f"{name} must have shape (n,), not {y.shape}; {hint}"]
    if y.dtype.kind not in "ui":
        return None, [f"{name} must hold integers, not {y.dtype}; use {name}.astype('int32') if they are whole numbers"]
    if not len(y):
        return None, [f"{name} is empty; give one label an image"]
    bad = (y < 0) | (y > np.iinfo(np.int32).max)
    if bad.any():
        at = _first(bad)
        return None, [
            f"{name} must hold classes counted from 0, but {_at(name, at)} is {y[at]}; number them 0 to k - 1"
        ]
    return y.astype(np.int32), []


def _lengths(part: str, arrays: Mapping[str, Array]) -> list[str]:
    x, y = arrays.get(f"x_{part}"), arrays.get(f"y_{part}")
    if x is None or y is None or not x.ndim or not y.ndim or len(x) == len(y):
        return []
    return [f"x_{part} and y_{part} must be of one length, but have {len(x)} images and {len(y)} labels; align them"]


def _same_form(x: Mapping[str, Array]) -> list[str]:
    problems = []
    for part in ("val", "test"):
        if "train" in x and part in x:
            ours, theirs = x["train"], x[part]
            if ours.shape[1:] != theirs.shape[1:]:
                problems.append(
                    f"images must have one shape, but x_train has {ours.shape[1:]} and x_{part} {theirs.shape[1:]}; "
                    "resize them"
                )
            if ours.dtype != theirs.dtype:
                problems.append(
                    f"x_train and x_{part} must both be integers or both floats; use the same scale for both"
                )
    return problems


def _classes(y: Mapping[str, npt.NDArray[np.int32]]) -> list[str]:
    if "train" not in y:
        return []
    present = np.unique(y["train"])
    if len(present) == 1:
        return [f"y_train holds one class only ({present[0]}); at least two are needed"]
    problems = []
    missing = np.setdiff1d(np.arange(min(int(present[-1]), len(present) + 1_000)), present)
    if len(missing):
        hint = (
            "subtract 1" if present[0] == 1 and len(present) == present[-1] else "number them 0 to k - 1, without gaps"
        )
        named = ", ".join(map(str, missing[:10])) + (" ..." if len(missing) > 10 else "")
        problems.append(
            f"y_train has no image of class {named}, though its labels go up to {present[-1]} "
            f"(first at index {int((y['train'] == present[-1]).argmax())}); {hint}"
        )
    for part in ("val", "test"):
        if part in y:
            bad = ~np.isin(y[part], present)
            if bad.any():
                at = _first(bad)
                problems.append(
                    f"y_{part}[{at[0]}] is {y[part][at]}, a class without an image in y_train "
                    f"({int(bad.sum())} such labels); remove them or add training images"
                )
    if "val" not in y and len(y["train"]) <= len(present):
        problems.append(
            f"{len(y['train'])} training images of {len(present)} classes leave none for validation; "
            "give more, or x_val and y_val"
        )
    return problems


def _class_names(given: Array | None, y: Mapping[str, Array], known: Known | None) -> tuple[tuple[str, ...], list[str]]:
    if "train" not in y:
        return (), []
    classes = len(np.unique(y["train"]))  # not the largest label, which may be any number until all checks have passed
    if known:
        wrong = [f"{known.name} has {known.classes} classes, not {classes}; name the right file"]
        return known.class_names, wrong if classes != known.classes else []
    if given is None:
        return tuple(map(str, range(classes))), []
    if given.shape != (classes,) or given.dtype.kind != "U" or not all(str(n).isprintable() and n for n in given):
        return (), [
            f"class_names must be {classes} printable strings, not {given.dtype} of shape {given.shape}; correct it"
        ]
    return tuple(map(str, given)), []


def _warnings(x: Mapping[str, Array], y: Mapping[str, Array], known: Known | None) -> list[str]:
    sentences = []
    absent = np.setdiff1d(y["train"], y["test"])
    if len(absent):
        sentences.append(f"The test set has no image of class {', '.join(map(str, absent[:10]))}.")
    if x["train"].dtype == np.uint8 and x["train"].max() <= 1:
        sentences.append("The integer pixels are 0 and 1 only; 0 to 255 is expected, so the images are almost black.")
    if known:
        published = (known.n_train + known.n_validation, known.n_test)
        counts = (len(x["train"]) + len(x.get("val", ())), len(x["test"]))
        if counts != published:
            sentences.append(
                f"This is not the whole of {known.name}: {counts[0]:,} training and {counts[1]:,} test images "
                f"instead of {published[0]:,} and {published[1]:,}."
            )
    return sentences
