"""Where data sets come from: named ones on disk and on the net, and files that are not to be trusted."""

import dataclasses
import functools
import gzip
import http.server
import io
import os
import pickle
import shutil
import struct
import tarfile
import threading
import time

import numpy as np
import pytest

from bench.data.catalog import FASHION_FILES, FOLDER_FILES, KNOWN, Download, source_of
from bench.data.sealed import find
from bench.errors import DataError, UnknownDataset, UsageError
from bench.files import sha256
from bench.holdout import sources
from bench.holdout.seal import ensure, seal
from tests.holdout.tiny import tiny

pytestmark = pytest.mark.usefixtures("no_network_and_empty_caches")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_mnist_is_sealed_with_fifty_thousand_training_images(home, mnist_dir):
    sealed = ensure(home, None, mnist_dir, say=pytest.fail)
    assert (sealed.name, sealed.n_train, sealed.n_validation, sealed.n_test) == ("mnist", 50_000, 10_000, 10_000)
    assert (sealed.overlap, sealed.warnings, sealed.dtype) == (0, (), "uint8")


def test_without_mnist_and_without_a_network_one_line_is_said_and_digits_are_used(home):
    said = []
    sealed = ensure(home, None, None, said.append)
    assert sealed.name == "digits"
    assert len(said) == 1 and said[0].startswith("MNIST is not on disk and cannot be fetched, so the built-in digits")


@pytest.mark.parametrize("name", ["mnist", "cifar10", "fashion_mnist"])
def test_a_data_set_that_is_named_never_falls_back(home, tmp_path, name):
    began = time.monotonic()
    with pytest.raises(DataError, match=f"{name} is not on disk and could not be fetched") as caught:
        ensure(home, name, tmp_path, say=pytest.fail)
    assert time.monotonic() - began < 30
    looked, reason, fetch, _ = caught.value.problems
    assert str(tmp_path / KNOWN[name].places[0]) in looked and str(tmp_path / "keras") in looked
    assert reason.endswith("the proxy cannot be reached")
    assert "--data-dir" in fetch


