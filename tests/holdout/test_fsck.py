"""`bench fsck` sees every change to what was stored, mends what can be mended, and sets the rest aside."""

import json
import os
import shutil
import sqlite3
import subprocess
import time

import pytest
from homes import bench, one, replace_the_storage

from bench.holdout import fsck, ledger

pytestmark = pytest.mark.slow  # the home that they change takes a search and a final


def test_a_home_as_it_was_made_is_clean(home):
    run = bench(home, "fsck")
    assert run.returncode == 0
    assert [line.split()[-1] for line in run.stdout.splitlines()] == ["ok"] * 5


def truncate_the_storage(home):
    path = home / "bench.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:9000])


def change_a_manifest(home):
    path = one(home, "results/digits/mlp/*/manifest.json")
    path.write_text(path.read_text().replace('"precision"', '"precision "'))


def change_a_result(home):
    path = one(home, "results/digits/mlp/*/result.json")
    document = json.loads(path.read_text())
    document["test_accuracy"] = 0.999
    path.write_text(json.dumps(document))


def cut_the_predictions(home):
    path = one(home, "results/digits/mlp/*/predictions.npz")
    path.write_bytes(path.read_bytes()[:-40])


def lose_the_model(home):
    one(home, "results/digits/mlp/*/model.keras").unlink()


def swap_the_model(home):
    one(home, "results/digits/mlp/*/model.keras").write_bytes(b"another model")


def change_a_sealed_image(home):
    path = one(home, "cache/*/train.npz")
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)


def break_a_seal(home):
    one(home, "cache/*/seal.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "part", "gone"),
    [
        (truncate_the_storage, "storage", "bench.db"),
        (replace_the_storage, "storage", "bench.db"),
        (change_a_manifest, "results", "results/digits/mlp/*/manifest.json"),
        (change_a_result, "results", "results/digits/mlp/*/manifest.json"),
        (cut_the_predictions, "results", "results/digits/mlp/*/manifest.json"),
        (lose_the_model, "results", "results/digits/mlp/*/manifest.json"),
        (swap_the_model, "results", "results/digits/mlp/*/manifest.json"),
        (change_a_sealed_image, "sealed data", "cache/*/seal.json"),
        (break_a_seal, "sealed data", "cache/*/seal.json"),
    ],
)
def test_damage_is_seen_then_set_aside_and_the_home_works_again(home, damage, part, gone):
    damage(home)
    seen = bench(home, "fsck", "--json")
    assert seen.returncode == 3
    assert part in {row["part"] for row in json.loads(seen.stdout)["rows"]}
    assert list(home.glob(gone)), "a check alone must change nothing"
    bench(home, "fsck", "--repair")
    assert not list(home.glob(gone))
    assert list((home / "quarantine").glob(f"*/{gone}"))
    assert bench(home, "fsck").returncode == 0
    assert bench(home, "leaderboard", "--dataset", "digits").returncode == 0
    assert bench(home, "studies").returncode == 0


def test_a_torn_ledger_line_is_closed_off_and_a_broken_one_is_left_to_the_user(home):
    path = home / "ledger.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "lo')
    assert bench(home, "fsck", "--repair").returncode == 0
    assert path.read_bytes().startswith(whole)
    assert bench(home, "fsck").returncode == 0
    broken = b'{"event": "lo\n' + whole
    path.write_bytes(broken)
    run = bench(home, "fsck", "--repair")
    assert run.returncode == 3
    assert "restore it from a copy" in run.stdout
    assert path.read_bytes() == broken


def test_a_final_whose_look_is_not_in_the_ledger_is_named(home):
    (home / "ledger.jsonl").write_text("")
    run = bench(home, "fsck")
    assert run.returncode == 3
    assert "no look is noted" in run.stdout


def test_a_ledger_of_which_a_line_was_changed_or_that_is_gone_is_named(home):
    path = home / "ledger.jsonl"
    ledger.record(home, {"event": "note", "text": "another line"})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"seeds": 2', b'"seeds": 3'))
    (problem,) = fsck._ledger(home)
    assert "line 2 does not follow from those before it" in problem.what and problem.repair is None
    path.unlink()
    assert any("no look is noted" in problem.what for problem in fsck._ledger(home))


