"""The result of a search: frame, figures, representations, and its model, loaded only if it is the one kept."""

import json
import shutil

import numpy as np
import pytest
from rich.console import Console

import bench
from bench.api.result import SearchResult
from bench.data.sealed import sealed_in
from bench.errors import FamilyError, SealError, UsageError


@pytest.fixture
def moved(result, tmp_path):
    """The same result in a home that may be damaged."""
    home = shutil.copytree(result.home, tmp_path / "home")
    return SearchResult(result.outcome, home, result._tested, result._standing, result._family)


def model_of(result):
    (path,) = result.home.glob("results/digits/small/*/model.keras")
    return path


def test_a_frame_has_a_row_a_trial_and_a_column_a_parameter(result):
    frame = result.to_frame()
    assert list(frame.index) == [0, 1, 2, 3]
    assert frame.index.name == "number"
    assert list(frame.columns[-2:]) == ["params_width", "params_epochs"]
    assert frame.loc[0, "params_width"] == 16
    assert frame["val_accuracy"].max() == result.best.val_accuracy


def test_every_figure_is_drawn_and_an_unknown_one_names_the_nearest(result):
    for name in ("accuracy-over-time", "rung-survival", "learning-curves"):
        assert result.plot(name).to_plotly_json()["layout"]["title"]["text"]
    with pytest.raises(UsageError, match="Did you mean learning-curves"):
        result.plot("learning-curve")


def test_the_prompt_a_terminal_and_a_notebook_show_the_same_numbers(result):
    accuracy = f"{100 * result.final['test_accuracy']:.2f} %"
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(result)
    for shown in (repr(result), console.export_text(), result._repr_html_()):
        assert "small on digits: 4 trials" in shown
        assert accuracy in shown
    console.file.close()


def test_markup_of_others_stays_text_in_a_notebook(result):
    from dataclasses import replace

    settings = {**result.outcome.settings, "dataset": "<script>alert(1)</script>\x1b[2J"}
    hostile = SearchResult(replace(result.outcome, settings=settings), result.home)
    assert "<script>" not in hostile._repr_html_()
    assert "\x1b" not in hostile._repr_html_() + repr(hostile)


def test_the_best_model_scores_what_is_stored(result):
    (sealed,) = sealed_in(result.home)
    model = result.best_model()
    with np.load(sealed.test_path) as test, np.load(model_of(result).with_name("predictions.npz")) as stored:
        found = np.asarray(model(test["x"].astype(np.float32) * np.float32(1 / 255), training=False)).argmax(axis=1)
        np.testing.assert_array_equal(found, stored["probabilities"][0].argmax(axis=1))
    assert result.best_config["width"] == model.layers[2].units


def test_a_model_that_took_the_place_of_the_kept_one_is_refused_unless_trusted(moved):
    import keras

    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs))).save(model_of(moved))
    with pytest.raises(SealError, match=r"not the model that was frozen.*trust=True"):
        moved.best_model()
    assert len(moved.best_model(trust=True).layers) == 3


def test_a_manifest_without_hashes_needs_trust(moved, monkeypatch):
    from bench import results

    whole = results.read_manifest

    def of_an_older_version(where):
        return {name: value for name, value in whole(where).items() if name != "model_sha256"}

    monkeypatch.setattr(results, "read_manifest", of_an_older_version)
    with pytest.raises(SealError, match=r"kept no hash of models.*trust=True"):
        moved.best_model()
    assert moved.best_model(trust=True).count_params() == moved.final["params"]


def test_a_changed_manifest_is_refused_even_if_its_hash_fits_the_model(moved):
    from bench.errors import RecordError

    path = model_of(moved).with_name("manifest.json")
    path.write_text(path.read_text().replace('"trial"', '"trial" '))
    with pytest.raises(RecordError, match="not the one that this result was made with"):
        moved.best_model()


def test_without_a_final_there_is_no_model(result):
    untested = SearchResult(result.outcome, result.home)
    with pytest.raises(UsageError, match=r"run bench\.final\('small', 'digits'\)"):
        untested.best_model()
    assert untested.best_config == result.best.params


def test_a_home_gives_its_studies_back(result):
    found = bench.studies(result.home)
    again = found["digits-small"]
    assert again.final == result.final
    assert again.trials == result.trials
    assert again.best_config == result.best_config
    assert again.best_model().count_params() == result.final["params"]
    assert found.to_frame().loc["digits-small"].equals(result.to_frame())


def test_an_empty_home_has_no_studies(tmp_path):
    found = bench.studies(tmp_path)
    assert (len(found), repr(found), found._repr_html_()) == (0, "No studies yet.", "<p>No studies yet.</p>")


@pytest.mark.slow
def test_a_lambda_layer_is_refused_before_the_test_set_is_opened(tmp_path):
    def build(config, image_shape, classes):
        import keras

        inputs = keras.Input(image_shape)
        doubled = keras.layers.Lambda(lambda x: 2 * x)(keras.layers.Flatten()(inputs))
        return keras.Model(inputs, keras.layers.Dense(classes)(doubled))

    family = bench.Family("unsafe", bench.SearchSpace({"epochs": bench.Int(1, 1)}), build)
    with pytest.raises((SealError, FamilyError), match="holds code of its own, such as a Lambda layer"):
        bench.search(family, 1, "digits", home=tmp_path, seeds=1, workers=1, quiet=True)
    assert not (tmp_path / "ledger.jsonl").exists()


def test_the_command_line_shows_a_family_that_was_made_in_python(result, capsys):
    from bench.cli import main

    here = ["--dataset", "digits", "--home", str(result.home), "--json"]
    assert main(["trials", "small", *here]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 4
    assert main(["show", "small", *here]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["study"], shown["final"]["test_accuracy"]) == ("digits-small", result.final["test_accuracy"])
    assert shown["code"] is None
    assert main(["show", "smal", *here]) == 2
