"""The command line: which command runs, and the exit code it ends with. Heavy imports stay inside the commands."""

from __future__ import annotations

import argparse
import errno
import sys
from importlib import import_module

import bench
from bench.commands.common import say
from bench.commands.options import add_everywhere
from bench.commands.parser import Parser
from bench.errors import BenchError, Interrupted

# In the order of the help.
COMMANDS = ("search", "final", "leaderboard", "trials", "studies", "families", "datasets", "doctor", "fsck")

# The machine's faults rather than ours: no traceback for those.
ENVIRONMENT = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.EIO,
    errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
)  # fmt: skip

EXAMPLES = """examples:
  bench search cnn --trials 50          search, retrain the winner over 5 seeds, test once
  bench search all --dataset digits     every family, the same budget each
  bench leaderboard --markdown          the families compared
"""


def entry() -> None:
    """The console script."""
    sys.exit(main())


def parser() -> argparse.ArgumentParser:
    """The whole command line; each command's part stands in its module below `bench.commands`."""
    top = Parser(
        prog="bench",
        description="Search hyperparameters, retrain the winner over seeds, open the test set once, compare families.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"bench {bench.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"bench.commands.{name}")
        about = (module.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=about, description=about)
        add_everywhere(command)
        module.arguments(command)
        command.set_defaults(run=module.run)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or that of the error (see `bench.errors`)."""
    options = parser().parse_args(argv)
    try:
        options.run(options)
    except BenchError as error:
        say(f"bench: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has left; nothing to add
        return 0
    except OSError as error:
        if error.errno not in ENVIRONMENT:
            raise
        say(f"bench: {error.filename or 'a file'}: {error.strerror}. Nothing finished is lost.")
        return BenchError.exit_code
    return 0
