import subprocess
import sys

import pytest

from bench.errors import FamilyError, SpaceError, UnknownFamily
from bench.family import discover, load

GOOD = '''"""One layer. Source: nobody."""
from bench.family import Family
from bench.space import Int, SearchSpace

def build(config, image_shape, classes):
    import keras
    inputs = keras.Input(image_shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))

FAMILY = Family("tiny", SearchSpace({"epochs": Int(1, 2)}), build, reference={"epochs": 1})
'''


def write(folder, name, text):
    path = folder / "search_spaces" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_the_built_in_families_are_found_without_a_list():
    assert {"mlp", "mlp_dropout", "cnn"} <= set(discover())


def test_a_file_in_search_spaces_becomes_a_family(tmp_path):
    write(tmp_path, "tiny", GOOD)
    family = load("tiny", tmp_path)
    assert (family.name, family.about) == ("tiny", "One layer. Source: nobody.")
    assert "mlp" in discover(tmp_path)


def test_a_file_in_search_spaces_hides_a_built_in_family_of_its_name(tmp_path):
    path = write(tmp_path, "cnn", GOOD.replace('"tiny"', '"cnn"'))
    assert load("cnn", tmp_path).source == path


def test_a_path_names_a_family(tmp_path):
    path = write(tmp_path, "tiny", GOOD)
    assert load(str(path)).name == "tiny"


def test_an_unknown_family_names_the_nearest_and_how_to_make_one():
    with pytest.raises(UnknownFamily, match=r"Did you mean mlp_dropout\?.*Add search_spaces/mlp_dropuot.py"):
        load("mlp_dropuot")


def test_a_syntax_error_names_file_and_line(tmp_path):
    path = write(tmp_path, "tiny", GOOD + "\ndef broken(:\n")
    with pytest.raises(FamilyError, match=rf"{path}, line 12"):
        load("tiny", tmp_path)


def test_an_exception_in_a_family_file_names_file_and_line(tmp_path):
    path = write(tmp_path, "tiny", GOOD + "\n1 / 0\n")
    with pytest.raises(FamilyError, match=rf"{path}, line 12: ZeroDivisionError"):
        load("tiny", tmp_path)


def test_a_file_without_family_says_what_it_must_define(tmp_path):
    write(tmp_path, "tiny", "X = 1\n")
    with pytest.raises(FamilyError, match="must define FAMILY"):
        load("tiny", tmp_path)


def test_a_family_has_its_file_name(tmp_path):
    write(tmp_path, "other", GOOD)
    with pytest.raises(FamilyError, match=r"'tiny'.*'other'"):
        load("other", tmp_path)


def test_a_reference_outside_the_space_is_refused(tmp_path):
    write(tmp_path, "tiny", GOOD.replace('{"epochs": 1}', '{"epochs": 9}'))
    with pytest.raises(SpaceError, match="'epochs' must lie in Int"):
        load("tiny", tmp_path)


@pytest.mark.parametrize("name", ["mlp", "mlp_dropout", "cnn"])
def test_an_overridden_space_moves_the_reference_to_its_nearest_point(name):
    family = load(name)
    changed = family.overridden(family.space.override(ranges={"epochs": "1:2"}))
    assert changed.reference is not None
    assert changed.reference["epochs"] == 2
    assert changed.space.problems_of(changed.reference) == []


@pytest.mark.parametrize("name", ["mlp", "mlp_dropout", "cnn"])
@pytest.mark.parametrize(
    ("fixed", "ranges"),
    [({"optimizer": "sgd"}, {}), ({"optimizer": "sgd", "momentum": 0.9}, {}), ({}, {"optimizer": "sgd,adam"})],
)
def test_a_parameter_that_becomes_active_has_a_value_in_the_reference(name, fixed, ranges):
    family = load(name)
    changed = family.overridden(family.space.override(fixed, ranges))
    assert changed.space.problems_of(changed.reference) == []
    assert changed.reference["optimizer"] == "sgd"
    middle = changed.space.domains["momentum"].domain.at(0.5)
    assert changed.reference["momentum"] == fixed.get("momentum", middle)


def test_what_editors_leave_beside_families_is_none(tmp_path):
    folder = write(tmp_path, "tiny", GOOD).parent
    (folder / ".#tiny.py").symlink_to("somebody@a.host.123")
    (folder / "gone.py").symlink_to("nowhere.py")
    (folder / "._tiny.py").write_bytes(b"\0")
    assert {"tiny"} == {name for name, path in discover(tmp_path).items() if path.parent == folder}


def test_families_are_loaded_without_any_framework():
    code = "import sys; from bench.family import load; load('cnn'); print(sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("keras", "tensorflow", "optuna", "numpy", "pandas", "sklearn", "ray"):
        assert f"'{heavy}'" not in run.stdout


def test_a_file_that_exits_is_an_error_and_not_the_end_of_the_command(tmp_path):
    path = write(tmp_path, "tiny", GOOD + "\nimport sys\nsys.exit(0)\n")
    with pytest.raises(FamilyError, match=rf"{path}, line 13: SystemExit: 0"):
        load("tiny", tmp_path)


def test_what_a_file_prints_does_not_reach_stdout(tmp_path, capsys):
    write(tmp_path, "tiny", 'print("noise")\n' + GOOD)
    load("tiny", tmp_path)
    assert capsys.readouterr() == ("", "noise\n")


@pytest.mark.parametrize("content", [b"", b"\0\1\2", b'x = "\xff"', bytes(range(256)) * 10])
def test_an_empty_file_and_one_that_is_no_text_are_refused_by_name(tmp_path, content):
    path = write(tmp_path, "tiny", "")
    path.write_bytes(content)
    with pytest.raises(FamilyError, match=str(path)) as caught:
        load("tiny", tmp_path)
    assert "line None" not in str(caught.value)


def test_a_path_that_is_no_python_file_is_refused(tmp_path):
    path = tmp_path / "family.txt"
    path.write_text(GOOD)
    with pytest.raises(FamilyError, match="is not a Python file"):
        load(str(path))


def test_a_build_that_is_no_function_is_refused(tmp_path):
    write(tmp_path, "tiny", GOOD.replace(", build,", ", None,"))
    with pytest.raises(FamilyError, match="build must be a function"):
        load("tiny", tmp_path)


def test_a_seal_that_a_file_breaks_while_it_is_imported_is_called_that(tmp_path):
    from bench.errors import SealError

    write(tmp_path, "tiny", "from bench.errors import SealError\nraise SealError('not yours')\n")
    with pytest.raises(SealError, match="not yours"):
        load("tiny", tmp_path)
