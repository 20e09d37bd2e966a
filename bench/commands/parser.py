"""argparse with this project's habits: one line for an error, the nearest name, no abbreviations, and options that may
also stand in the environment or in a file (see `bench.commands.settings`).
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NoReturn

from bench.commands import settings
from bench.errors import UsageError, did_you_mean
from bench.urls import without_passwords


class Parser(argparse.ArgumentParser):
    """The whole command line, or one command of it.

    Attributes:
        commands: every command's parser by name; of a command its siblings, itself among them.

    Raises:
        UsageError: in place of argparse's own exit.
    """

    commands: Mapping[str, Parser]

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**{**keywords, "allow_abbrev": False})
        self.commands = {}

    @cached_property
    def shape(self) -> argparse._MutuallyExclusiveGroup:
        """For options that say how the result is printed: --json, and whatever else the command can print."""
        return self.add_mutually_exclusive_group()

    @property
    def name(self) -> str:
        """The command's name, without 'bench'."""
        return self.prog.partition(" ")[2]

    def options(self) -> dict[str, argparse.Action]:
        """Long name without dashes -> what argparse knows of it; --help and --version are no options in this sense."""
        found = {}
        for action in self._actions:
            long = next((text[2:] for text in action.option_strings if text.startswith("--")), None)
            if long and action.dest not in ("help", "version"):
                found[long] = action
        return found

    def exclusive(self) -> Iterator[list[str]]:
        """Destinations of options that exclude each other, a group at a time."""
        for group in self._mutually_exclusive_groups:
            yield [action.dest for action in group._group_actions]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, but what nobody knows is an error here, and what no flag says comes from elsewhere."""
        if self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        completing = "_ARGCOMPLETE" in os.environ  # of a line that is not finished
        if not completing:
            self._check_names(args)
        options = self.options().values()
        declared = [(action, action.default) for action in options]
        for action in options:
            action.default = argparse.SUPPRESS  # what is in the namespace afterwards was typed
        try:
            found, extras = super().parse_known_args(self._options_first(args), namespace)
        finally:
            for action, default in declared:
                action.default = default
        if completing:
            return found, extras
        if extras:
            self.error(f"there is no place for {extras[0]!r}; quote a value that holds spaces")
        settings.fill(self, found)
        return found, []

    def _options_first(self, args: Sequence[str]) -> Sequence[str]:
        """The same with names behind the options they were typed around: argparse takes names only at one place."""
        options: list[str] = []
        names: list[str] = []
        rest = list(args)
        while rest:
            text = rest.pop(0)
            action = self._option_string_actions.get(text.partition("=")[0])
            if text == "--" or self._takes_the_rest:
                return [*options, *names, text, *rest]
            if action is None:
                names.append(text)
                continue
            options.append(text)
            if action.nargs is None and "=" not in text:
                if not rest:
                    return args  # its value is missing, or being typed
                options.append(rest.pop(0))
        return [*options, *names]

    @property
    def _takes_the_rest(self) -> bool:
        return any(action.nargs == argparse.REMAINDER for action in self._actions)

    def _check_names(self, args: Sequence[str]) -> None:
        """Before argparse complains of something else that follows from a misspelt option."""
        if self._takes_the_rest:
            return
        for text in args:
            if text == "--":
                return
            name = text.partition("=")[0]
            if name.startswith("--") and " " not in name and name not in self._option_string_actions:
                self.error(f"there is no option {name}.{did_you_mean(name, self._option_string_actions)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = list(map(str, action.choices))
        what = "command" if isinstance(action, argparse._SubParsersAction) else "value"
        listed = f"Known: {', '.join(known)}"
        raise argparse.ArgumentError(
            None if what == "command" else action,
            f"there is no {what} {value!r}.{did_you_mean(str(value), known)} {listed}",
        )

    def converted(self, action: argparse.Action, text: str) -> Any:
        """A value as a flag would have it.

        Raises:
            argparse.ArgumentError: it is none; the message says the rule.
        """
        value = self._get_value(action, text)
        self._check_value(action, value)
        return value

    def error(self, message: str) -> NoReturn:
        """One line: what is wrong, and where to look."""
        said = without_passwords(re.sub(r"^argument ", "", message))
        line = "".join(character if character.isprintable() else " " for character in said)
        raise UsageError(f"{line}{'' if line.endswith(('.', '?')) else '.'} See {self.prog} --help.")