@pytest.fixture
def served(tmp_path, monkeypatch):
    """mnist comes from a server on this machine; yields the file that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "mnist.npz").write_bytes(b"images" * 200_000)
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        url = f"http://127.0.0.1:{server.server_port}/mnist.npz"
        download = Download(url, sha256(folder / "mnist.npz"), "mnist.npz")
        monkeypatch.setitem(KNOWN, "mnist", dataclasses.replace(KNOWN["mnist"], downloads=(download,)))
        yield folder / "mnist.npz"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_download_is_checked_kept_and_found_again(served, tmp_path, capsys):
    source = sources.fetch("mnist", tmp_path)
    assert source.kind == "download" and source.size == 1_200_000
    assert source_of("mnist", tmp_path) == source
    out, err = capsys.readouterr()
    assert out == "" and "fetching mnist.npz: " in err and "fetched mnist.npz in 0 s" in err


def test_a_download_that_is_not_the_published_file_is_refused_and_not_kept(served, tmp_path):
    served.write_bytes(b"something else")
    with pytest.raises(DataError, match="is not the published one"):
        sources.fetch("mnist", tmp_path)
    assert source_of("mnist", tmp_path) is None


def test_a_host_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(sources, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr("pooch.HTTPDownloader", lambda **_: lambda *_, **__: time.sleep(30))
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 seconds"):
        sources._check_reachable("https://example.org/x")


def test_a_bad_mnist_on_disk_is_an_error_and_no_reason_to_fall_back(home, tmp_path):
    tiny(tmp_path / "mnist.npz")
    with pytest.raises(DataError, match="mnist has images of shape"):
        ensure(home, None, tmp_path, say=pytest.fail)


def test_unknown_names_and_folders_are_usage_errors(home, tmp_path):
    with pytest.raises(UnknownDataset, match="Did you mean digits"):
        ensure(home, "digit", None)
    with pytest.raises(UsageError, match="does not exist"):
        ensure(home, "mnist", tmp_path / "nowhere")


def test_a_named_data_set_whose_source_is_gone_is_found_by_its_sealed_copy(home, tmp_path):
    y = np.arange(60) % 10
    x = np.random.RandomState(0).randint(0, 256, (60, 28, 28)).astype(np.uint8)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    np.savez(data_dir / "mnist.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    sealed = seal(home, "mnist", data_dir)
    assert find(home, "mnist", None) == sealed
    (data_dir / "mnist.npz").write_bytes(b"changed")
    assert find(home, "mnist", None) is None
    shutil.rmtree(data_dir)
    assert find(home, "mnist", None) == sealed


def test_a_file_of_the_user_does_not_pass_for_the_named_data_set(home, tmp_path):
    seal(home, tiny(tmp_path / "mnist.npz"), None)
    assert find(home, "mnist", None) is None


def test_fashion_mnist_is_read_from_its_four_files(tmp_path):
    arrays = [np.arange(5 * 28 * 28).reshape(5, 28, 28) % 251, np.arange(5), np.ones((2, 28, 28)), np.array([1, 0])]
    for (name, _), array in zip(FASHION_FILES, arrays, strict=True):
        head = struct.pack(f">4B{array.ndim}i", 0, 0, 8, array.ndim, *array.shape)
        (tmp_path / name).write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    read = sources.read_fashion(tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(read.values(), arrays, strict=True))
    (tmp_path / FASHION_FILES[0][0]).write_bytes(gzip.compress(b"\0\0\x08\x03" + bytes(12) + b"more"))
    with pytest.raises(ValueError, match="cannot reshape"):
        sources.read_fashion(tmp_path)


def cifar_archive(path, evil=None):
    with tarfile.open(path, "w:gz") as archive:
        for number, name in enumerate(FOLDER_FILES["cifar"]):
            data = np.full((2, 3072), number, np.uint8)
            data[:, :1024] += 100  # the red plane
            batch = {b"data": data, b"labels": [number, 0], **({b"evil": evil} if evil else {})}
            content = pickle.dumps(batch, protocol=3)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_cifar10_is_read_from_its_archive_with_channels_last(tmp_path):
    cifar_archive(tmp_path / "cifar-10-python.tar.gz")
    read = sources._read_cifar_archive(tmp_path / "cifar-10-python.tar.gz")
    assert (read["x_train"].shape, read["x_test"].shape) == ((10, 32, 32, 3), (2, 32, 32, 3))
    assert read["x_train"][2, 0, 0].tolist() == [101, 1, 1]
    assert read["y_train"].tolist() == [0, 0, 1, 0, 2, 0, 3, 0, 4, 0]


def test_a_pickle_that_would_run_something_is_refused(home, tmp_path):
    cifar_archive(tmp_path / "cifar-10-python.tar.gz", evil=os.system)
    with pytest.raises(DataError, match=r"posix\.system has no place in a file of images"):
        seal(home, "cifar10", tmp_path)


def test_an_array_larger_than_memory_is_refused_before_it_is_unpacked(home, tmp_path, monkeypatch):
    """A few kilobytes of zeros unpack to a gigabyte; the header's own claim is checked too."""
    import io
    import zipfile
    from types import SimpleNamespace

    import psutil

    from bench.holdout.sources import read_npz

    path = tmp_path / "bomb.npz"
    images = np.zeros((4000, 64, 64), np.uint8)
    np.savez_compressed(path, x_train=images, y_train=np.zeros(4000, int), x_test=images, y_test=np.zeros(4000, int))
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=30_000_000))
    with pytest.raises(DataError, match=r"unpacks to 33 MB, and sealing takes 3 times that, .* 30 MB"):
        read_npz(path)
    monkeypatch.undo()

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", header.getvalue() + b"few")
    with pytest.raises(DataError) as caught:
        ensure(home, str(path), None, lambda line: None)
    assert "x_train" in str(caught.value) or "memory" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_file_with_a_password_is_refused_by_name(home, tmp_path):
    path = tmp_path / "locked.npz"
    images, labels = np.zeros((8, 6, 6), np.uint8), np.arange(8) % 2
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # APPNOTE 4.4.4: bit 0 says that a member is encrypted
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"x_train cannot be unpacked .*encrypted"):
        ensure(home, str(path), None, lambda line: None)
