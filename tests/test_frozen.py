"""A study keeps what it was made with; a difference is shown with both values and the ways out."""

from contextlib import closing
from types import SimpleNamespace

import pytest

from bench import frozen, study
from bench.errors import FrozenStudy
from bench.family import load
from bench.request import Request, settings_of
from bench.space import Int
from bench.store import Store

SETTINGS = {"seed": 0, "sampler": "tpe", "space": load("mlp").space.describe(), "versions": {"keras": "3.15.1"}}


def test_equal_settings_and_those_not_asked_for_pass():
    frozen.check("s", SETTINGS, {"seed": 0, "sampler": None, "space": load("mlp").space.describe()})


def test_every_difference_is_listed_with_both_values():
    space = load("mlp").space.override({"depth": "2"}, {"width": "64:128"})
    with pytest.raises(FrozenStudy) as caught:
        frozen.check("s", SETTINGS, {"seed": 7, "sampler": "random", "space": space.describe()})
    rows = [" ".join(line.split()) for line in str(caught.value).splitlines()]
    assert "seed 0 7" in rows
    assert "sampler tpe random" in rows
    assert "space of depth 1 to 3 2 (fixed)" in rows
    assert any(row.startswith("space of width 128 to 768") and row.endswith("64 to 128 (log)") for row in rows)
    assert "--study NAME" in rows[-1]
    assert "--accept" not in rows[-1]


def test_a_harmless_difference_names_how_to_accept_it():
    with pytest.raises(FrozenStudy, match=r"keras +3\.15\.1 +3\.16\.0(.|\n)*--accept versions"):
        frozen.check("s", SETTINGS, {"versions": {"keras": "3.16.0"}})


def test_domains_are_said_in_words():
    from bench.space import Choice, Float, SearchSpace, When

    space = SearchSpace(
        {"a": Choice("x", "y"), "b": When("a", ("x",), Float(0.1, 1.0, log=True)), "c": Int(1, 3), "epochs": Int(1, 2)}
    )
    said = {name: frozen.words(described) for name, described in space.describe().items()}
    assert said == {"a": "one of x, y", "b": "0.1 to 1.0 (log) when a is x", "c": "1 to 3", "epochs": "1 to 2"}
    assert frozen.words(None) == "absent"


def test_a_family_is_known_by_its_file_and_by_what_that_imports_from_beside_it(tmp_path):
    from bench.family import fingerprint_of

    family, helper, other = tmp_path / "mine.py", tmp_path / "_blocks.py", tmp_path / "other.py"
    family.write_text("from _blocks import block\n")
    helper.write_text("import _deeper\n")
    other.write_text("")
    before = fingerprint_of(family)
    other.write_text("x = 1\n")
    assert fingerprint_of(family) == before, "what is not imported does not count"
    helper.write_text("import _deeper  # changed\n")
    changed = fingerprint_of(family)
    assert changed != before
    (tmp_path / "_deeper.py").write_text("")
    assert fingerprint_of(family) not in (before, changed)


def test_versions_name_what_proposes_and_stops_the_trials_of_an_engine():
    from importlib.metadata import version

    assert {"keras", "optuna"} <= {*frozen.versions("optuna")}
    assert not {"ray", "keras-tuner"} & {*frozen.versions("optuna")}
    for engine in ("ray", "keras-tuner"):
        found = frozen.versions(engine)
        assert found == {**frozen.versions("optuna"), engine: version(engine)}
        older = {"versions": {**found, engine: "1.0"}}
        with pytest.raises(FrozenStudy, match=rf"{engine} +1\.0 +{found[engine]}(.|\n)*--accept versions"):
            frozen.check("s", older, {"versions": found})


def test_a_study_whose_rungs_judged_last_weights_is_not_continued_with_means():
    frozen.check("s", {**SETTINGS, "rungs": "mean of trained weights"}, {"rungs": "mean of trained weights"})
    frozen.check("s", SETTINGS, {"rungs": "last weights"})  # one of a version that knew of nothing else
    with pytest.raises(
        FrozenStudy, match=r"rungs +last weights +mean of trained weights\nWhat its(.|\n)*--study NAME\.$"
    ):
        frozen.check("s", SETTINGS, {"rungs": "mean of trained weights"})


def made(digits, request):
    """Settings of a study that this version makes."""
    return settings_of(request, digits, SimpleNamespace(framework=frozen.backend.chosen()), [])


def test_a_search_that_is_refused_leaves_the_settings_as_they_were_whatever_was_accepted(digits, tmp_path):
    request = Request("s", load("mlp"), "optuna", 1, precision="float32", accept=("versions",))
    settings = made(digits, request)
    old = {**settings, "rungs": "last weights", "versions": {**settings["versions"], "keras": "3.0.0"}}
    with closing(Store(tmp_path)) as store:
        store.create("s", old)
        with pytest.raises(FrozenStudy, match=r"rungs +last weights +mean of trained weights\nWhat its rungs"):
            study.search(request, digits, store, pytest.fail, [])
        assert store.settings("s") == old


@pytest.mark.parametrize(
    ("engine", "sampler", "pruner", "heard"),
    [
        ("optuna", "random", "none", False),
        ("optuna", "gp", "none", False),
        ("ray", "nsgaii", "none", False),
        ("keras-tuner", "bayesian", "none", False),
        ("optuna", "random", "one-pass", True),
        ("optuna", "tpe", "none", True),
        ("keras-tuner", "hyperband", "none", True),
    ],
)
def test_an_older_study_goes_on_where_nobody_hears_its_rungs(digits, tmp_path, engine, sampler, pruner, heard):
    request = Request("s", load("mlp"), engine, 1, sampler, pruner, precision="float32")
    settings = made(digits, request)
    assert settings.pop("rungs") == frozen.RUNGS

    class WouldTrain(Exception):
        pass

    def pool():
        raise WouldTrain

    with closing(Store(tmp_path)) as store:
        store.create("s", settings)
        with pytest.raises(FrozenStudy if heard else WouldTrain):
            study.search(request, digits, store, pool, [])


def test_to_accept_is_not_offered_where_it_would_not_help():
    old, now = {**SETTINGS, "source": "a"}, {"versions": {"keras": "3.16.0"}, "source": "b"}
    with pytest.raises(FrozenStudy, match=r"--study NAME\.$"):
        frozen.check("s", old, {**now, "rungs": "mean of trained weights"})
    with pytest.raises(FrozenStudy, match=r"frozen:\n.*\n +source +a +b\n(.|\n)*--accept versions --accept source\.$"):
        frozen.check("s", old, now, ("versions",))  # what was accepted has to be said again
    frozen.check("s", old, now, ("versions", "source"))


def test_a_study_goes_on_with_the_framework_that_it_was_made_with():
    frozen.check("s", {**SETTINGS, "backend": "jax"}, {"backend": "jax"})
    frozen.check("s", SETTINGS, {"backend": "tensorflow"})
    for made_with, asked in ((SETTINGS, "jax"), ({**SETTINGS, "backend": "jax"}, "tensorflow")):
        with pytest.raises(FrozenStudy, match=r"backend +(tensorflow +jax|jax +tensorflow)(.|\n)*KERAS_BACKEND"):
            frozen.check("s", made_with, {"backend": asked})
