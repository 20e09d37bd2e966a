"""The choice of `auto`: by how long steps take, and no longer than the choice needs."""

from types import SimpleNamespace

import pytest

from bench.training import backend, precision
from bench.workers.messages import Probed


class Clocked:
    """A framework whose steps take so many seconds of a clock that nothing else moves."""

    def __init__(self, monkeypatch, seconds, gpu=False):
        self.now, self.calls, self.images, self.on_gpu = 0.0, [], set(), lambda: gpu
        self._seconds = seconds
        monkeypatch.setattr(backend, "module", lambda: self)
        monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def training_step(self, dtype, images):
        self.images.add(images)

        def step():
            self.calls.append(dtype)
            self.now += self._seconds[dtype]

        return step


@pytest.mark.parametrize(
    ("float32", "bfloat16", "turns", "chosen"),
    [
        (0.010, 0.100, 2, "float32"),
        (0.300, 0.080, 2, "bfloat16"),
        (0.020, 0.040, 4, "float32"),
        (0.010, 0.008, 8, "bfloat16"),
        (0.010, 0.0095, 8, "float32"),
    ],
)
def test_turns_end_where_they_take_long(monkeypatch, float32, bfloat16, turns, chosen):
    framework = Clocked(monkeypatch, {"float32": float32, "bfloat16": bfloat16})
    found = precision.measure()
    assert found == pytest.approx((1e3 * float32, 1e3 * bfloat16))
    assert framework.calls == ["float32", "bfloat16"] * turns
    assert Probed(*found).precision == chosen


def test_one_stall_does_not_decide(monkeypatch):
    framework = Clocked(monkeypatch, {"float32": 0.003, "bfloat16": 0.5})
    step, stalled = framework.training_step, []

    def stalls_once(dtype, images):
        run = step(dtype, images)

        def once():
            run()
            if dtype == "bfloat16" and not stalled:
                stalled.append(True)
                framework._seconds["bfloat16"] = 0.001

        return once

    framework.training_step = stalls_once
    assert Probed(*precision.measure()).precision == "bfloat16"


@pytest.mark.parametrize(("gpu", "images"), [(False, 32), (True, 128)])
def test_a_card_gets_more_images(monkeypatch, gpu, images):
    framework = Clocked(monkeypatch, {"float32": 0.01, "bfloat16": 0.02}, gpu)
    precision.measure()
    assert framework.images == {images}


@pytest.mark.parametrize("images", [32, 128])
def test_the_step_of_the_framework_runs_in_both_precisions(images):
    pytest.importorskip("keras")
    for dtype in ("float32", "bfloat16"):
        total = backend.module().training_step(dtype, images)()
        assert total == total and total != 0
