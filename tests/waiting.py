"""Waiting for what another process does."""

import time


def wait_for(condition, seconds=400):
    """What `condition()` gives once that is true; fails when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s")
