"""What every engine owes, on real digits: the same records, states and reasons, and never a look at the test split."""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.data.sealed import sealed_in
from bench.family import load
from bench.options import ENGINES
from bench.store import Store

BENCH = [sys.executable, "-m", "bench"]
FAMILIES = ("mlp", "cnn")
SHORT = ["--set", "epochs=9", "--range", "batch_size=32,64"]
SHORTENED = {"epochs": "9"}, {"batch_size": "32,64"}

EXPECTED = {
    "none": ("complete", None),
    "nan": ("failed", "diverged"),
    "memory": ("failed", "out of memory"),
    "raise": ("failed", "error"),
    "exit": ("failed", "crashed"),
    "kill": ("failed", "killed"),
}

pytestmark = pytest.mark.slow
each_engine = pytest.mark.parametrize("engine", ENGINES)


def command(home, family, engine, *options):
    what = [*BENCH, "search", str(family), "--engine", engine, "--dataset", "digits", "--no-final", "--home", str(home)]
    return [*what, *options]


def bench(home, family, engine, *options):
    run = subprocess.run(command(home, family, engine, *options, "--json"), capture_output=True, text=True)
    assert "Traceback" not in run.stderr, run.stderr
    return run


def trials(home, study):
    store = Store(home)
    try:
        return store.trials(study) if study in store.names() else []
    finally:
        store.close()


class Opened:
    """Whether a file was opened by any process since this was made (inotify(7))."""

    def __init__(self, path):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), 0x20) > 0  # IN_OPEN

    def __bool__(self):
        try:
            return bool(os.read(self._descriptor, 4096))
        except BlockingIOError:
            return False


@pytest.fixture(scope="module")
def sealed_home(tmp_path_factory):
    """A home whose digits are sealed already, so that no later process has a reason to open the test split."""
    from bench.holdout.seal import ensure

    home = tmp_path_factory.mktemp("home")
    ensure(home, "digits", None, lambda line: None)
    return home


@pytest.fixture(scope="module")
def searched(sealed_home):
    """(engine, family) -> (document, trials) of a search of twelve trials, made once."""
    made = {}

    def search(engine, family):
        if (engine, family) not in made:
            (sealed,) = sealed_in(sealed_home)
            opened = Opened(sealed.test_path)
            run = bench(sealed_home, family, engine, "--trials", "12", *SHORT)
            assert run.returncode == 0, run.stderr
            assert not opened, "the test split was opened"
            document = json.loads(run.stdout)
            made[engine, family] = document, trials(sealed_home, document["study"])
        return made[engine, family]

    return search


