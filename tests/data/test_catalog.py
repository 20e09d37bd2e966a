import os

import pytest

from bench.data.catalog import FASHION_FILES, KNOWN, Source, dataset_name, source_of
from bench.errors import DataError, UnknownDataset, UsageError


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_an_unknown_name_gets_the_nearest_and_the_list():
    with pytest.raises(UnknownDataset, match=r"No data set named 'minst'. Did you mean mnist\? Known: digits, mnist"):
        source_of("minst", None)


def test_a_missing_file_gets_the_nearest_name_in_its_folder(tmp_path):
    (tmp_path / "cells.npz").touch()
    with pytest.raises(UnknownDataset, match=r"cell\.npz\. Did you mean cells\.npz\?"):
        source_of(str(tmp_path / "cell.npz"), None)


def test_a_folder_or_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "cells.csv").touch()
    with pytest.raises(DataError, match="is a folder; give the path"):
        source_of(f"{tmp_path}/", None)
    with pytest.raises(DataError, match="is not an"):
        source_of(str(tmp_path / "cells.csv"), None)


def test_a_data_folder_that_does_not_exist_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"does not exist; correct --data-dir"):
        source_of("mnist", tmp_path / "nowhere")
    assert source_of("digits", tmp_path / "nowhere") == Source("built-in")


def test_the_data_folder_comes_before_the_keras_cache(tmp_path):
    assert source_of("mnist", tmp_path) is None
    cached = tmp_path / "keras" / "datasets" / "mnist.npz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"abc")
    assert source_of("mnist", tmp_path) == Source("keras cache", str(cached), 3, cached.stat().st_mtime_ns, str(cached))
    (tmp_path / "mnist.npz").write_bytes(b"abcd")
    found = source_of("mnist", tmp_path)
    assert found and (found.kind, found.size) == ("data dir", 4)


def test_a_folder_counts_only_with_all_its_files(tmp_path):
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    for name, _ in FASHION_FILES[:3]:
        (folder / name).write_bytes(b"x")
    assert source_of("fashion_mnist", tmp_path) is None
    (folder / FASHION_FILES[3][0]).write_bytes(b"x")
    found = source_of("fashion_mnist", tmp_path)
    assert found and (found.path, found.size) == (str(folder), 4)


def test_every_download_has_a_sha256():
    downloads = [download for known in KNOWN.values() for download in known.downloads]
    assert len(downloads) == 6
    assert all(len(bytes.fromhex(download.sha256)) == 32 for download in downloads)


def test_a_path_is_known_by_the_stem_of_its_file():
    assert dataset_name(f"some{os.sep}My cells.npz") == "My-cells"
    assert dataset_name("fashion_mnist") == "fashion_mnist"


def test_what_a_link_leads_to_may_have_any_name(tmp_path):
    """Stores of data keep files under their checksums, and folders under names of their own."""
    (tmp_path / "a1b2").write_bytes(b"PK")
    (tmp_path / "mine.npz").symlink_to(tmp_path / "a1b2")
    found = source_of(str(tmp_path / "mine.npz"), None)
    assert (found.path, found.size) == (str(tmp_path / "mine.npz"), 2)
