"""How a family reaches the processes that build its models: as the path of its file, or pickled where it has none.

Pickle goes over a pipe to a process that bench itself started, and is never written to a file.
"""

from __future__ import annotations

import base64
import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import FamilyError
from bench.family import Family, load_file

MOST_BYTES = 1_000_000  # what a function refers to travels with it; a data set, or its test images, should not
MOST_NUMBERS = 1_000  # of one array: weights of classes do, labels of a test set do not


@dataclass(frozen=True)
class Pickled:
    """A family by value.

    Attributes:
        content: what cloudpickle made of the family and of the layers that were registered with Keras beside it.
        path: where the modules that it refers to are imported from, as in `sys.path`.
    """

    content: bytes
    path: tuple[str, ...]


Carried = Path | Pickled


def pack(family: Family) -> Carried:
    """The family's file, if its `build` is what that file defines; else the family itself.

    A function of a script, a notebook or a prompt goes by value, so that no script runs a second time.

    Raises:
        FamilyError: `build` refers to something that cannot be sent, or that is larger than MOST_BYTES, or to an array
            that may be data.
    """
    if family.source is not None and family.loaded is family.build:
        return family.source

    try:
        with _by_value(family.build):
            content = _pickled(family)
    except FamilyError:
        raise
    except Exception as error:
        raise FamilyError(
            f"Family {family.name!r} cannot be sent to the workers: {type(error).__name__}: {error}. Let build make "
            "what it needs itself, or put the family into a file of its own."
        ) from error
    if len(content) > MOST_BYTES:
        raise FamilyError(
            f"Family {family.name!r} takes {len(content) / 1e6:,.0f} MB with all that its build refers to, at most "
            f"{MOST_BYTES / 1e6:,.0f} MB can be sent. Let build refer to no arrays or models from outside."
        )
    return Pickled(content, tuple(str(Path(entry).resolve()) for entry in sys.path))


def _pickled(family: Family) -> bytes:
    import cloudpickle
    import numpy as np

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle carries no types
        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, np.ndarray) and thing.size > MOST_NUMBERS:
                raise FamilyError(
                    f"The build of family {family.name!r} refers to an array of {thing.size:,} numbers from outside "
                    f"(shape {thing.shape}); at most {MOST_NUMBERS:,} travel with it, so that no images or labels do. "
                    "Let build make what it needs itself."
                )
            return super().reducer_override(thing)

    content = io.BytesIO()
    Pickler(content).dump((family, _registered()))
    return content.getvalue()


def unpack(carried: Carried) -> Family:
    """The family again, in another process.

    Raises:
        FamilyError: its file does not load, or what it refers to cannot be imported here.
    """
    if isinstance(carried, Path):
        return load_file(carried)
    import pickle

    sys.path += [entry for entry in carried.path if entry not in sys.path]
    try:
        family, registered = pickle.loads(carried.content)
        for name, thing in registered.items():
            _register(name, thing)
    except Exception as error:
        raise FamilyError(
            f"The family cannot be read in another process: {type(error).__name__}: {error}. Put it into a file of its "
            "own and give that file's path."
        ) from error
    return family  # type: ignore[no-any-return]


def to_json(carried: Carried) -> dict[str, Any]:
    """For a ticket that is JSON."""
    if isinstance(carried, Path):
        return {"file": str(carried)}
    return {"pickled": base64.b64encode(carried.content).decode(), "path": list(carried.path)}


def from_json(document: dict[str, Any]) -> Carried:
    if "file" in document:
        return Path(document["file"])
    return Pickled(base64.b64decode(document["pickled"]), tuple(document["path"]))


@contextlib.contextmanager
def _by_value(build: Any) -> Iterator[None]:
    """While entered, cloudpickle takes what the modules of families define by value, as it does for `__main__`.

    Those are the module that `build` stands in, which may have changed since it was imported, and the files that were
    loaded as families, which have no name to import them by.
    """
    import cloudpickle

    while isinstance(build, partial) or hasattr(build, "__wrapped__"):
        build = build.func if isinstance(build, partial) else build.__wrapped__
    own = getattr(build, "__module__", type(build).__module__) or ""
    wanted = [name for name in sys.modules if name == own or name.startswith("bench_family_")]
    modules = [sys.modules[name] for name in wanted if name != "__main__" and not name.startswith("search_spaces.")]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def _registered() -> dict[str, Any]:
    """Registered name -> layer or function that Keras was told of, as far as no import would bring it."""
    if "keras" not in sys.modules:
        return {}
    import cloudpickle
    import keras

    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    known: dict[str, Any] = keras.saving.get_custom_objects()
    return {name: thing for name, thing in known.items() if getattr(thing, "__module__", None) in by_value}


def _register(name: str, thing: Any) -> None:
    import keras

    package, mark, short = name.partition(">")
    if mark:
        keras.saving.register_keras_serializable(package, short)(thing)
    else:
        keras.saving.get_custom_objects()[name] = thing
