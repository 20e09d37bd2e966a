"""Sentences about two families, against stored results."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bench import duels, results
from bench.cli import main
from bench.errors import UsageError
from bench.statements import FORMS, Statement, judge, parse
from bench.verdicts import Comparisons, Duels
from tests.test_results import FINAL, store


def answers(seed, error, seeds=5, images=20_000):
    """Errors on images of this family's own, by every second seed."""
    rng = np.random.default_rng(seed)
    return ~((rng.random(images) < 2 * error) & (rng.random((seeds, images)) < 0.5))


@pytest.fixture
def home(tmp_path):
    store(tmp_path, "mlp", answers(0, 0.10))
    store(tmp_path, "cnn", answers(1, 0.03))
    store(tmp_path, "wide", answers(2, 0.10))
    store(tmp_path, "lone", answers(3, 0.01, seeds=1))
    same = answers(4, 0.05)
    store(tmp_path, "one", same)
    other = same.copy()
    other[:, 0] = ~other[:, 0]
    store(tmp_path, "other", other)
    return tmp_path


def judged(home, text):
    finals = results.read_finals(home, "digits")
    statement = parse(text)
    by_family = {final.family: final for final in finals}
    known = Duels(duels.complete(home, "digits", finals))
    return judge(statement, by_family[statement.a], by_family[statement.b], known)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("cnn is better than mlp", "supported"),
        ("cnn beats mlp.", "supported"),
        ("mlp beats cnn", "contradicted"),
        ("mlp beats wide", "not resolved"),
        ("cnn halves the error of mlp", "supported"),
        ("mlp halves the error of cnn", "contradicted"),
        ("wide halves the errors of mlp", "contradicted"),
        ("cnn reduces the error of mlp by at least 40 %", "supported"),
        ("cnn cuts the error of mlp by at least 95%", "contradicted"),
        ("cnn reduces the error of mlp by 70 %", "supported"),
        ("cnn reduces the error of mlp by about 40 percent", "contradicted"),
        ("cnn reduces the error of mlp by 75 %", "not resolved"),
        ("one and other are equivalent", "supported"),
        ("other is equivalent to one", "supported"),
        ("cnn and mlp are equivalent", "contradicted"),
        ("mlp and wide are equivalent", "not resolved"),
        ("lone beats mlp", "not resolved"),
    ],
)
def test_a_sentence_is_what_the_results_say(home, text, verdict):
    assert judged(home, text).verdict == verdict


@pytest.mark.parametrize(
    ("text", "log_ratio", "bounds"),
    [
        ("cnn reduces the error of mlp by 3 %", -0.03, (-0.07, 0.015)),  # 'by -2 to 8 %' would hold no reduction too
        ("cnn reduces the error of mlp by at least 1 %", -0.22, (-0.41, -0.03)),  # one comparison of many
    ],
)
def test_no_reduction_is_supported_where_better_is_not_resolved(text, log_ratio, bounds):
    cnn, mlp = (replace(FINAL, id=name, family=name) for name in ("cnn", "mlp"))
    stored = {
        "difference": 0.001, "ci95": (-0.0005, 0.0025), "log_ratio": log_ratio, "log_ratio_ci95": bounds,
        "p_holm": 0.12, "p_equivalence_holm": 1.0,
    }  # fmt: skip
    for claim in ("cnn is better than mlp", text):
        found = judge(parse(claim), cnn, mlp, Duels(Comparisons.of({"cnn mlp": stored})))
        assert (found.verdict, "p = 0.120 after Holm" in found.why) == ("not resolved", True)


@pytest.mark.parametrize(
    ("text", "p_holm", "verdict"),
    [
        ("cnn reduces the error of mlp by 3 %", 0.12, "not resolved"),  # its interval is 11 to 34 %
        ("cnn reduces the error of mlp by 3 %", 0.01, "contradicted"),
        ("cnn and mlp are equivalent", 0.12, "not resolved"),
        ("cnn and mlp are equivalent", 0.01, "contradicted"),
        ("mlp reduces the error of cnn by 0 %", 0.12, "contradicted"),  # by its interval, -51 to -13 %
    ],
)
def test_too_large_a_difference_contradicts_only_where_it_is_resolved(text, p_holm, verdict):
    assert _judged(text, (0.002, 0.008), (-0.41, -0.12), p_holm).verdict == verdict


