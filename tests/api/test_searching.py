"""`bench.search` and `bench.final` on real digits: families without a file, interruptions, threads."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

import bench
from bench.errors import FrozenStudy, UsageError
from bench.holdout import ledger


def run(code, tmp_path, arguments=("-",), **options):
    """Run code as a script of its own; without a file unless arguments say otherwise."""
    environment = {**os.environ, "BENCH_HOME": str(tmp_path / "runs")}
    found = subprocess.run(
        [sys.executable, *arguments], input=code, capture_output=True, text=True, env=environment, **options
    )
    assert found.returncode == 0, found.stderr
    return found


def test_the_document_and_the_command_line_say_the_same(result, options):
    command = [sys.executable, "-m", "bench", "leaderboard", "--dataset", "digits", "--json"]
    said = subprocess.run([*command, "--home", str(options["home"])], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == bench.leaderboard("digits", home=options["home"]).to_json()
    assert json.loads(said.stdout)["rows"] == [result.final]
    document = result.to_json()
    assert (document["schema"], document["study"], document["family"]) == (1, "digits-small", "small")
    assert document["trials"]["total"] == 4 == len(result.trials)


def test_trial_zero_is_the_reference_of_the_object(result, family):
    assert result.trials[0].params == family.reference


def test_the_same_call_again_trains_nothing_and_takes_no_second_look(result, family, options):
    looks = ledger.looks(options["home"], result.outcome.settings["data_checksum"], "small")
    again = bench.search(family, **options)
    same = bench.final(family, "digits", home=options["home"], seeds=2, quiet=True)
    assert again.final == same.final == result.final
    assert ledger.looks(options["home"], result.outcome.settings["data_checksum"], "small") == looks == 1


def test_a_family_of_the_same_name_with_another_build_is_refused_with_the_way_out(result, family, options):
    def build(config, image_shape, classes):
        import keras

        inputs = keras.Input(image_shape)
        return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))

    other = bench.Family("small", family.space, build, reference=family.reference)
    with pytest.raises(FrozenStudy, match=r"build +object \w+ +object \w+(.|\n)*--study"):
        bench.search(other, **options)
    with pytest.raises(FrozenStudy, match="build"):
        bench.final(other, "digits", home=options["home"], quiet=True)


def test_a_family_of_the_same_name_with_another_space_is_refused(result, family, options):
    with pytest.raises(FrozenStudy, match=r"space of width +8 to 32 +8 to 16"):
        bench.search(family, **options, ranges={"width": (8, 16)})


def test_a_list_of_families_gives_results_by_place_and_by_study(result, family, options):
    found = bench.search([family], **options)
    assert found[0].final == found["digits-small"].final == result.final
    assert len(found) == 1
    with pytest.raises(KeyError, match="Did you mean digits-small"):
        found["digits-smal"]


@pytest.fixture(scope="module")
def two(family, tmp_path_factory):
    """Two families searched together, then the first one's final over three seeds."""
    options = {"home": tmp_path_factory.mktemp("two"), "workers": 2, "quiet": True}
    other = bench.Family("other", family.space, family.build, reference={"width": 8, "epochs": 3})
    both = bench.search([family, other], 1, "digits", seeds=2, **options)
    ranked = bench.leaderboard("digits", home=options["home"]).rows
    more = bench.final(family, "digits", seeds=3, **options)
    return options, both, ranked, more


@pytest.mark.slow
def test_rows_of_families_that_are_searched_together_are_those_of_the_leaderboard(two):
    _, both, ranked, _ = two
    assert sorted((result.final for result in both), key=lambda row: row["study"]) == sorted(
        ranked, key=lambda row: row["study"]
    )
    assert len(ranked) == 2


@pytest.mark.slow
def test_the_final_that_is_asked_for_is_the_one_that_is_shown(two, family):
    options, both, _, more = two
    assert [
        row["seeds"] for row in bench.leaderboard("digits", home=options["home"]).rows if row["family"] == "small"
    ] == [3]
    again = bench.final(family, "digits", seeds=2, **options)
    assert (again.final["seeds"], more.final["seeds"]) == (2, 3)
    assert again.final["test_accuracy"] == both[0].final["test_accuracy"]
    assert again.to_json()["newer_final"] == {"id": more._tested.id, "seeds": 3}
    assert "not the newest final of this study" in repr(again)
    assert "newest" not in repr(more) and more.to_json()["newer_final"] is None
    assert more.best_model() is not None
    with pytest.raises(UsageError, match="newer one, of 3 seeds"):
        again.best_model()


@pytest.mark.slow
def test_values_and_ranges_may_be_numbers(family, tmp_path):
    found = bench.search(
        family, 2, "digits", home=tmp_path, final=False, set={"width": 12}, ranges={"epochs": (1, 2)}, quiet=True
    )
    assert {trial.params["width"] for trial in found.trials} == {12}
    assert found.final is None
    assert found.outcome.settings["space"]["epochs"] == {"int": [1, 2], "log": False}


