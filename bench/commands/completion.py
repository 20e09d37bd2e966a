"""A script that lets a shell complete commands, options and their values."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "fish")

EXAMPLES = """
  eval "$(bench completion bash)"         in ~/.bashrc
  eval "$(bench completion zsh)"          in ~/.zshrc, after compinit
  bench completion fish > ~/.config/fish/completions/bench.fish
"""


def arguments(completion: argparse.ArgumentParser) -> None:
    completion.add_argument("shell", choices=SHELLS, help="whose script is printed")


def run(options: argparse.Namespace) -> None:
    from argcomplete.shell_integration import shellcode

    # Without defaults: where bench knows that no file fits, the shell shall not offer one.
    print(shellcode(["bench"], use_defaults=False, shell=options.shell))