@pytest.mark.parametrize(("asked", "verdict"), [("12.5 %", "not resolved"), ("12.4 %", "supported")])
def test_what_is_printed_is_what_was_judged(asked, verdict):
    bounds = math.log(1 - 0.2399), math.log(1 - 0.1244)
    found = _judged(f"cnn reduces the error of mlp by at least {asked}", (0.002, 0.008), bounds, 0.0001)
    assert found.verdict == verdict
    assert f"(12.4 % to 24 %); asked: {asked} or more" in found.why


def test_a_family_that_is_resolved_to_be_worse_reduces_no_error():
    assert _judged("mlp reduces the error of cnn by 3 %", (0.0002, 0.0005), (-0.015, -0.005), 0.01).verdict == (
        "contradicted"
    )


def _judged(text, ci95, log_ratio_ci95, p_holm):
    """Of cnn against mlp, where cnn errs less."""
    finals = {name: replace(FINAL, id=name, family=name) for name in ("cnn", "mlp")}
    stored = {
        "difference": sum(ci95) / 2, "ci95": ci95, "log_ratio": sum(log_ratio_ci95) / 2,
        "log_ratio_ci95": log_ratio_ci95, "p_holm": p_holm, "p_equivalence_holm": 1.0,
    }  # fmt: skip
    statement = parse(text)
    return judge(statement, finals[statement.a], finals[statement.b], Duels(Comparisons.of({"cnn mlp": stored})))


def test_the_strongest_wording_that_holds_is_itself_supported(home):
    for text in ("cnn beats mlp", "mlp beats cnn", "mlp and cnn are equivalent", "one beats other"):
        strongest = judged(home, text).strongest
        assert judged(home, strongest.split(":")[0]).verdict == "supported"
    assert "by at least 6" in judged(home, "mlp beats cnn").strongest
    assert judged(home, "mlp beats wide").strongest == "No difference between mlp and wide is resolved."
    assert judged(home, "lone beats mlp").why == "Not tested: one seed says nothing of how seeds differ."


def test_every_form_that_is_listed_can_be_read():
    assert [parse(form).kind for form in FORMS] == ["better", "at least", "at least", "reduces", "equivalent"]
    assert parse("\"cnn\" beats 'mlp'") == Statement("better", "cnn", "mlp")


@pytest.mark.parametrize("text", ["cnn is nice", "", "cnn beats", "cnn reduces the error of mlp", "a beats b and c"])
def test_another_sentence_is_refused_with_those_that_can_be_checked(text):
    with pytest.raises(UsageError, match=r"Forms: A is better than B; A halves the error of B; .*equivalent"):
        parse(text)


@pytest.mark.parametrize("text", ["mlp beats mlp", "mlp is equivalent to 'mlp'.", "mlp halves the error of mlp"])
def test_a_sentence_about_one_family_is_refused(text):
    with pytest.raises(UsageError, match="is about mlp alone; a sentence is about two families"):
        parse(text)


def test_the_command_names_the_manifests_behind_its_verdict(home, capsys):
    assert main(["claim", "cnn halves the error of mlp", "--dataset", "digits", "--home", str(home), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["read_as"]["amount"]) == ("supported", 0.5)
    for final, family in zip(found["finals"], ("cnn", "mlp"), strict=True):
        assert final["family"] == family
        assert results.sha256(type(home)(final["manifest"])) == final["manifest_sha256"]
    assert main(["claim", "cnn", "beats", "mlp", "--dataset", "digits", "--home", str(home)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("supported: cnn beats mlp cnn is ") and "What holds: cnn reduces the error" in text


def test_a_family_without_a_final_is_named_with_the_next_step(home, capsys):
    assert main(["claim", "cnm beats mlp", "--dataset", "digits", "--home", str(home)]) == 3
    said = capsys.readouterr().err
    assert "'cnm' has no final on digits. Did you mean cnn?" in said and "Next: bench search cnm" in said
