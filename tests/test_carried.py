"""Families on their way to other processes, and what tells two of them apart."""

import json
import threading
from dataclasses import replace
from functools import partial

import pytest

from bench import carried
from bench.errors import FamilyError
from bench.family import Family, load
from bench.frozen import build_of
from bench.space import Int, SearchSpace

SPACE = SearchSpace({"epochs": Int(1, 2)})


def build(config, image_shape, classes):
    return config, image_shape, classes


def test_a_family_of_a_file_goes_as_its_path_however_its_space_was_changed():
    family = load("mlp")
    assert carried.pack(family) == family.source
    assert carried.pack(family.overridden(family.space.override({"depth": 2}))) == family.source
    assert carried.unpack(family.source).name == "mlp"


def test_a_family_of_a_file_with_another_build_does_not_go_as_its_path():
    family = replace(load("mlp"), build=build)
    sent = carried.pack(family)
    assert isinstance(sent, carried.Pickled)
    assert carried.unpack(sent).build(1, 2, 3) == (1, 2, 3)


def test_a_family_survives_a_ticket_that_is_json():
    for family in (load("mlp"), Family("mine", SPACE, lambda *given: given)):
        sent = carried.pack(family)
        assert carried.from_json(json.loads(json.dumps(carried.to_json(sent)))) == sent


def test_what_cannot_be_sent_is_named_with_the_way_out():
    lock = threading.Lock()
    with pytest.raises(FamilyError, match=r"'mine' cannot be sent to the workers: TypeError: .*lock"):
        carried.pack(Family("mine", SPACE, lambda *given: lock))


def test_a_build_that_drags_a_data_set_along_is_refused():
    images = bytes(7_840_000)  # those that MNIST keeps for the test
    with pytest.raises(FamilyError, match="takes 8 MB"):
        carried.pack(Family("mine", SPACE, lambda *given: images))


def test_labels_of_a_test_set_do_not_travel_and_weights_of_classes_do():
    """A notebook has both at hand, and what goes by value is opened by nobody."""
    import numpy as np

    labels, weights = np.zeros(1_797, np.uint8), np.ones(10)
    with pytest.raises(FamilyError, match=r"refers to an array of 1,797 numbers from outside \(shape \(1797,\)\)"):
        carried.pack(Family("mine", SPACE, lambda *given: labels[::2].sum() + len(labels)))
    sent = carried.pack(Family("mine", SPACE, lambda *given: weights))
    np.testing.assert_array_equal(carried.unpack(sent).build(), weights)


def test_a_module_that_is_not_there_is_a_family_error():
    import cloudpickle

    broken = carried.Pickled(cloudpickle.dumps(build).replace(b"test_carried", b"test_carroty"), ())
    with pytest.raises(FamilyError, match="ModuleNotFoundError"):
        carried.unpack(broken)


def make(units):
    def build(config, image_shape, classes):
        return units

    return build


def test_builds_that_do_the_same_are_the_same_and_others_are_not():
    assert build_of(load("mlp")) == "from a file"

    def of(build):
        return build_of(Family("mine", SPACE, build))

    assert of(make(1)) == of(make(1))
    assert of(build) == of(build) != of(make(1)) != of(make(2))
    assert of(partial(build, classes=3)) != of(partial(build, classes=4))
    assert of(lambda *given: helper_one(given)) != of(lambda *given: helper_two(given))


UNITS = "relu"


class Built:
    """A builder with a setting of its own."""

    def __init__(self, units):
        self.units = units

    def __call__(self, config, image_shape, classes):
        return self.units

    def build(self, config, image_shape, classes):
        return self.units


def test_a_digest_covers_what_is_referred_to_inside_and_what_an_object_holds(monkeypatch):
    def of(build):
        return build_of(Family("mine", SPACE, build))

    def build(config, image_shape, classes):
        def block():
            return UNITS

        return [block() for _ in range(2)]

    before = of(build)
    monkeypatch.setitem(globals(), "UNITS", "tanh")
    assert of(build) != before
    assert of(Built(1)) == of(Built(1)) != of(Built(2))
    assert of(Built(1).build) == of(Built(1).build) != of(Built(2).build)


def helper_one(given):
    return 1


def helper_two(given):
    return 2


def test_a_digest_does_not_depend_on_the_process(tmp_path):
    import subprocess
    import sys

    code = (
        "import bench\n"
        "from bench.frozen import build_of\n"
        "WORDS = ('b', 'a')\n"
        "def helper(x): return x in {'one', 'two', 'three'}\n"
        "def build(config, image_shape, classes):\n    return helper(config), WORDS\n"
        "print(build_of(bench.Family('f', bench.SearchSpace({'epochs': bench.Int(1, 2)}), build)))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed},
            cwd=".",
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