SCRIPT = """
import pathlib, sys
import bench
import keras

with open("ran.txt", "a") as file:
    file.write("once\\n")

FACTOR = 2.0

@keras.saving.register_keras_serializable("mine")
class Scale(keras.layers.Layer):
    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor
    def call(self, x):
        return x * self.factor
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return helper(x)

def helper(x):
    return x - 0.5

def build(config, image_shape, classes):
    inputs = keras.Input(image_shape)
    x = Unregistered()(Scale(FACTOR)(keras.layers.Flatten()(inputs)))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))

family = bench.Family("own", bench.SearchSpace({"epochs": bench.Int(1, 2)}), build)
result = bench.search(family, trials=2, dataset="digits", seeds=2)
print(result.final["test_accuracy"])
print(sorted({type(layer).__name__ for layer in result.best_model().layers}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["-"], ["script.py"]], ids=["a prompt", "a script without a main guard"])
def test_a_family_of_main_with_layers_of_its_own_is_searched_tested_and_loaded(tmp_path, arguments):
    (tmp_path / "script.py").write_text(SCRIPT)
    found = run(SCRIPT, tmp_path, arguments, cwd=tmp_path)
    accuracy, layers = found.stdout.splitlines()[-2:]
    assert 0 < float(accuracy) <= 1
    assert "Scale" in layers and "Unregistered" in layers
    assert (tmp_path / "ran.txt").read_text() == "once\n"
    assert "trial 0 complete" in found.stderr, "without a terminal there is a line a trial"
    assert "\x1b" not in found.stdout + found.stderr


@pytest.mark.slow
def test_a_family_of_a_module_beside_the_script_is_found_by_the_workers(tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "layers_of_mine.py").write_text(
        "def flat(inputs):\n    import keras\n    return keras.layers.Flatten()(inputs)\n"
    )
    (place / "family_of_mine.py").write_text(
        "import bench\nimport layers_of_mine\n"
        "def build(config, image_shape, classes):\n"
        "    import keras\n"
        "    inputs = keras.Input(image_shape)\n"
        "    return keras.Model(inputs, keras.layers.Dense(classes)(layers_of_mine.flat(inputs)))\n"
        "FAMILY = bench.Family('mine', bench.SearchSpace({'epochs': bench.Int(1, 2)}), build)\n"
    )
    (place / "script.py").write_text(
        "import bench\nfrom family_of_mine import FAMILY\n"
        "print(bench.search(FAMILY, 2, 'digits', final=False, quiet=True).to_json()['trials'])\n"
    )
    found = run("", tmp_path, [str(place / "script.py")], cwd=tmp_path)
    assert "'complete': 2" in found.stdout
    assert found.stderr == ""


def test_quiet_says_nothing(tmp_path, family, capfd):
    bench.search("mlp", 1, "digits", home=tmp_path, final=False, workers=1, quiet=True, set={"epochs": 1})
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_search_in_another_thread_leaves_the_signals_alone(family, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    found = []
    thread = threading.Thread(
        target=lambda: found.append(bench.search(family, 2, "digits", home=tmp_path, final=False, quiet=True))
    )
    thread.start()
    while thread.is_alive():
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        thread.join(0.1)
    assert found[0].to_json()["trials"]["total"] == 2


INTERRUPTED = """
import signal
import bench

def build(config, image_shape, classes):
    import keras
    inputs = keras.Input(image_shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)))

family = bench.Family("long", bench.SearchSpace({"epochs": bench.Int(1, 3)}), build)
before = signal.getsignal(signal.SIGINT)
try:
    bench.search(family, trials=5000, dataset="digits")
except bench.errors.Interrupted as error:
    print("interrupted:", error)
assert signal.getsignal(signal.SIGINT) is before
print(bench.search(family, trials=1, dataset="digits", final=False).to_json()["trials"]["total"])
"""


@pytest.mark.slow
def test_ctrl_c_saves_raises_interrupted_and_puts_the_handlers_back(tmp_path):
    import psutil

    environment = {**os.environ, "BENCH_HOME": str(tmp_path / "runs")}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    told = 0  # several may train at a time, so that the third to end need not be trial 2
    for line in process.stderr:
        told += bool(re.match(r"trial \d+ (complete|pruned)", line))
        if told == 3:
            break
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    first, second = said.splitlines()
    assert first.startswith("interrupted: Stopped with ")
    assert int(second) >= told == 3
    assert psutil.wait_procs(workers, timeout=5)[1] == []


@pytest.mark.slow
def test_a_time_limit_gives_what_there_is_without_a_final(family, tmp_path):
    found = bench.search(family, 100_000, "digits", home=tmp_path, timeout=2, quiet=True)
    assert found.to_json()["trials"]["total"] < 100_000
    assert found.final is None
