"""What is measured of a finished model. How long it takes is not tested."""

import keras
import pytest

from bench.training.serving import BATCHES, FEWEST, measure


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_latency_of_one_image_and_of_a_batch_with_device_threads_and_size(tmp_path, policy):
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Dense(4, dtype=policy)(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(hidden))
    path = tmp_path / "model.keras"
    model.save(path)
    found = measure(model, path)
    assert (found["schema"], found["device"], found["model_bytes"]) == (1, "CPU", path.stat().st_size)
    assert found["threads"] >= 1
    assert [entry["images"] for entry in found["latency"]] == list(BATCHES)
    for entry in found["latency"]:
        assert entry["seconds"] > 0
        assert entry["passes"] >= FEWEST