def test_leftovers_of_a_kill_are_removed_but_not_what_may_be_under_way(home):
    old, new = home / "results" / ".result.json.abc.tmp", home / "results" / ".result.json.def.tmp"
    models = home / "work" / "digits-mlp"
    models.mkdir(parents=True)
    (models / "seed-0.keras").write_bytes(b"weights")
    for path in (old, new):
        path.write_text("{")
    then = time.time() - 3600
    os.utime(old, (then, then))
    bench(home, "fsck", "--repair")
    assert (old.exists(), new.exists(), models.exists()) == (False, True, False)


def test_a_database_of_a_newer_schema_is_refused_with_the_way_out(home):
    with sqlite3.connect(home / "bench.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.9.a'")
    connection.close()
    for command in (["studies"], ["search", "mlp", "--dataset", "digits", "--trials", "3"], ["fsck"]):
        run = bench(home, *command)
        assert run.returncode == 3
        assert "--home" in run.stderr + run.stdout


def test_what_a_final_under_way_has_written_is_left_alone(home):
    """A manifest without a result, while its exam or its study is at work, is no leftover."""
    from filelock import FileLock

    from bench import lock

    (folder,) = home.glob("results/digits/mlp/*")
    (folder / "result.json").unlink()
    for held in (FileLock(home / "locks" / f"exam-{folder.name}.lock"), lock.hold(home, "digits-mlp")):
        with held:
            assert bench(home, "fsck", "--repair").returncode in (0, 3)
            assert folder.is_dir()
    bench(home, "fsck", "--repair")
    assert not folder.exists()


def test_data_that_is_being_sealed_is_left_alone(home):
    from filelock import FileLock

    break_a_seal(home)
    with FileLock(home / "cache" / ".lock"):
        assert bench(home, "fsck", "--repair").returncode == 0
        assert list(home.glob("cache/*/seal.json"))
    bench(home, "fsck", "--repair")
    assert not list(home.glob("cache/*/seal.json"))


def test_a_home_that_cannot_be_written_is_not_called_broken(home):
    """Mounted read-only, as an archive would be; permissions would not bind root."""
    place = home.parent / "read-only"
    place.mkdir()
    mounted = subprocess.run(["mount", "--bind", str(home), str(place)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        shown = bench(place, "fsck")
        assert shown.returncode == 3
        assert "quarantine" not in shown.stdout and "Read-only file system" in shown.stdout
        assert bench(place, "leaderboard", "--dataset", "digits").returncode == 0
        for command, code in (
            (["studies"], 1),
            (["search", "mlp", "--dataset", "digits"], 2),
            (["fsck", "--repair"], 3),
        ):
            run = bench(place, *command)
            assert run.returncode == code
            assert "not writable" in run.stderr or "Read-only" in run.stderr + run.stdout
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert bench(home, "fsck").returncode == 0


@pytest.mark.parametrize("name", ["ledger.jsonl", "locks", "cache", "bench.db.lock", "bench.db", "results"])
def test_a_file_in_the_way_or_a_folder_is_named_without_a_traceback(home, name):
    path = home / name
    was_folder = path.is_dir()
    shutil.rmtree(path) if was_folder else path.unlink()
    path.write_text("in the way") if was_folder else path.mkdir()
    options = ["--dataset", "digits", "--trials", "2", "--seeds", "2", "--range", "epochs=1:12"]
    run = bench(home, "search", "mlp", *options)
    assert run.returncode in (1, 2, 3)
    assert name in run.stderr.strip().splitlines()[-1]


def test_a_home_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    for command in (["studies"], ["trials", "mlp", "--dataset", "digits"], ["fsck"], ["search", "mlp"]):
        run = bench(path, *command)
        assert run.returncode in (1, 2)
        assert "file" in run.stderr
