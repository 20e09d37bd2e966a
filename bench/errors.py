"""Every error that bench raises on purpose, and the exit code each one ends with.

BenchError                       1
├── UsageError                   2   the command line asks for something that does not exist or does not fit
│   ├── UnknownFamily
│   ├── UnknownDataset
│   ├── FrozenStudy              a study exists with other settings
│   └── MissingPackage           an optional package is needed; the message holds its pip line
├── InputError                   3   something that was read is wrong
│   ├── DataError                a data set; all its problems at once
│   ├── SpaceError               a search space or a configuration; all its problems at once
│   ├── FamilyError              a family file, or the model it builds
│   ├── SealError                the sealed data changed, or something tried to open what is sealed
│   └── RecordError              a stored result, manifest or ledger that does not read back
├── ShapeError                   3   arrays that do not fit each other
├── NoTrialSucceeded             4
├── StudyLocked                 75   a live process holds the study
└── Interrupted                130
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class BenchError(Exception):
    """Base of all deliberate errors. `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(BenchError):
    exit_code = 2


class UnknownFamily(UsageError):
    pass


class UnknownDataset(UsageError):
    pass


class FrozenStudy(UsageError):
    pass


class MissingPackage(UsageError):
    pass


class InputError(BenchError):
    """Bad input. Carries every problem found, and prints them one a line.

    Args:
        message: what was read, in one line.
        problems: one sentence each: the rule, the value seen, the next step.
    """

    exit_code = 3

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in self.problems)]))


class DataError(InputError):
    pass


class SpaceError(InputError):
    pass


class FamilyError(InputError):
    pass


class SealError(InputError):
    pass


class RecordError(InputError):
    pass


class ShapeError(InputError):
    pass


class NoTrialSucceeded(BenchError):
    exit_code = 4


class StudyLocked(BenchError):
    exit_code = 75


class Interrupted(BenchError):
    exit_code = 130


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for the nearest known names, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""
