import json
import math

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench import statistics
from bench.cli import main
from bench.errors import ShapeError
from bench.planning import Components, assumed, components, detectable, images_for, seeds_for
from bench.terminal.resolution import resolution
from tests.test_results import random_answers, store


def answers(rng, error, seeds, images):
    """A family that errs on `error` of the images: every second seed, on the same ones, hard for it alone."""
    hard = rng.random(images) < 2 * error
    return ~(hard & (rng.random((seeds, images)) < 0.5))


def test_components_of_simulated_families_are_those_that_are_assumed():
    rng, error = np.random.default_rng(0), 0.02
    found = [components(answers(rng, error, 5, 10_000), answers(rng, error, 5, 10_000)) for _ in range(40)]
    wanted = assumed(error)
    assert np.mean([one.image for one in found]) == pytest.approx(wanted.image, rel=0.05)
    assert np.mean([one.residual for one in found]) == pytest.approx(wanted.residual[0], rel=0.05)
    assert np.mean([one.seed for one in found]) < 0.02 * error / 100  # clipped at zero, so not zero on average


def test_what_is_assumed_lets_seeds_differ_as_they_are_often_seen_to():
    error, images = 0.008, 10_000
    rng = np.random.default_rng(1)
    spread = [answers(rng, error, 10, images).mean(axis=1).std(ddof=1) for _ in range(200)]
    assert np.mean(spread) == pytest.approx(math.sqrt(error / (2 * images)), rel=0.1)


@pytest.mark.parametrize("seeds", [2, 5])
def test_a_difference_that_is_called_resolved_is_found_about_four_times_in_five(seeds):
    rng, images, error = np.random.default_rng(2), 5_000, 0.03
    difference = detectable(assumed(error), seeds, images)
    lower, upper = error - difference / 2, error + difference / 2
    found = [
        statistics.compare(answers(rng, lower, seeds, images), answers(rng, upper, seeds, images)).p_value < 0.05
        for _ in range(500)
    ]
    # At two seeds the test's own degrees of freedom scatter, and with them its power.
    assert 0.72 <= np.mean(found) <= 0.9


def test_the_fewest_seeds_and_images_are_just_enough():
    found = Components(0.01, (0.004, 0.005), (1e-7, 1e-7))
    seeds = seeds_for(found, 0.0032, 10_000)
    assert detectable(found, seeds, 10_000) <= 0.0032 < detectable(found, seeds - 1, 10_000)
    images = images_for(found, 0.004, 5)
    assert detectable(found, 5, images) <= 0.004 < detectable(found, 5, images - 1)


def test_as_many_images_as_resolve_are_found_where_more_of_them_would_not():
    found = Components(0.01, (0.001, 0.001), (1e-6, 1e-6))
    assert detectable(found, 2, 20_000) < 0.0047 < detectable(found, 2, 10**9)
    images = images_for(found, 0.0047, 2)
    assert detectable(found, 2, images) <= 0.0047 < detectable(found, 2, images - 1)


def test_images_that_resolve_are_found_however_few_their_numbers_are():
    found = Components(0.005, (0.005, 0.005), (1e-6, 1e-5))
    assert detectable(found, 2, 1_600) < 0.01484 < min(detectable(found, 2, 1_024), detectable(found, 2, 2_048))
    images = images_for(found, 0.01484, 2)
    assert detectable(found, 2, images) <= 0.01484 < detectable(found, 2, images - 1)


def test_families_that_never_differ_resolve_no_more_than_their_images_can_show():
    perfect = np.ones((5, 360), bool)
    found = components(perfect, perfect)
    assert (found.image, found.residual, found.seed) == (0.0, (0.0, 0.0), (0.0, 0.0))
    difference = detectable(found, 5, 360)
    assert (1 - difference) ** 360 == pytest.approx(0.2)  # the probability that no image shows it
    assert seeds_for(found, 0.001, 360) is None
    assert images_for(found, 0.001, 5) == math.ceil(math.log(0.2) / math.log(0.999))


