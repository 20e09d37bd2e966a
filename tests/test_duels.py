"""Stored comparisons of finals: made once, held against a hash, made anew where they are not those of the finals."""

import hashlib
import json
import os
from dataclasses import replace

import numpy as np
import pytest

from bench import duels, results
from bench.errors import RecordError
from bench.holdout import fsck
from bench.records import NOTEBOOK
from tests.test_results import MANIFEST, random_answers, store


def test_finals_of_another_split_are_never_compared(tmp_path):
    store(tmp_path, "mlp", random_answers(0))
    cnn = store(tmp_path, "cnn", random_answers(1))
    digest = results.write_manifest(tmp_path, replace(MANIFEST, id=cnn.id, family="cnn", split_fingerprint="other"))
    results.write_final(tmp_path, replace(cnn, split_fingerprint="other", manifest_sha256=digest))
    duels.update(tmp_path, "digits")
    assert duels.read(tmp_path, "digits") == {}


def test_comparisons_of_an_older_schema_are_made_anew(tmp_path):
    for seed, family in enumerate(("mlp", "cnn")):
        store(tmp_path, family, random_answers(seed))
    duels.update(tmp_path, "digits")
    path = tmp_path / "results" / "digits" / duels.NAME
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"schema": 4', b'"schema": 1'))
    with pytest.raises(RecordError, match="schema 1, this version reads 4"):
        duels.read(tmp_path, "digits")
    duels.complete(tmp_path, "digits", results.read_finals(tmp_path))
    assert path.read_bytes() == whole


def test_every_pair_of_newest_finals_of_the_same_data_is_compared(tmp_path):
    store(tmp_path, "mlp", random_answers(0), "old", created="2025-01-01T00:00:00+00:00")
    for seed, family in enumerate(("mlp", "cnn", "other")):
        store(tmp_path, family, random_answers(seed))
    store(tmp_path, "elsewhere", random_answers(9, images=50), checksum="c2")
    duels.update(tmp_path, "digits")
    pairs = duels.read(tmp_path, "digits")
    assert {frozenset(pair.split()) for pair in pairs} == {
        frozenset(pair) for pair in (("id-mlp", "id-cnn"), ("id-mlp", "id-other"), ("id-cnn", "id-other"))
    }
    assert all(0 <= pair["p_value"] <= pair["p_holm"] <= 1 for pair in pairs.values())


def test_finals_of_another_purpose_are_compared_among_themselves_with_an_adjustment_of_their_own(tmp_path):
    for seed, family in enumerate(("mlp", "cnn")):
        store(tmp_path, family, random_answers(seed))
    duels.update(tmp_path, "digits")
    before = duels.read(tmp_path, "digits")
    for seed, family in enumerate(("mlp", "cnn", "mlp_dropout")):
        store(tmp_path, family, random_answers(9 + seed), f"n-{family}", study=f"{family}-notebook", purpose=NOTEBOOK)
    duels.update(tmp_path, "digits")
    pairs = duels.read(tmp_path, "digits")
    assert {pair: pairs[pair] for pair in before} == before
    assert {frozenset(identity[:2] for identity in pair.split()) for pair in pairs} == {
        frozenset({"id"}),
        frozenset({"n-"}),
    }
    assert len(pairs) == 1 + 3
    finals = results.read_finals(tmp_path, "digits")
    path = tmp_path / "results" / "digits" / duels.NAME
    written = path.stat().st_mtime_ns
    assert duels.complete(tmp_path, "digits", finals) == pairs
    assert path.stat().st_mtime_ns == written


def test_a_broken_comparison_file_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "results" / "digits" / duels.NAME
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RecordError, match="Delete it"):
        duels.read(tmp_path, "digits")


def test_two_families_without_an_error_are_compared_and_stored(tmp_path):
    for family in ("mlp", "cnn"):
        store(tmp_path, family, np.ones((3, 50), bool))
    duels.update(tmp_path, "digits")
    (pair,) = duels.read(tmp_path, "digits").values()
    assert (pair["p_holm"], pair["log_ratio"]) == (1.0, None)
    assert pair["p_equivalence_holm"] == pytest.approx(0.999**50)  # fifty images cannot show that
    assert pair["superiority"]["probability"] == 0.5


def test_comparisons_that_a_kill_left_out_are_made_when_asked_for(tmp_path):
    for seed, family in enumerate(("mlp", "cnn")):
        store(tmp_path, family, random_answers(seed))
    finals = results.read_finals(tmp_path, "digits")
    pairs = duels.complete(tmp_path, "digits", finals)
    assert len(pairs) == 1
    path = tmp_path / "results" / "digits" / duels.NAME
    before = path.stat().st_mtime_ns
    assert duels.complete(tmp_path, "digits", finals) == pairs
    assert path.stat().st_mtime_ns == before


