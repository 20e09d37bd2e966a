"""What `import bench` offers, and how little it loads."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.errors import FamilyError, SpaceError, UnknownDataset, UnknownFamily, UsageError

ROOT = Path(__file__).parent.parent
HEAVY = {"keras", "tensorflow", "optuna", "ray", "pandas", "sklearn", "numpy", "scipy", "rich", "plotly", "cloudpickle"}
SPACE = bench.SearchSpace({"width": bench.Int(4, 8), "epochs": bench.Int(1, 2)})


def loaded_after(code):
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


def test_importing_bench_loads_nothing_heavy_and_no_module_of_its_own():
    loaded = loaded_after("import bench; dir(bench)")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("bench")} == {"bench"}


def test_the_building_blocks_and_errors_load_nothing_heavy():
    loaded = loaded_after("import bench; bench.Family, bench.SearchSpace, bench.Choice, bench.errors.BenchError")
    assert not loaded & HEAVY


def test_a_leaderboard_from_python_loads_no_framework(tmp_path):
    loaded = loaded_after(f"import bench; repr(bench.leaderboard('digits', home={str(tmp_path)!r}))")
    assert not loaded & (HEAVY - {"rich"})


def test_everything_that_is_offered_is_there_and_documented():
    assert dir(bench) == sorted(bench.__all__)
    for name in bench.__all__:
        assert getattr(bench, name) is not None
        assert name == "__version__" or inspect.getdoc(getattr(bench, name)), name


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute 'serach'; it offers .*search"):
        _ = bench.serach


def test_importing_a_module_of_the_package_hides_no_function():
    code = "import bench, bench.study, bench.finals, bench.api.leaderboard, bench.commands.search, bench.commands.final"
    check = "; assert all(callable(f) for f in (bench.search, bench.final, bench.leaderboard, bench.studies))"
    assert loaded_after(code + check)


def test_every_argument_is_explained():
    for function in (bench.search, bench.leaderboard, bench.studies):
        doc = inspect.getdoc(function)
        for name in inspect.signature(function).parameters:
            assert re.search(rf"^    (\w+, )*{name}(, \w+)*:", doc, re.MULTILINE), (function, name)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"family": "cnnn"}, UnknownFamily, "Did you mean cnn"),
        ({"family": "all"}, UsageError, r"\['all'\]"),
        ({"family": []}, UsageError, "family must be one"),
        ({"family": 3}, UsageError, "a path or a bench.Family, not 3"),
        ({"dataset": "mnits"}, UnknownDataset, "Did you mean mnist"),
        ({"trials": 0}, UsageError, "trials must be a whole number of at least 1, not 0"),
        ({"trials": 2.5}, UsageError, "not 2.5"),
        ({"seeds": True}, UsageError, "seeds must be"),
        ({"workers": "two"}, UsageError, "workers must be"),
        ({"sampler": "tep"}, UsageError, "Did you mean tpe"),
        ({"pruner": "ahsa"}, UsageError, "Did you mean asha"),
        ({"precision": "float16"}, UsageError, "one of auto, float32, bfloat16"),
        ({"seed": "0"}, UsageError, "seed must be a whole number"),
        ({"timeout": -1}, UsageError, "number of seconds above 0"),
        ({"set": {"widht": 3}}, SpaceError, "Did you mean width"),
        ({"ranges": {"width": (9, 1)}}, SpaceError, "low must not exceed high"),
        ({"ranges": {"optimizer": ["adam", "adm"]}}, SpaceError, "Did you mean adam"),
        ({"family": ["mlp", "cnn"], "study": "one"}, UsageError, "names one study"),
    ],
)
def test_bad_arguments_get_the_errors_of_the_command_line(tmp_path, arguments, error, said):
    given = {"family": "mlp", "dataset": "digits", "home": tmp_path, "quiet": True, **arguments}
    with pytest.raises(error, match=said):
        bench.search(**given)


def test_two_families_of_one_name_are_refused(tmp_path):
    mine = bench.Family("mlp", SPACE, lambda config, image_shape, classes: None)
    with pytest.raises(UsageError, match="share one study"):
        bench.search(["mlp", mine], home=tmp_path)


@pytest.mark.parametrize("name", ["", "a/b", "../up", "tab\there", "[bold]x", "-dash", "x" * 81])
def test_the_name_of_a_family_is_fit_for_a_file_name(name):
    with pytest.raises(FamilyError, match="A family's name is letters"):
        bench.Family(name, SPACE, lambda config, image_shape, classes: None)


@pytest.mark.slow
def test_the_example_in_the_readme_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    example = next(block for block in blocks if "bench.search(" in block)
    script = tmp_path / "example.py"
    script.write_text(example)
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "tiny on digits: 5 trials" in run.stdout
    assert "digits: mean over seeds" in run.stdout
    assert "Total params" in run.stdout
