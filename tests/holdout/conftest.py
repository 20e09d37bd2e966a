import shutil

import pytest
from homes import bench


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("made")
    options = ["--dataset", "digits", "--trials", "2", "--seeds", "2", "--workers", "1", "--range", "epochs=1:12"]
    run = bench(home, "search", "mlp", *options)
    assert run.returncode == 0, run.stderr
    return home


@pytest.fixture
def home(made, tmp_path):
    """A copy of a home in which `mlp` was searched and tested on the digits, to be damaged."""
    return shutil.copytree(made, tmp_path / "home")


@pytest.fixture
def no_network_and_empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
