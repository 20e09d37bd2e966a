"""What befell a trial of Ray Tune whose actor can no longer say so itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.workers.messages import Lost


def why(trial: Any) -> tuple[Lost, BaseException | None]:
    """What to record of a trial whose actor failed, and the error that ends the search, if it is not the trial's."""
    from ray import cloudpickle
    from ray.exceptions import RayActorError, RayTaskError

    path = trial.pickled_error_file  # where Tune has it now; `get_error` looks where it is copied to later
    error = cloudpickle.loads(Path(path).read_bytes()) if path else None
    if isinstance(error, RayTaskError):
        cause = error.cause
        return Lost("crashed", str(cause)), cause if isinstance(cause, BenchError) else BenchError(
            f"A Ray actor failed: {type(cause).__name__}: {cause}"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0].rstrip(".:") if lines else "it ended"
    if "creation task" in said:  # the error that ended it comes last, below the tracebacks
        said = f"it could not start: {lines[-1]}"
    where = f" at {error.node_ip}" if isinstance(error, RayActorError) and getattr(error, "node_ip", None) else ""
    return Lost("killed", f"a Ray actor{where} was lost: {said}"), None
