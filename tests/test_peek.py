"""`bench peek`: what the habit pretends, from validation images alone."""

import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.cli import main
from bench.data.sealed import sealed_in
from bench.engines.fixed import Run, run_all
from bench.errors import ShapeError
from bench.optimism import optimism
from bench.terminal.peek import peek_table
from bench.training.answers import packed, unpacked
from bench.workers.pool import Place, Pool
from tests.command_line import bench, document

GOLDEN = Path(__file__).parent / "golden"
BEST_OF_5 = 1.16296  # mean of the largest of five standard normals


def drawn(seed, accuracy, shape):
    return np.random.default_rng(seed).random(shape) < accuracy


def test_of_looks_that_are_equally_good_and_share_no_mistakes_the_best_pretends_what_theory_says():
    images, accuracy = 400, 0.9
    found = np.mean([optimism(drawn(seed, accuracy, (1, 5, images))).pretended for seed in range(60)])
    expected = BEST_OF_5 * math.sqrt(accuracy * (1 - accuracy) / (images / 2))
    assert found == pytest.approx(expected, rel=0.15)


def test_it_agrees_with_halvings_that_are_drawn_one_by_one():
    answers, generator = drawn(3, 0.8, (2, 4, 60)), np.random.default_rng(9)
    lost = []
    for _ in range(4_000):
        order = generator.permutation(60)
        for one in answers:
            chooses, judges = one[:, order[:30]].mean(axis=1), one[:, order[30:]].mean(axis=1)
            best = max(range(4), key=lambda look: chooses[look])
            lost.append(chooses[best] - judges[best])
    assert optimism(answers).pretended == pytest.approx(np.mean(lost), abs=0.006)


def test_looks_with_the_same_answers_or_with_a_clear_winner_pretend_nothing():
    same = np.repeat(drawn(0, 0.9, (3, 1, 200)), 4, axis=1)
    assert optimism(same).pretended == pytest.approx(0, abs=1e-12)
    clear = np.concatenate([drawn(1, 0.1, (3, 3, 200)), drawn(2, 0.95, (3, 1, 200))], axis=1)
    found = optimism(clear)
    assert found.pretended == pytest.approx(0, abs=1e-12)
    assert found.judged == pytest.approx(clear[:, 3].mean())


def test_more_looks_and_fewer_images_pretend_more():
    answers = drawn(4, 0.9, (5, 20, 2_000))
    few, many = optimism(answers[:, :2]).pretended, optimism(answers).pretended
    assert 0 < few < many < optimism(answers[:, :, :200]).pretended


def test_one_seed_has_no_interval_and_too_little_is_refused():
    found = optimism(drawn(0, 0.9, (1, 3, 100)))
    assert (found.ci95, len(found.by_seed), found.looks) == (None, 1, 3)
    for shape in ((0, 3, 100), (2, 1, 100), (2, 3, 39)):
        with pytest.raises(ShapeError, match="two looks and 40 images or more"):
            optimism(np.zeros(shape, bool))


@pytest.mark.slow
def test_intervals_hold_what_other_seeds_and_images_would_show():
    def answers(generator):  # half of a look's mistakes are every look's, of every seed
        hard = generator.random(400) < 0.2
        return ~(hard & (generator.random((3, 4, 400)) < 0.5))

    generator = np.random.default_rng(0)
    found = [optimism(answers(generator)) for _ in range(300)]
    truth = np.mean([one.pretended for one in found])
    held = np.mean([one.ci95[0] <= truth <= one.ci95[1] for one in found])
    assert held >= 0.93  # rather too wide than too narrow


# --- the command, on digits