def test_the_watch_on_the_test_split_sees_an_opening(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    opened = Opened(path)
    assert not opened
    path.read_text()
    assert opened


@each_engine
@pytest.mark.parametrize("family", FAMILIES)
def test_a_search_ends_with_exactly_its_trials_each_once_and_inside_its_space(searched, engine, family):
    document, found = searched(engine, family)
    suffix = "" if engine == "optuna" else f"-{engine}"
    assert (document["engine"], document["study"]) == (engine, f"digits-{family}{suffix}")
    counts = document["trials"]
    assert counts["total"] == 12 == counts["complete"] + counts["pruned"] + counts["failed"]
    assert [trial.number for trial in found] == list(range(12))
    assert {trial.state for trial in found} <= {"complete", "pruned", "failed"}
    space = load(family).space.override(*SHORTENED)
    for trial in found[1:]:
        assert space.problems_of(trial.params) == []
    assert len({tuple(sorted(trial.params.items())) for trial in found}) > 6


@each_engine
@pytest.mark.parametrize("family", FAMILIES)
def test_trial_zero_is_the_reference_and_is_never_pruned(searched, engine, family):
    _, found = searched(engine, family)
    assert found[0].state == "complete"
    whole = load(family)
    assert found[0].params == whole.overridden(whole.space.override(*SHORTENED)).reference


@each_engine
def test_records_are_whole_and_a_pruned_trial_has_seen_less_than_a_complete_one(searched, engine):
    for family in FAMILIES:
        _, found = searched(engine, family)
        complete = [trial for trial in found if trial.state == "complete"]
        pruned = [trial for trial in found if trial.state == "pruned"]
        for trial in [*complete, *pruned]:
            assert 0.0 <= trial.val_accuracy <= 1.0
            assert trial.curve and trial.curve[-1][1] == trial.val_accuracy
            assert trial.parameters > 0 and trial.seconds.train + trial.seconds.trace > 0
            assert trial.seed is not None and trial.worker is not None and trial.elapsed > 0
            assert sum(images for _, _, images in trial.confusion) > 0
            assert trial.losses
        if pruned:
            assert max(trial.samples for trial in pruned) < min(trial.samples for trial in complete)


@each_engine
def test_some_trial_is_pruned_by_the_default_pruner(searched, engine):
    """Else the comparison of samples above would hold of nothing."""
    assert any(trial.state == "pruned" for family in FAMILIES for trial in searched(engine, family)[1])


@each_engine
def test_optunas_own_command_line_reads_the_result(searched, sealed_home, engine):
    document, found = searched(engine, "mlp")
    url = f"sqlite:///{sealed_home / 'bench.db'}"
    optuna = str(Path(sys.executable).with_name("optuna"))
    arguments = [optuna, "trials", "--study-name", document["study"], "--storage", url, "-f", "json"]
    run = subprocess.run(arguments, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    rows = json.loads(run.stdout)
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    assert [(row["number"], row["state"]) for row in rows] == [(t.number, states[t.state]) for t in found]


@each_engine
def test_the_dashboard_reads_the_result(searched, sealed_home, engine):
    from dashboards.dashboard import open_dashboard

    document, found = searched(engine, "mlp")
    server = open_dashboard(sealed_home, None, 0)
    try:
        assert document["study"] in {study["study_name"] for study in studies_of(server)}
    finally:
        server.server_close()
    assert len(found) == 12


def studies_of(server):
    import threading
    import urllib.request

    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/api/studies", timeout=30) as answer:
            return json.load(answer)["study_summaries"]
    finally:
        server.shutdown()


# Fewer than five that fail, and a first one that does not: five first trials that fail end a search.
@each_engine
@pytest.mark.parametrize("faults", [("none", "exit", "kill", "nan"), ("none", "memory", "raise")])
def test_states_and_reasons_mean_the_same(tmp_path, faulty, engine, faults):
    options = ["--sampler", "grid", "--range", f"fault={','.join(faults)}", "--set", "epochs=1"]
    bench(tmp_path / "home", faulty, engine, *options, "--trials", str(len(faults)), "--workers", "1")
    found = trials(tmp_path / "home", f"digits-faulty{'' if engine == 'optuna' else f'-{engine}'}")
    assert {trial.params["fault"]: (trial.state, trial.reason) for trial in found} == {
        fault: EXPECTED[fault] for fault in faults
    }
    for trial in found:
        assert trial.attempts == (2 if trial.params["fault"] in ("exit", "kill") else 1)
        assert (trial.val_accuracy is None) == (trial.state == "failed")


@each_engine
def test_a_trial_that_takes_too_long_has_timed_out(tmp_path, faulty, engine):
    options = ["--trials", "2", "--workers", "1", "--range", "fault=none,long", "--set", "epochs=100000"]
    bench(tmp_path, faulty, engine, *options, "--trial-timeout", "4s", "--pruner", "none")
    found = trials(tmp_path, f"digits-faulty{'' if engine == 'optuna' else f'-{engine}'}")
    late = [trial for trial in found if trial.params["epochs"] == 100_000]
    assert late
    assert {(trial.state, trial.reason) for trial in late} == {("failed", "timed out")}


@each_engine
def test_what_an_engine_cannot_do_is_said_before_a_study_is_made(tmp_path, engine):
    run = bench(tmp_path, "mlp", engine, "--trials", "2", "--sampler", "no-such-sampler")
    assert run.returncode == 2
    assert "sampler" in run.stderr
    others = [name for other in ENGINES.values() for name in other.samplers if name not in ENGINES[engine].samplers]
    for sampler in sorted({*others})[:1]:
        run = bench(tmp_path, "mlp", engine, "--trials", "2", "--sampler", sampler)
        assert run.returncode == 2
        assert ENGINES[engine].samplers[0] in run.stderr
    assert not (tmp_path / "bench.db").exists() or Store(tmp_path).names() == []
