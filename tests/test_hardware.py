"""What a manifest says of the machine."""

import json
import os
from pathlib import Path

import psutil
import pytest

from bench import hardware
from bench.errors import UsageError
from bench.workers.devices import places


def test_the_machine_is_described_in_what_json_can_hold():
    found = hardware.described()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["cores"] <= len(os.sched_getaffinity(0))
    assert found["memory_bytes"] <= psutil.virtual_memory().total
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


def test_more_workers_than_the_gpus_have_places_are_refused_with_the_way_out(tmp_path, monkeypatch):
    answers(tmp_path, monkeypatch, "echo 0, GPU-a1; echo 1, GPU-b2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [place.gpu for place in places(3, None, 2)] == ["0", "1", "0"]
    with pytest.raises(UsageError, match="5 workers have no place on 2 GPUs with 2 each; give --per-gpu 3"):
        places(5, None, 2)


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        (None, ["0", "1", "2"]),
        ("", []),
        ("-1", []),
        ("2,0", ["2", "0"]),
        ("GPU-b", ["1"]),
        ("1,7,0", ["1"]),
        ("MIG-a1,MIG-c3", ["MIG-a1", "MIG-c3"]),
    ],
)
def test_of_the_drivers_gpus_those_count_that_the_environment_leaves(tmp_path, monkeypatch, visible, left):
    answers(tmp_path, monkeypatch, "echo 0, GPU-a1; echo 1, GPU-b2; echo 2, GPU-c3")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [place.gpu for place in places(None, None, 1)] == (left or [None] * len(places(None, [], 1)))
    if visible == "2,0":
        with pytest.raises(UsageError, match="No GPU 1 here; the driver lists 2, 0 within CUDA_VISIBLE_DEVICES=2,0"):
            places(None, ["1"], 1)


def test_a_containers_limits_are_this_machines(tmp_path):
    whole = hardware.memory(tmp_path)
    assert (hardware.cores(tmp_path), whole) == (len(os.sched_getaffinity(0)), psutil.virtual_memory().total)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (hardware.cores(tmp_path), hardware.memory(tmp_path)) == (len(os.sched_getaffinity(0)), whole)
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("3000000000\n")
    assert (hardware.cores(tmp_path), hardware.memory(tmp_path)) == (1, 3_000_000_000)


def test_the_limits_of_a_group_and_of_those_around_it_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "_own_group", lambda: Path("job/step"))
    for group, most in (("job/step", 4_000_000_000), ("job", 3_000_000_000)):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / "memory.max").write_text(f"{most}\n")
    assert hardware.memory(tmp_path) == 3_000_000_000


def test_so_are_those_of_the_first_version(tmp_path):
    for name, said in (("cpu/cpu.cfs_quota_us", -1), ("cpu/cpu.cfs_period_us", 100_000)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{said}\n")
    assert hardware.cores(tmp_path) == len(os.sched_getaffinity(0))
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("150000\n")
    assert hardware.cores(tmp_path) == 1
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert hardware.memory(tmp_path) == psutil.virtual_memory().total
    (tmp_path / "memory/memory.limit_in_bytes").write_text("2000000000\n")
    assert hardware.memory(tmp_path) == 2_000_000_000


def test_what_is_no_index_is_no_gpu(tmp_path, monkeypatch):
    answers(tmp_path, monkeypatch, "echo No devices were found")
    assert all(place.gpu is None for place in places(None, None, 1))