OPTIONS = ["mlp", "--dataset", "digits"]
PEEK = ["peek", *OPTIONS, "--configs", "2", "--seeds", "2"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    bench(folder, "search", *OPTIONS, "--trials", "3", "--range", "epochs=2:3", "--pruner", "none", "--seeds", "2")
    return folder


@pytest.fixture(scope="module")
def peeked(home):
    return document(home, *PEEK)


@pytest.mark.slow
def test_the_document_says_what_was_chosen_and_what_it_pretended(home, peeked):
    (sealed,) = sealed_in(home)
    assert (peeked["schema"], peeked["study"], peeked["seeds"]) == (1, "digits-mlp", 2)
    assert sum(peeked["halves"]) == peeked["validation_images"] == sealed.n_validation
    looks = [one["looks"] for one in peeked["configurations"]]
    assert looks == [one["params"]["epochs"] for one in peeked["configurations"]]
    assert {habit["choice"]: habit["looks"] for habit in peeked["habits"]} == {
        "epoch": looks[0],
        "configuration": 2,
        "both": sum(looks),
    }
    for habit in peeked["habits"]:
        assert habit["pretended"] == pytest.approx(habit["peeked"] - habit["judged"])
        assert habit["ci95"][0] <= habit["pretended"] <= habit["ci95"][1]
        assert 0.5 < habit["judged"] < 1


@pytest.mark.slow
def test_what_was_looked_at_is_kept_and_no_test_image_is_read(home, peeked):
    (sealed,) = sealed_in(home)
    before = {path: path.read_bytes() for path in (home / "ledger.jsonl", sealed.test_path)}
    logs = {path.name: path.stat().st_mtime_ns for path in (home / "logs").iterdir()}
    assert document(home, *PEEK) == peeked
    assert {path.name: path.stat().st_mtime_ns for path in (home / "logs").iterdir()} == logs
    answers = sorted((home / "peeks" / "digits-mlp").glob("*/*.bits"))
    assert len(answers) == 4
    answers[0].unlink()
    sealed.test_path.write_bytes(bytes(sealed.test_bytes))  # nothing can be learnt from it
    try:
        assert document(home, *PEEK) == peeked  # trained again, with the same seed
    finally:
        sealed.test_path.write_bytes(before[sealed.test_path])
    assert (home / "ledger.jsonl").read_bytes() == before[home / "ledger.jsonl"]


@pytest.mark.slow
def test_answers_that_do_not_read_back_are_named_with_the_way_out(home, peeked):
    path = min((home / "peeks" / "digits-mlp").glob("*/*.bits"))
    stored = path.read_bytes()
    path.write_bytes(stored[:100])
    try:
        said = bench(home, *PEEK, check=False)
    finally:
        path.write_bytes(stored)
    assert said.returncode != 0
    assert f"{path} does not read back" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.slow
def test_a_look_alone_leaves_nothing_to_choose(tmp_path):
    bench(tmp_path, "search", *OPTIONS, "--trials", "1", "--set", "epochs=1", "--no-final")
    said = bench(tmp_path, "peek", *OPTIONS, check=False)
    assert said.returncode == 3
    assert "is one look, and leaves nothing to choose" in said.stderr


def test_one_family_at_a_time_is_looked_at(tmp_path, capsys):
    assert main(["peek", "all", "--dataset", "digits", "--home", str(tmp_path)]) == 2
    assert "one family at a time" in capsys.readouterr().err


def test_a_study_that_is_not_there_is_said_to_be_missing(tmp_path, capsys):
    assert main(["peek", *OPTIONS, "--home", str(tmp_path)]) == 3
    assert "No study named 'digits-mlp' here." in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_diverges_counts_as_it_scores(digits, faulty, tmp_path):
    events, runs = [], []
    for number, fault in enumerate(("none", "nan")):
        kept = {"save_to": tmp_path / f"{fault}.bits", "looks": (digits.n_train, 2 * digits.n_train)}
        runs.append(Run({"fault": fault, "epochs": 2}, 1, number, 2 * digits.n_train, **kept))
    with Pool([Place(1)], digits.folder, [], tmp_path / "logs") as pool:
        well, diverged = run_all(runs, faulty, "float32", pool, events.append)
    shape = (2, digits.n_validation)
    answers = unpacked(runs[0].save_to.read_bytes(), shape)
    assert (answers.shape, answers.dtype) == (shape, bool)
    assert answers.mean(axis=1)[1] == pytest.approx(well.val_accuracy)
    assert answers[0].mean() < answers[1].mean()
    assert diverged.detail.startswith("diverged: ")
    assert not unpacked(runs[1].save_to.read_bytes(), shape).any()


# --- what is printed


def shown(seeds=3):
    def habit(choice, looks, peeked, judged, ci95):
        ends = {"peeked": peeked, "judged": judged, "pretended": peeked - judged}
        return {"choice": choice, "looks": looks, **ends, "ci95": ci95 if seeds > 1 else None, "by_seed": [0.0] * seeds}

    return {
        "schema": 1, "study": "mnist-cnn", "family": "cnn", "dataset": "mnist", "validation_images": 10_000,
        "halves": [5_000, 5_000], "seeds": seeds, "diverged": 0, "halvings": 500, "method": "",
        "configurations": [{"trial": trial, "params": {}, "looks": 8} for trial in range(5)],
        "habits": [
            habit("epoch", 8, 0.9921, 0.9911, [0.0004, 0.0016]),
            habit("configuration", 5, 0.9918, 0.9913, [-0.0002, 0.0012]),
            habit("both", 40, 0.9925, 0.9909, [0.0009, 0.0023]),
        ],
    }  # fmt: skip


def render(found, width):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(peek_table(found, width))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_table_is_what_it_was_and_fits(width, update_golden):
    text = render(shown(), width)
    assert all(len(line) <= width for line in text.splitlines())
    update_golden(GOLDEN / f"peek-{width}.txt", text)


def test_runs_that_diverged_are_named():
    assert "2 runs diverged, and got no image right" in " ".join(render({**shown(), "diverged": 2}, 80).split())


def test_answers_read_back_as_they_were_and_no_change_goes_unseen():
    answers = drawn(5, 0.8, (3, 101))
    stored = packed(answers)
    assert (unpacked(stored, (3, 101)) == answers).all()
    for place in range(len(stored)):
        changed = bytearray(stored)
        changed[place] ^= 4
        with pytest.raises(ValueError, match="it was changed"):
            unpacked(bytes(changed), (3, 101))
    for wrong in (b"", stored[:-1], stored + b"x"):
        with pytest.raises(ValueError, match="bytes are not 303 answers"):
            unpacked(wrong, (3, 101))


def test_hostile_names_are_text_and_one_seed_has_no_interval():
    text = render({**shown(seeds=1), "study": "[red]x[/] \x1b[31m\r\n"}, 80)
    assert "[red]x[/]" in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "there is no interval" in " ".join(text.split())
