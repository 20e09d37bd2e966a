"""What a worker keeps of a run, without any training."""

import math
from pathlib import Path
from types import SimpleNamespace

from bench.workers.messages import Job
from bench.workers.training import Training


def test_losses_of_a_run_that_diverged_beside_others_are_not_kept():
    """Records are JSON, which has no such numbers; the others go on, and so does it."""
    worker = SimpleNamespace(stop_asked=False, send=lambda message: None)
    run = Training(worker, Job(0, Path(), {}, 0, "float32"), 0.0)
    for samples, loss in ((10, 0.5), (20, math.nan), (30, math.inf)):
        run._progress(samples, loss)
    assert run.done("complete").losses == ((10, 0.5),)
