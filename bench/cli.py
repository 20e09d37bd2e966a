"""The command line: which command runs, and the exit code it ends with. Heavy imports stay inside the commands."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
import textwrap
from importlib import import_module

import bench
from bench.commands.common import say
from bench.commands.options import add_everywhere, warn_of_password
from bench.commands.parser import Parser
from bench.errors import BenchError, Interrupted

# In the order of the help.
COMMANDS = (
    *("search", "final", "leaderboard", "reproduce", "trials", "show", "mistakes", "claim", "studies", "families"),
    *("datasets", "plan", "peek", "compare-engines", "dashboard", "doctor", "fsck", "config", "completion"),
)

WIDTH = 78  # of what stands as it is in a help text

# The machine's faults rather than ours: no traceback for those.
ENVIRONMENT = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip

EXAMPLES = """
  bench search cnn --trials 50            search, retrain the winner, test once
  bench search all --dataset digits       every family, the same budget each
  bench leaderboard --markdown            the families compared
  bench search --help                     what a command takes, with examples

Any option of any command may also stand in the environment (BENCH_TRIALS=100)
or in bench.toml (trials = 100); see bench config --help.
"""


def entry() -> None:
    """The console script; where a shell asks what could be typed next, the answer."""
    if "_ARGCOMPLETE" in os.environ:
        from bench.commands.completers import complete

        complete(parser())
    sys.exit(main())


def parser() -> Parser:
    """The whole command line; each command's part stands in its module below `bench.commands`."""
    top = Parser(
        prog="bench",
        description="Search hyperparameters, retrain the winner over seeds, open the test set once,\ncompare families.",
        epilog=f"examples:{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bench {bench.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    top.commands = commands.choices
    for name in COMMANDS:
        module = import_module(f"bench.commands.{name.replace('-', '_')}")
        about, _, more = (module.__doc__ or "").rstrip().partition("\n")
        command = commands.add_parser(
            name,
            help=about,
            description=f"{textwrap.fill(about, WIDTH)}\n{more}",
            epilog=f"examples:{module.EXAMPLES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.commands = commands.choices
        add_everywhere(command)
        module.arguments(command)
        command.set_defaults(run=module.run)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or that of the error (see `bench.errors`)."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr has it: not every terminal knows every letter
    try:
        options = parser().parse_args(argv)
        warn_of_password(options)
        options.run(options)
        sys.stdout.flush()  # what cannot be written is said here, not by the interpreter's end
    except BenchError as error:
        say(f"bench: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:
        _leave_output()  # the reader of a pipe has left; nothing to add
        return 0
    except OSError as error:
        if error.errno not in ENVIRONMENT:
            raise
        _leave_output()
        say(f"bench: {error.filename or 'a file'}: {error.strerror}. Nothing finished is lost.")
        return BenchError.exit_code
    return 0


def _leave_output() -> None:
    """What could not be written is not tried again by the interpreter's end, which would say so in its own words."""
    with contextlib.suppress(OSError):  # a stdout that is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
