"""A home in which a family without a file was searched and tested, on real digits."""

import pytest

import bench

SPACE = bench.SearchSpace({"width": bench.Int(8, 32), "epochs": bench.Int(1, 3)})


def build(config, image_shape, classes):
    import keras

    inputs = keras.Input(image_shape)
    x = keras.layers.Dense(config["width"], activation="relu")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


@pytest.fixture(scope="session")
def family():
    return bench.Family("small", SPACE, build, reference={"width": 16, "epochs": 2})


@pytest.fixture(scope="session")
def options(tmp_path_factory):
    """Of a short search in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    return {"trials": 4, "dataset": "digits", "home": home, "seeds": 2, "workers": 2, "quiet": True}


@pytest.fixture(scope="session")
def result(family, options):
    return bench.search(family, **options)
