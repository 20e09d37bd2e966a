import io
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from bench.data.arrays import open_arrays
from bench.holdout.seal import seal
from bench.terminal import datasets


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def opened(tmp_path):
    return open_page(tmp_path, (28, 28, 1), 10)


def open_page(tmp_path, shape, classes):
    y = np.arange(classes * 12) % classes
    x = np.random.RandomState(0).randint(0, 256, (len(y), *shape)).astype(np.uint8)
    names = np.array([f"class number {label}, a long name" for label in range(classes)])
    np.savez(tmp_path / "tiny.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
    sealed = seal(tmp_path / "home", str(tmp_path / "tiny.npz"), None)
    return sealed, open_arrays(sealed)


def printed(renderable, encoding="utf-8", **options):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=80, **options).print(renderable)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_the_table_names_every_data_set_and_how_to_get_it(tmp_path):
    text = printed(datasets.datasets_table(tmp_path))
    assert max(map(len, text.splitlines())) <= 80
    for name in ("digits", "mnist", "fashion_mnist", "cifar10"):
        assert f"\n{name}" in text
    assert "built-in" in text and "50,000 / 10,000 / 10,000" in text and "--data-dir" in text


def test_a_narrow_table_leaves_out_columns_and_says_which(tmp_path):
    raw = io.StringIO()
    Console(file=raw, width=60).print(datasets.datasets_table(tmp_path, width=60))
    assert max(len(line.rstrip()) for line in raw.getvalue().splitlines()) <= 60
    assert "Not shown at this width: image, classes." in raw.getvalue()
    assert "50,000 / 10,000 / 10,000" in raw.getvalue()
    assert len(raw.getvalue().splitlines()) < 20, "the last column has room to be read"


def test_the_table_shows_where_a_data_set_was_found_and_what_is_odd_about_it(opened, tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"x")
    rows = datasets.datasets_json(tmp_path / "home", tmp_path)["rows"]
    assert rows[1]["found"] == str(tmp_path / "mnist.npz") and rows[1]["sealed"] is None
    assert rows[-1]["dataset"] == "tiny" and rows[-1]["sealed"] == opened[0].data_id
    assert "120 of 120 test images also stand" in rows[-1]["warnings"][0]
    assert "100 / 20 / 120" in printed(datasets.datasets_table(tmp_path / "home", tmp_path))


def test_the_table_needs_no_numpy(tmp_path):
    program = "import sys; from pathlib import Path; from bench.terminal.datasets import datasets_table; "
    program += "datasets_table(Path('nowhere')); assert not {'numpy', 'sklearn', 'pooch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_a_data_folder_that_does_not_exist_does_not_break_the_table(tmp_path):
    assert datasets.datasets_json(tmp_path, tmp_path / "nowhere")["rows"][1]["found"] is None


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (32, 32, 3), (9, 50, 4), (3, 2, 2)])
@pytest.mark.parametrize("colours", [None, "truecolor"])
def test_the_page_fits_eighty_columns_for_every_shape(tmp_path, shape, colours):
    sealed, arrays = open_page(tmp_path, shape, 4)
    console = Console(width=80, color_system=colours, force_terminal=bool(colours), file=io.StringIO())
    lines = console.render_lines(datasets.dataset_page(sealed, arrays), pad=False)
    assert max(sum(segment.cell_length for segment in line) for line in lines) <= 80


def test_the_page_shows_counts_of_train_and_validation_and_a_picture_of_each_class(opened):
    text = printed(datasets.dataset_page(*opened))
    assert "100 train, 20 validation, 120 test (sealed)" in text
    assert sum("class number" in line and " 10  █" in line for line in text.splitlines()) == 10
    assert text.count("class number") == 20
    assert "\x1b" not in text


def test_colours_draw_two_pixels_a_character(opened):
    text = printed(datasets.dataset_page(*opened), force_terminal=True, color_system="truecolor")
    assert text.count("▀") == 10 * 14 * 7 and "\x1b[38;2;" in text


def test_without_colours_shades_are_drawn(opened):
    text = printed(datasets.dataset_page(*opened), force_terminal=True, color_system="truecolor", no_color=True)
    assert "▀" not in text and "▒" in text and "38;2" not in text


def test_a_plain_terminal_gets_ascii(opened):
    text = printed(datasets.dataset_page(*opened), encoding="ascii")
    assert text.isascii() and "#####" in text


def test_many_classes_are_cut_with_a_line_that_says_so(tmp_path):
    text = printed(datasets.dataset_page(*open_page(tmp_path, (4, 4, 1), 30)))
    assert "... and 10 more" in text


def test_the_page_as_json_holds_the_counts(opened):
    document = datasets.page_json(*opened)
    assert document["class_counts"][3] == {
        "class": 3,
        "name": "class number 3, a long name",
        "train": 10,
        "validation": 2,
    }
    assert (document["train"], document["schema"]) == (100, 1)
