"""A model family: a name, a search space, a function that builds a model; one file, found without editing a list.

Where a name is looked up, first hit wins: a path on the command line, `./search_spaces`, the entry-point group
`bench.families`, the built-in ones.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.errors import FamilyError, InputError, SealError, SpaceError, UnknownFamily, did_you_mean
from bench.files import slug
from bench.space import Config, SearchSpace, Value

Build = Callable[[Config, tuple[int, int, int], int], Any]


@dataclass(frozen=True)
class Family:
    """What one file in `search_spaces/` defines as `FAMILY`, or what `bench.search` is given.

    Args:
        name: the file's stem; letters, digits, '.', '_' and '-'.
        space: the parameters that are searched.
        build: (config, (height, width, channels), classes) -> an uncompiled Keras model. Its input is float, shape
            (n, height, width, channels), in [0, 1]; its output is logits, shape (n, classes).
        reference: the configuration that is always trial 0, or None for the sampler's own first one.
        source: the file it was read from; filled in by `load`.
        about: the first line of that file's docstring; filled in by `load`.
        loaded: the `build` that the file defines; filled in by `load`.
        code: SHA-256 (hex) of that file and of those beside it that it imports; filled in by `load`.

    Raises:
        FamilyError: the name is not fit for a file name.
        SpaceError: the reference does not lie in the space.
    """

    name: str
    space: SearchSpace
    build: Build
    reference: Mapping[str, Value] | None = None
    source: Path | None = field(default=None, compare=False)
    about: str = ""
    loaded: Build | None = field(default=None, compare=False, repr=False)
    code: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.name != slug(self.name):
            raise FamilyError(
                "A family's name is letters, digits, '.', '_' and '-', at most 80 and not '.' or '-' at the ends; "
                f"{self.name!r} is not. Call it {slug(self.name)!r}."
            )
        if self.reference is not None:
            problems = self.space.problems_of(self.reference)
            if problems:
                raise SpaceError(f"The reference configuration of family {self.name!r} is not usable:", problems)

    def overridden(self, space: SearchSpace) -> Family:
        """This family on a changed space; the reference moves as `SearchSpace.nearest` says."""
        if self.reference is None:
            return replace(self, space=space)
        return replace(self, space=space, reference=space.nearest(self.reference))


def discover(directory: Path | None = None) -> dict[str, Path]:
    """Every family that can be named -> its file. Nothing is imported.

    Args:
        directory: where `search_spaces` is looked for; the working directory when left out.
    """
    found: dict[str, Path] = {}
    for folder in _folders(directory):
        for path in sorted(folder.glob("*.py")):
            if path.name[0] not in "._" and path.is_file():  # editors leave hidden ones, and links to nowhere
                found.setdefault(path.stem, path)
    return found


def load(name: str, directory: Path | None = None) -> Family:
    """The family of that name, or in the file at that path.

    Raises:
        UnknownFamily: no such file; the message names the nearest families.
        FamilyError: the file does not run, or defines no usable FAMILY.
        SpaceError: its space or reference is wrong.
    """
    if name.endswith(".py") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UnknownFamily(f"No family file at {name!r}. Give the path of a Python file that defines FAMILY.")
        return load_file(path)
    known = discover(directory)
    if name not in known:
        raise UnknownFamily(
            f"No family named {name!r}.{did_you_mean(name, known)} Known: {', '.join(sorted(known))}. "
            f"Add search_spaces/{name}.py to create one."
        )
    return load_file(known[name])


def load_file(path: Path) -> Family:
    """Import one family file under a name of its own and check what it defines."""
    path = path.resolve()
    module_name = f"bench_family_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise FamilyError(f"{path} is not a Python file; a family stands in a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        code = fingerprint_of(path)
    except OSError as error:
        raise FamilyError(f"{path} cannot be read: {error.strerror or error}. Make it readable.") from error
    sys.modules[module_name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for the document of --json
            spec.loader.exec_module(module)
    except SealError:
        raise
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from error
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise FamilyError(f"{path}{where}: {error.msg}. Mend it and try again.") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a file that calls sys.exit() must not end the search as if it were done
        raise FamilyError(f"{line_of(error, path)}: {in_a_line(error)}. Mend the line and try again.") from error
    family = getattr(module, "FAMILY", None)
    if not isinstance(family, Family):
        raise FamilyError(f"{path} must define FAMILY = Family(name, space, build); found {family!r}.")
    if family.name != path.stem:
        raise FamilyError(
            f"{path} defines family {family.name!r}; a family has its file's name, {path.stem!r}. Rename one."
        )
    if not callable(family.build):
        raise FamilyError(f"{path}: build must be a function of (config, image_shape, classes), not {family.build!r}.")
    about = (module.__doc__ or "").strip().splitlines()
    return replace(family, source=path, about=about[0] if about else "", loaded=family.build, code=code)


def fingerprint_of(path: Path) -> str:
    """SHA-256 (hex) of a Python file and of the files beside it that it imports, and those in turn."""
    digest = hashlib.sha256()
    for text in texts_of(path).values():
        digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()


def texts_of(path: Path) -> dict[Path, bytes]:
    """A Python file and the files beside it that it imports, and those in turn -> what stands in each."""
    found, left = {path: b""}, [path]
    while left:
        file = left.pop(0)
        found[file] = file.read_bytes()
        beside = {one for name in _imported(found[file]) if (one := path.with_name(f"{name}.py")).is_file()}
        left += (new := sorted(beside - found.keys()))
        found.update(dict.fromkeys(new, b""))
    return found


def _imported(text: bytes) -> set[str]:
    """Every part of every name that a file imports."""
    names: set[str] = set()
    with contextlib.suppress(SyntaxError, ValueError):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                dotted = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                names |= {part for name in dotted for part in name.split(".")}
    return names


def line_of(error: BaseException, path: Path) -> str:
    """The family's file, with the last of its lines that an error went through where it did."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    line = next((frame.lineno for frame in frames if frame.filename == str(path)), None)
    return f"{path}, line {line}" if line else str(path)


def in_a_line(error: BaseException) -> str:
    """An error's kind and what it says; of a long story the first line, of a list of problems all."""
    if isinstance(error, InputError):
        return " ".join((str(error).splitlines()[0], "; ".join(error.problems))).strip()
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def _folders(directory: Path | None) -> list[Path]:
    folders = [(directory or Path.cwd()) / "search_spaces"]
    for point in entry_points(group="bench.families"):
        spec = importlib.util.find_spec(point.value.split(":")[0])
        if spec is not None:
            folders += [Path(location) for location in spec.submodule_search_locations or ()]
    builtin = importlib.util.find_spec("search_spaces")
    if builtin is not None:
        folders += [Path(location) for location in builtin.submodule_search_locations or ()]
    return [folder for folder in folders if folder.is_dir()]