def test_comparisons_of_a_final_that_was_moved_away_are_dropped(tmp_path):
    finals = [store(tmp_path, family, random_answers(seed)) for seed, family in enumerate(("mlp", "cnn", "other"))]
    duels.update(tmp_path, "digits")
    results.folder(tmp_path, "digits", "other", "id-other").rename(tmp_path / "away")
    pairs = duels.complete(tmp_path, "digits", finals[:2])
    assert [set(pair.split()) for pair in pairs] == [{"id-mlp", "id-cnn"}]


def test_comparisons_of_a_final_that_was_made_anew_under_its_id_are_made_anew(tmp_path):
    store(tmp_path, "mlp", random_answers(0))
    cnn = results.folder(tmp_path, "digits", "cnn", "id-cnn")
    store(tmp_path, "cnn", random_answers(1))
    ((key, before),) = duels.complete(tmp_path, "digits", results.read_finals(tmp_path)).items()
    cnn.rename(tmp_path / "away")
    store(tmp_path, "cnn", random_answers(2, accuracy=0.5))
    assert fsck._comparisons_problem(tmp_path, "digits") is None
    ((_, made),) = duels.complete(tmp_path, "digits", results.read_finals(tmp_path)).items()
    assert made == duels.compared(tmp_path, results.read_finals(tmp_path))[key] != before
    cnn.rename(tmp_path / "second")
    (tmp_path / "away").rename(cnn)
    assert duels.complete(tmp_path, "digits", results.read_finals(tmp_path)) == {key: before}


def test_one_final_needs_no_comparison(tmp_path):
    assert duels.complete(tmp_path, "digits", [store(tmp_path, "mlp", random_answers(0))]) == {}
    assert not (tmp_path / "results" / "digits" / duels.NAME).exists()


@pytest.mark.parametrize("how", ["the lock", "the file", "the folder"])
def test_a_home_that_cannot_be_written_has_its_comparisons_all_the_same(tmp_path, how):
    for seed, family in enumerate(("mlp", "cnn")):
        store(tmp_path, family, random_answers(seed))
    folder = tmp_path / "results" / "digits"
    if how == "the folder":
        folder.chmod(0o555)
        if os.access(folder, os.W_OK):
            folder.chmod(0o755)
            pytest.skip("root may write everywhere")
    else:
        (folder / {"the lock": ".comparisons.lock", "the file": duels.NAME}[how]).mkdir()
    finals = results.read_finals(tmp_path)
    try:
        made = duels.complete(tmp_path, "digits", finals)
    finally:
        folder.chmod(0o755)
    assert len(made) == 1 and made == duels.compared(tmp_path, finals)
    assert not (folder / duels.NAME).is_file()


def test_a_broken_comparison_file_is_made_anew_for_the_leaderboard(tmp_path):
    for seed, family in enumerate(("mlp", "cnn")):
        store(tmp_path, family, random_answers(seed))
    duels.update(tmp_path, "digits")
    path = tmp_path / "results" / "digits" / duels.NAME
    whole = path.read_bytes()
    path.write_text("{")
    duels.complete(tmp_path, "digits", results.read_finals(tmp_path, "digits"))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "body",
    [
        None,  # no header
        "",
        "[" * 100_000,
        "[[1]]",
        '{"a b": 1}\n{}\n',
        '{"a b": "better"}\n{}\n',
        '{"id-mlp id-cnn": "?"}',  # a verdict without its numbers
        '{"id-mlp id-cnn": "?"}\n{}\n{}\n',
    ],
)
def test_comparisons_of_another_shape_are_made_anew(tmp_path, body):
    finals = [store(tmp_path, "mlp", random_answers(0)), store(tmp_path, "cnn", random_answers(1))]
    whole = duels.complete(tmp_path, "digits", finals)
    path = tmp_path / "results" / "digits" / duels.NAME
    digest, predictions = hashlib.sha256((body or "").encode()).hexdigest(), dict(whole.predictions)
    head = json.dumps({"schema": duels.SCHEMA, "sha256": digest, "predictions": predictions})
    path.write_text("[" * 100_000 if body is None else f"{head}\n{body}")
    with pytest.raises(RecordError, match="does not read back"):
        duels.read(tmp_path, "digits")
    assert duels.complete(tmp_path, "digits", finals) == whole


@pytest.mark.parametrize("changed", [(b'">"', b'"<"'), (b'"tested": true', b'"tested": null')])
def test_comparisons_that_were_changed_are_made_anew(tmp_path, changed):
    finals = [store(tmp_path, "cnn", random_answers(0)), store(tmp_path, "mlp", random_answers(1, accuracy=0.5))]
    whole = duels.complete(tmp_path, "digits", finals)
    path = tmp_path / "results" / "digits" / duels.NAME
    stored = path.read_bytes()
    path.write_bytes(stored.replace(*changed))
    assert path.read_bytes() != stored
    with pytest.raises(RecordError, match="it was changed"):
        duels.read(tmp_path, "digits")
    assert duels.complete(tmp_path, "digits", finals).verdicts == whole.verdicts
    assert path.read_bytes() == stored
