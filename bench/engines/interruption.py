"""Which of equally long runs are left in the middle and gone on with later, so that all workers are done together."""

from __future__ import annotations


def first_shares(runs: int, workers: int) -> list[float]:
    """The share of each run that is trained in its first part; 1 for one that is trained in one go.

    McNaughton's rule (1959, "Scheduling with Deadlines and Loss Functions"): lay the runs end to end and cut them into
    as many equal lengths as there are workers. Where a cut goes through a run, what is behind it is trained first, by
    one worker, and what is before it last, by another: never both at a time. In all it takes runs / workers runs.
    """
    shares = [1.0] * runs
    if runs > workers:
        for cut in range(1, workers):
            run, before = divmod(cut * runs, workers)
            if before:
                shares[run] = 1 - before / workers
    return shares
