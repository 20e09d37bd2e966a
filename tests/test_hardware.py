"""What a manifest says of the machine."""

import json
import os

import psutil

from bench import hardware


def test_the_machine_is_described_in_what_json_can_hold():
    found = hardware.described()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["memory_bytes"] == psutil.virtual_memory().total
    assert found["processor"]
