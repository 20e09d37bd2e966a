"""Waiting for what another process does."""

import time

from bench.store import Store


def wait_for(condition, seconds=400):
    """What `condition()` gives once that is true; fails when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")


def wait_for_trials(home, count, study="digits-mlp"):
    """The finished trials of a study, once there are `count` of them."""

    def finished():
        if not (home / "bench.db").exists():
            return None
        store = Store(home)
        try:
            trials = store.trials(study) if study in store.studies() else []
        finally:
            store.close()
        over = [trial for trial in trials if trial.state != "running"]
        return over if len(over) >= count else None

    return wait_for(finished, 90)
