"""A place of a Ray cluster, without the cluster: what it makes of a checkpoint."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

from bench.engines.station import PLACE, STATE, Site, Station
from bench.workers.messages import Decide, Job

CONFIG = {"number": 3, "params": {"epochs": 9}, "seed": 1, "rungs": [100, 300]}


def test_a_trial_that_goes_on_has_the_time_that_is_left_of_its_limit(tmp_path):
    (tmp_path / STATE).touch()
    (tmp_path / PLACE).write_text(json.dumps({"samples": 100, "seconds": 60.0}))
    sent, submitted = [], []
    station = Station.__new__(Station)  # its `setup` needs a cluster
    station._site = Site(
        tmp_path, Path("f.py"), (), tmp_path, Job(0, Path(), {}, 0, "float32"), "tensorflow", 50.0, 10.0
    )
    station._family, station._scratch = Path("f.py"), tmp_path / "scratch"
    station._scratch.mkdir()
    station._pool = SimpleNamespace(
        idle=[0], busy=[0], submit=lambda _, job: submitted.append(job), send=lambda _, decision: sent.append(decision)
    )
    station._take(CONFIG)
    station.load_checkpoint(str(tmp_path))
    station._start()
    assert (submitted[0].resume, submitted[0].rungs) == (True, (300,))
    station._watch()
    assert sent == [Decide(3, "stop", "timed out")]
    station._take(CONFIG)
    station._start()
    assert time.monotonic() - station._began < 1.0  # another trial has all of it
