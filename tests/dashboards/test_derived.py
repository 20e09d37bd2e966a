"""What optuna-dashboard reads has notes, images and figures, and the storage below has none."""

import json

import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna_dashboard import get_note

from bench.store import Store
from dashboards.derived import DerivedStorage, ImageStore
from dashboards.readonly import open_read_only


@pytest.fixture
def stored(searched):
    return open_read_only(searched)


@pytest.fixture
def shown(stored):
    return DerivedStorage(stored)


def test_every_trial_of_bench_has_a_note_and_links_to_its_images(shown, searched):
    study = optuna.load_study(study_name="digits-mlp", storage=shown)
    records = Store(searched).trials("digits-mlp")
    assert {record.state for record in records} >= {"complete", "failed"}
    for trial, record in zip(study.get_trials(), records, strict=True):
        text = get_note(optuna.trial.Trial(study, trial._trial_id))
        files = [json.loads(v) for k, v in trial._system_attrs.items() if k.startswith("artifacts:")]
        assert text.startswith(f"### {record.state.capitalize()}")
        assert [file["mimetype"] for file in files] == ["image/png"] * (2 if record.state != "failed" else 0)
        assert all(f"/artifacts/{study._study_id}/{trial._trial_id}/{file['artifact_id']})" in text for file in files)


def test_the_images_are_drawn_when_they_are_opened(shown, stored):
    images = ImageStore(stored)
    trial = shown.get_all_trials(shown.get_study_id_from_name("digits-mlp"))[0]
    ids = [key.removeprefix("artifacts:") for key in trial._system_attrs]
    assert [images.open_reader(artifact).read(4) for artifact in ids] == [b"\x89PNG"] * 2


@pytest.mark.parametrize("artifact", ["", "1", "1-3-1", "999999-1-1", "x-1-1", "1-1-1-1", "../../etc/passwd"])
def test_no_other_image_is_there(stored, artifact):
    with pytest.raises(ArtifactNotFound):
        ImageStore(stored).open_reader(artifact)


def test_a_study_of_bench_has_figures(shown):
    attributes = shown.get_study_system_attrs(shown.get_study_id_from_name("digits-mlp"))
    figures = {
        key.split(":")[2]: json.loads(v) for key, v in attributes.items() if key.startswith("dashboard:plot_data")
    }
    assert set(figures) == {"accuracy-over-time", "rung-survival", "learning-curves"}
    assert all(figure["data"] for figure in figures.values())


def test_records_are_columns_instead_of_one_line_of_json(shown):
    study_id = shown.get_study_id_from_name("digits-mlp")
    trial = shown.get_all_trials(study_id)[0]
    assert "bench" not in trial.user_attrs
    assert trial.user_attrs["seconds"] > 0
    assert shown.get_study_user_attrs(study_id)["family"] == "mlp"
    assert optuna.load_study(study_name="digits-mlp", storage=shown).metric_names == ["validation accuracy"]


def test_what_bench_did_not_make_is_shown_as_it_is(shown, stored):
    study_id = stored.get_study_id_from_name("foreign")
    assert shown.get_study_user_attrs(study_id) == stored.get_study_user_attrs(study_id)
    assert shown.get_study_system_attrs(study_id) == stored.get_study_system_attrs(study_id)
    (mine,), (theirs,) = shown.get_all_trials(study_id), stored.get_all_trials(study_id)
    assert mine.user_attrs == theirs.user_attrs == {"bench": "[not a record"}
    # Files that somebody attached are not here to be shown.
    assert [key for key in theirs._system_attrs if key not in mine._system_attrs] == ["artifacts:0-0"]


def test_what_a_failure_said_stays_text(shown, hostile):
    study_id = shown.get_study_id_from_name("digits-mlp")
    failed = shown.get_all_trials(study_id)[-1]
    text = shown.get_study_system_attrs(study_id)[f"dashboard:{failed._trial_id}:note_str:0"]
    block = text.split("~~~~~text\n")[1].split("\n~~~~~\n")[0]
    assert block == hostile.replace("\x1b", "\N{REPLACEMENT CHARACTER}")


def test_a_list_of_studies_makes_no_figures(shown, monkeypatch):
    monkeypatch.setattr(shown, "_attributes", lambda study_id: pytest.fail("figures were made"))
    assert not any(study.system_attrs.get("preference:is_preferential", False) for study in shown.get_all_studies())


def test_one_answer_makes_notes_and_figures_once(shown, monkeypatch):
    calls = []
    monkeypatch.setattr(shown, "_attributes", lambda study_id: calls.append(study_id) or {"dashboard:1:note_ver": 1})
    attributes = next(study for study in shown.get_all_studies() if study.study_name == "digits-mlp").system_attrs
    assert "dashboard:1:note_ver" in attributes
    assert "dashboard:2:note_ver" not in attributes
    assert dict(attributes.items()) == dict(attributes)
    assert len(calls) == 1
