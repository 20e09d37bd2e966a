import multiprocessing

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
    assert (tmp_path / ledger.NAME).read_bytes() == before * 2


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
