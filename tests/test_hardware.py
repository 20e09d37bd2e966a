"""What a manifest says of the machine."""

import json
import os

import psutil
import pytest

from bench import hardware
from bench.workers.devices import places


def test_the_machine_is_described_in_what_json_can_hold():
    found = hardware.described()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["memory_bytes"] == psutil.virtual_memory().total
    assert found["processor"]


def answers(folder, monkeypatch, script):
    """A driver's tool that does this; no driver can be made to hang."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_gpus_are_those_that_the_driver_lists(tmp_path, monkeypatch):
    answers(tmp_path, monkeypatch, 'echo " first $1"; echo second')
    assert hardware.listed_gpus("name") == ["first --query-gpu=name", "second"]


@pytest.mark.parametrize("script", ["echo broken; exit 9", "exec sleep 60", "exec /no/such/thing"])
def test_a_driver_that_fails_or_hangs_lists_none(tmp_path, monkeypatch, script):
    monkeypatch.setattr(hardware, "ANSWER_SECONDS", 0.5)
    answers(tmp_path, monkeypatch, script)
    assert hardware.listed_gpus("name") == []


def test_a_tool_that_cannot_run_is_named_with_what_to_do(tmp_path, monkeypatch, capsys):
    answers(tmp_path, monkeypatch, "")
    (tmp_path / "nvidia-smi").write_bytes(b"\x7f no program")
    assert hardware.listed_gpus("name") == []
    assert f"Run {tmp_path / 'nvidia-smi'} by hand" in capsys.readouterr().err


def test_what_is_no_index_is_no_gpu(tmp_path, monkeypatch):
    answers(tmp_path, monkeypatch, "echo No devices were found")
    assert all(place.gpu is None for place in places(None, None, 1))
