"""The command line: which command runs, and the exit code it ends with. Heavy imports stay inside the commands."""

from __future__ import annotations

import sys

from bench.commands import look, run
from bench.commands.arguments import parser
from bench.errors import BenchError, Interrupted

COMMANDS = {
    "search": run.search_command,
    "final": run.final_command,
    "leaderboard": look.leaderboard_command,
    "trials": look.trials_command,
    "studies": look.studies_command,
    "families": look.families_command,
    "datasets": look.datasets_command,
}


def entry() -> None:
    """The console script."""
    sys.exit(main())


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or that of the error (see `bench.errors`)."""
    options = parser().parse_args(argv)
    try:
        COMMANDS[options.command](options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return Interrupted.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has left; nothing to add
        return 0
    return 0
