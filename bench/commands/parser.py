"""The parser of the command line: what it says of a wrong line names the nearest right value, and is inert."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from bench.errors import did_you_mean
from bench.inert import inert


class Parser(argparse.ArgumentParser):
    """Its sub-parsers are of this class too."""

    def error(self, message: str) -> NoReturn:
        super().error(inert(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = did_you_mean(str(value), known)
            raise argparse.ArgumentError(action, f"there is no {value!r}; choose from {', '.join(known)}.{near}")