def test_seeds_do_not_make_up_for_images_nor_images_for_seeds():
    assert seeds_for(Components(0.01, (0.004, 0.004), (0.0, 0.0)), 0.001, 10_000) is None
    assert images_for(Components(0.0, (0.004, 0.004), (1e-5, 1e-5)), 0.001, 5) is None


def test_one_seed_and_other_images_give_no_components():
    one, two = np.ones((1, 10), bool), np.ones((2, 10), bool)
    for pair in ((one, two), (two, np.ones((2, 9), bool))):
        with pytest.raises(ShapeError, match="two seeds or more on the same images"):
            components(*pair)
    for error in (0.0, 1.0, 2.0):
        with pytest.raises(ShapeError, match="between 0 and 1"):
            assumed(error)


# --- bench plan


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_number_of_the_table_is_shown_however_long_the_names(width):
    row = {
        "families": ["mlp_dropout (digits-mlp_dropout)", "[red]cnn[/]\x1b[31m\n_batch_norm"], "difference": 0.01,
        "seeds": 5, "images": 360, "resolved": 0.0123, "seeds_needed": None, "images_needed": 94_042,
        "resolved_by_seeds": {str(seeds): seeds / 1000 for seeds in (2, 3, 5, 10, 20, 50)},
    }  # fmt: skip
    known = {"dataset": "digits", "resolve": 0.001, "alpha": 0.05, "power": 0.8, "error": None}
    document = {**known, "rows": [row], "notes": []}
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(resolution(document))
    text = capture.get()
    assert all(value in text.split() for value in ("0.20", "0.30", "0.50", "1.00", "2.00", "5.00"))
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text and "…" not in text


def test_a_plan_needs_no_final_where_an_error_rate_is_assumed(tmp_path, capsys):
    assert main(["plan", "--error", "1", "--images", "10000", "--home", str(tmp_path / "none"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["resolved_by_seeds"]["5"] == detectable(assumed(0.01), 5, 10_000)
    assert not (tmp_path / "none").exists()
    assert main(["plan", "--error", "1", "--home", str(tmp_path)]) == 0
    assert "0.10 take no number of seeds up to 1,000, or" in " ".join(capsys.readouterr().out.split())


def test_a_final_that_changed_is_left_out_of_a_plan_and_said_to_be(tmp_path, capsys):
    for seed, family in enumerate(("mlp", "cnn", "wide")):
        store(tmp_path, family, random_answers(seed))
    plan = ["plan", "--dataset", "digits", "--home", str(tmp_path)]
    assert main([*plan, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 3
    for family, rows in (("wide", 1), ("cnn", None)):
        (manifest,) = tmp_path.glob(f"results/digits/{family}/*/manifest.json")
        manifest.write_text("{}")
        assert main([*plan, "--json"]) == (0 if rows else 3)
        seen = capsys.readouterr()
        said = json.loads(seen.out)["notes"] if rows else seen.err.splitlines()
        assert rows is None or len(json.loads(seen.out)["rows"]) == rows
        assert len(said) == 1 and "Left out: " in said[0] and str(manifest) in said[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resolve", "0"], "must be a percentage above 0 and below 100, not '0'"),
        (["--error", "x"], "must be a percentage above 0 and below 100, not 'x'"),
        (["--images", "1"], "must be a whole number of at least 2, not '1'"),
        (["cnn", "--error", "1"], "leave the names or --error out"),
        (["--dataset", "digits"], "needs the finals of two families on digits, not 0. Before any final, --error 1"),
        (["cnn", "--dataset", "digits"], "'cnn' has no final on digits. There: none"),
    ],
)
def test_a_plan_that_cannot_be_made_says_why(tmp_path, capsys, arguments, said):
    assert main(["plan", *arguments, "--home", str(tmp_path)]) in (2, 3)
    assert said in capsys.readouterr().err
