"""The whole way with KERAS_BACKEND=jax: search, final, leaderboard, and the doctor. TensorFlow is not needed for it."""

import json
import subprocess
import sys

import pytest
from command_line import bench, document

from bench.data.sealed import Sealed
from bench.engines.fixed import Run, run_all
from bench.family import load
from bench.training import backend
from bench.workers.pool import Place, Pool

if backend.asked() != "jax":
    pytest.skip("these run with KERAS_BACKEND=jax", allow_module_level=True)

SEARCH = ("search", "mlp", "--dataset", "digits", "--trials", "4", "--seeds", "2", "--workers", "2")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    home = tmp_path_factory.mktemp("searched")
    return home, document(home, *SEARCH)


@pytest.mark.slow
def test_a_search_ends_in_a_final_that_is_ranked(searched):
    home, found = searched
    assert found["trials"]["failed"] == 0
    assert found["trials"]["total"] == 4
    assert found["final"]["test_accuracy"] > 0.9
    (row,) = document(home, "leaderboard", "--dataset", "digits")["rows"]
    assert row["test_accuracy"] == found["final"]["test_accuracy"]
    (manifest,) = home.glob("results/digits/mlp/*/manifest.json")
    versions = json.loads(manifest.read_bytes())["versions"]
    assert "jax" in versions
    assert "tensorflow" not in versions
    (serving,) = home.glob("results/digits/mlp/*/serving.json")
    assert json.loads(serving.read_bytes())["latency"][0]["seconds"] > 0


@pytest.mark.slow
def test_the_same_command_is_done_and_compiled_programs_are_kept_in_the_home(searched):
    home, found = searched
    assert document(home, *SEARCH)["final"] == found["final"]
    assert list((home / "compiled").iterdir())


@pytest.mark.slow
def test_a_study_of_jax_is_not_continued_with_another_framework(searched, monkeypatch):
    home, _ = searched
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    code = (
        "import sys\n"
        "from bench.training import backend\n"
        "backend.find_spec = lambda name: True\n"  # as if both were installed
        "from bench import cli\n"
        f"sys.exit(cli.main({[*SEARCH, '--home', str(home)]!r}))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert "KERAS_BACKEND" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_the_saved_model_loads_with_stock_keras(searched):
    import keras
    import numpy as np

    (path,) = searched[0].glob("results/digits/mlp/*/model.keras")
    model = keras.models.load_model(path, safe_mode=True)
    assert np.isfinite(np.asarray(model(np.zeros((1, *model.input_shape[1:]), np.float32)))).all()


def test_the_doctor_knows_what_trains(tmp_path):
    rows = {(row["part"], row["name"]): row for row in json.loads(bench(tmp_path, "doctor", "--json").stdout)["rows"]}
    assert rows["versions", "backend"]["said"].startswith("jax trains")
    assert rows["versions", "tensorflow"]["state"] == "ok"
    assert rows["devices", "worker"]["said"] == "starts, and jax trains on CPU"
    assert "ms in float32" in rows["devices", "precision"]["said"]


def test_retrainings_go_side_by_side_through_the_pool_and_end_as_one_by_one(digits, tmp_path):
    sealed = Sealed.load(digits.folder)
    family = load("mlp")
    config = {**family.reference, "epochs": 3}
    saved = {}
    for beside in (False, True):
        folder = tmp_path / f"beside-{beside}"
        runs = [Run(config, seed, seed, 0, True, folder / f"{seed}.keras") for seed in range(3)]
        events = []
        with Pool([Place(1)], sealed.folder, [], tmp_path / "logs") as pool:
            done = run_all(runs, family.source, "float32", pool, events.append, side_by_side=beside)
        assert [trial.number for trial in done] == [0, 1, 2]
        assert all(trial.state == "complete" and trial.curve for trial in done)
        saved[beside] = [weights_of(folder / f"{seed}.keras") for seed in range(3)]
    import numpy as np

    for one, other in zip(saved[False], saved[True], strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert not np.allclose(saved[True][0][0], saved[True][1][0])


def weights_of(path):
    import keras

    return keras.models.load_model(path, safe_mode=True, compile=False).get_weights()
