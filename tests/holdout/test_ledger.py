import hashlib
import json
import multiprocessing
import sys

import pytest

from bench.errors import RecordError
from bench.holdout import ledger

LOOK = {"event": "look", "data_checksum": "abc", "family": "cnn"}


def _record_many(home, writer):
    for number in range(20):
        ledger.record(home, {**LOOK, "writer": writer, "number": number, "filler": "x" * 3_000})


def test_a_home_without_looks_has_an_empty_ledger(tmp_path):
    assert ledger.read(tmp_path) == []
    assert ledger.looks(tmp_path, "abc", "cnn") == 0


def test_looks_are_counted_by_data_and_family(tmp_path):
    for change in ({}, {}, {"family": "mlp"}, {"data_checksum": "other"}, {"event": "note"}):
        ledger.record(tmp_path, {**LOOK, **change})
    assert ledger.looks(tmp_path, "abc", "cnn") == 2
    assert len(ledger.read(tmp_path)) == 5


def test_nothing_that_was_written_changes(tmp_path):
    ledger.record(tmp_path, LOOK)
    before = (tmp_path / ledger.NAME).read_bytes()
    ledger.record(tmp_path, LOOK)
    after = (tmp_path / ledger.NAME).read_bytes()
    assert after.startswith(before) and after.count(b"\n") == 2


def test_a_torn_last_line_is_skipped_and_the_next_entry_starts_afresh(tmp_path):
    ledger.record(tmp_path, LOOK)
    path = tmp_path / ledger.NAME
    path.write_bytes(path.read_bytes() + b'{"event": "loo')
    assert ledger.read(tmp_path) == [LOOK]
    ledger.record(tmp_path, {**LOOK, "family": "mlp"})
    assert ledger.read(tmp_path) == [LOOK, {**LOOK, "family": "mlp"}]
    assert b'{"event": "loo\n' in path.read_bytes()


def test_an_entry_that_only_lacks_its_newline_counts(tmp_path):
    ledger.record(tmp_path, LOOK)
    path = tmp_path / ledger.NAME
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert ledger.looks(tmp_path, "abc", "cnn") == 1
    ledger.record(tmp_path, LOOK)
    assert ledger.looks(tmp_path, "abc", "cnn") == 2


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_second_kill_at_any_byte_after_the_first_loses_no_whole_entry(tmp_path, cut):
    path = tmp_path / ledger.NAME
    ledger.record(tmp_path, LOOK)
    path.write_bytes(path.read_bytes() + b'{"even')
    before = path.read_bytes()
    ledger.record(tmp_path, {**LOOK, "family": "mlp"})
    path.write_bytes(path.read_bytes()[: len(before) + 1 + cut])
    ledger.record(tmp_path, {**LOOK, "family": "last"})
    families = [entry["family"] for entry in ledger.read(tmp_path)]
    assert families in (["cnn", "last"], ["cnn", "mlp", "last"])


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    for _ in range(3):
        ledger.record(tmp_path, LOOK)
    path = tmp_path / ledger.NAME
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1][5:] + lines[2])
    with pytest.raises(RecordError, match=r"ledger\.jsonl, line 2 does not read back"):
        ledger.looks(tmp_path, "abc", "cnn")


def test_two_processes_can_record_at_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_record_many, args=(tmp_path, writer)) for writer in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    written = [(entry["writer"], entry["number"]) for entry in ledger.read(tmp_path)]
    assert sorted(written) == [(writer, number) for writer in range(2) for number in range(20)]


def test_every_line_holds_the_hash_of_all_that_stands_before_it(tmp_path):
    for number in range(3):
        ledger.record(tmp_path, {**LOOK, "number": number})
    whole = (tmp_path / ledger.NAME).read_bytes()
    lines = whole.splitlines(keepends=True)
    for number, line in enumerate(lines):
        assert json.loads(line)["before"] == hashlib.sha256(b"".join(lines[:number])).hexdigest()
    assert ledger.first_changed(tmp_path) is None


def change(lines):
    return [lines[0].replace(b"cnn", b"mlp"), *lines[1:]]


def remove_the_second(lines):
    return [lines[0], *lines[2:]]


def swap(lines):
    return [lines[0], lines[2], lines[1], lines[3]]


def put_one_in(lines):
    return [*lines[:2], json.dumps({**LOOK, "family": "made up"}).encode() + b"\n", *lines[2:]]


@pytest.mark.parametrize(("damage", "line"), [(change, 2), (remove_the_second, 2), (swap, 2), (put_one_in, 3)])
def test_a_line_that_was_changed_put_in_or_taken_out_shows_at_the_next(tmp_path, damage, line):
    for number in range(4):
        ledger.record(tmp_path, {**LOOK, "number": number})
    path = tmp_path / ledger.NAME
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    assert ledger.first_changed(tmp_path) == line
    ledger.record(tmp_path, LOOK)  # what comes later does not mend it
    assert ledger.first_changed(tmp_path) == line


def test_torn_lines_and_lines_of_versions_without_hashes_are_no_change(tmp_path):
    path = tmp_path / ledger.NAME
    path.write_bytes(json.dumps(LOOK).encode() + b"\n")
    ledger.record(tmp_path, LOOK)
    path.write_bytes(path.read_bytes() + b'{"event": "loo')
    assert ledger.first_changed(tmp_path) is None
    ledger.record(tmp_path, LOOK)
    assert ledger.first_changed(tmp_path) is None
    assert ledger.read(tmp_path) == [LOOK] * 3


def test_the_command_is_as_it_was_typed_without_a_password(monkeypatch):
    url = "postgresql://me:secret@host/db"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/bench", "final", "my family", "--storage", url])
    assert ledger.command() == "bench final 'my family' --storage 'postgresql://me:***@host/db'"
    monkeypatch.setattr(sys, "argv", ["/somewhere/bench/__main__.py", "search", "cnn"])
    assert ledger.command() == "bench search cnn"
    monkeypatch.setattr(sys, "argv", ["study.py"])
    assert ledger.command() == "study.py"
