"""What every rival stands on: the task it is told, bench's split and space, one clock, and one line a result.

A rival is a process of its own. It is told a task as its only argument, and prints one JSON object a line; the last has
`best`, its winner by its own account. All seconds are counted from before its interpreter started.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.data.arrays import Arrays, open_arrays
from bench.data.sealed import Sealed
from bench.engines.interface import seed_of
from bench.family import Family, load
from bench.space import Config, Value


@dataclass(frozen=True)
class Task:
    """What a rival is to do.

    Args:
        folder: the sealed data set's; training and validation images are read from it, and nothing else is.
        began: `time.monotonic()` before the process was started. The clock is the machine's, the same for all of them.
        precision: 'float32' or 'bfloat16' (Keras's mixed_bfloat16).
        tuned: as an expert would write it, and not as the documentation teaches it.
        fixed: parameters that are not searched, as `--set` has them.
        configs: train these, in this order and to their ends, and search nothing.
        longest: the most epochs that the space allows.
        epochs_in_all: where a search is ended by what it trained.
    """

    folder: str
    family: str
    began: float
    seed: int = 0
    trials: int = 50
    precision: str = "float32"
    tuned: bool = False
    fixed: Mapping[str, Value] = field(default_factory=dict)
    configs: Sequence[Config] | None = None
    longest: int = 1
    epochs_in_all: int = 120

    @classmethod
    def of(cls, text: str) -> Task:
        """The task that `to_json` wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def open(self) -> Arrays:
        return open_arrays(Sealed.load(Path(self.folder)))

    def searched(self) -> Family:
        """The family on the space that is searched, the very one that bench would search."""
        family = load(self.family)
        return family.overridden(family.space.override(self.fixed)) if self.fixed else family

    def known(self) -> list[Config]:
        """What an expert would try first: the reference configuration, if the rival is tuned."""
        reference = self.searched().reference
        return [dict(reference)] if self.tuned and reference else []

    def seed_for(self, number: int) -> int:
        """What bench would train trial `number` with."""
        return seed_of(self.seed, number, "train")


class Voice:
    """Prints what was found, each with the seconds since the process began.

    Standard output is kept for that: what libraries print goes to standard error from here on.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        sys.stdout.flush()
        self._out = os.dup(1)  # no file object, for Ray pickles what it is given
        os.dup2(2, 1)

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def say(self, **found: Any) -> float:
        seconds = self.seconds()
        os.write(self._out, (json.dumps({"seconds": round(seconds, 3), **found}) + "\n").encode())
        return seconds
