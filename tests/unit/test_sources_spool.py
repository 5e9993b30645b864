from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import pytest

from cline_otel.catalogue.load import read_tables
from cline_otel.sources.files.processes import Presence, ProcessKey, ProcessTable
from cline_otel.sources.files.tailing import Position, UnreadableFile, encode_position
from cline_otel.sources.interface import Unread
from cline_otel.sources.plugin.spool import SILENT_AFTER_NS, SpoolReader, parse_name
from cline_otel.sources.plugin.spool_input import SpoolInput
from source_tree import ROOT, needs_source

_NOW_NS = 1_800_000_000 * 10**9
FIRST = ProcessKey(1_000, 11)
SECOND = ProcessKey(2_000, 12)


class Presences(ProcessTable):
    """Says what it was told; processes it was told nothing of are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[ProcessKey, Presence] = {}

    def presences(self, processes: Iterable[ProcessKey]) -> dict[ProcessKey, Presence]:
        return {process: self.told.get(process, Presence.ALIVE) for process in processes}


class Spool:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.presences = Presences()
        self.reader = SpoolReader(directory, self.presences, lambda: _NOW_NS)
        self.positions: dict[str, Position] = {}

    def write(self, process: ProcessKey, sequence: int, content: bytes) -> Path:
        self.directory.mkdir(exist_ok=True)
        path = self.directory / f"{process.pid}-{process.started_at_ms}-{sequence}.jsonl"
        with path.open("ab") as file:
            file.write(content)
        os.utime(path, ns=(_NOW_NS, _NOW_NS))
        return path

    def poll(self, limit_bytes: int = 1_000_000) -> list[tuple[ProcessKey, int, list[bytes]]]:
        chunks = self.reader.poll(self.positions, limit_bytes)
        self.positions |= {chunk.file.key: chunk.position for chunk in chunks}
        return [(chunk.file.process, chunk.file.sequence, chunk.lines) for chunk in chunks]

    def drain(self) -> list[bytes]:
        lines: list[bytes] = []
        while chunks := self.poll():
            lines += [line for _, _, chunk_lines in chunks for line in chunk_lines]
        return lines

    def finished(self) -> list[tuple[str, bool]]:
        return [(file.file.name, file.is_process_gone) for file in self.reader.finished(self.positions)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def test_a_missing_directory_is_made_for_its_owner_alone(spool: Spool) -> None:
    assert spool.poll() == []
    assert stat.S_IMODE(spool.directory.stat().st_mode) == 0o700


def test_a_name_tells_the_process_and_the_sequence() -> None:
    file = parse_name("4711-1700000000123-3.jsonl")
    assert file is not None
    assert (file.process, file.sequence) == (ProcessKey(1_700_000_000_123, 4711), 3)
    assert file.key == "spool/4711-1700000000123-3.jsonl"


@pytest.mark.parametrize(
    "name",
    ["", "notes.txt", "1-2.jsonl", "1-2-3.jsonl.tmp", "a-2-3.jsonl", "-1-2-3.jsonl", "0-2-3.jsonl", "1-2-3.jsonl\n"],
)
def test_a_name_of_another_form_is_none_of_ours(name: str) -> None:
    assert parse_name(name) is None


def test_processes_are_read_in_the_order_of_their_start_and_files_by_their_number(spool: Spool) -> None:
    spool.write(SECOND, 0, b"d\n")
    spool.write(FIRST, 10, b"c\n")
    spool.write(FIRST, 9, b"b\n")
    spool.write(FIRST, 0, b"a\n")
    assert spool.poll() == [(FIRST, 0, [b"a"]), (SECOND, 0, [b"d"])]
    assert spool.poll() == [(FIRST, 9, [b"b"])]
    assert spool.poll() == [(FIRST, 10, [b"c"])]
    assert spool.poll() == []


def test_one_call_reads_about_as_much_as_its_limit(spool: Spool) -> None:
    for pid in range(1, 6):
        spool.write(ProcessKey(pid, pid), 0, b"0123456789\n" * 10)
    assert sum(len(lines) for _, _, lines in spool.poll(limit_bytes=250)) < 30
    rest = spool.drain()
    assert set(rest) == {b"0123456789"}
    assert sum(position.offset for position in spool.positions.values()) == 5 * 110


def test_a_torn_last_line_of_a_living_process_is_left(spool: Spool) -> None:
    spool.write(FIRST, 0, b"a\nto")
    assert spool.drain() == [b"a"]
    spool.write(FIRST, 0, b"rn\n")
    assert spool.drain() == [b"torn"]


def test_a_torn_last_line_is_delivered_when_the_file_was_rolled_or_its_process_is_gone(spool: Spool) -> None:
    spool.write(FIRST, 0, b"a\nto")
    spool.write(FIRST, 1, b"b\nrn")
    assert spool.drain() == [b"a", b"to", b"b"]
    spool.presences.told[FIRST] = Presence.GONE
    assert spool.drain() == [b"rn"]


def test_a_rolled_file_is_finished_once_it_is_read(spool: Spool) -> None:
    rolled = spool.write(FIRST, 0, b"a\n")
    spool.write(FIRST, 1, b"b\n")
    assert spool.finished() == []
    spool.drain()
    assert spool.finished() == [(rolled.name, False)]


def test_the_files_of_a_process_that_is_gone_are_finished_once_all_are_read(spool: Spool) -> None:
    first, second = spool.write(FIRST, 0, b"a\n"), spool.write(FIRST, 1, b"b\n")
    spool.presences.told[FIRST] = Presence.GONE
    spool.poll()
    assert spool.finished() == []
    spool.drain()
    assert spool.finished() == [(first.name, True), (second.name, True)]


def test_an_empty_file_of_a_process_that_is_gone_is_finished(spool: Spool) -> None:
    path = spool.write(FIRST, 0, b"")
    assert spool.finished() == []
    spool.presences.told[FIRST] = Presence.GONE
    assert spool.finished() == [(path.name, True)]


def test_a_process_that_cannot_be_seen_is_gone_only_after_all_its_files_were_silent_for_a_day(spool: Spool) -> None:
    rolled, last = spool.write(FIRST, 0, b"a\n"), spool.write(FIRST, 1, b"b\n")
    spool.presences.told[FIRST] = Presence.UNKNOWN
    spool.drain()
    long_ago_ns = _NOW_NS - SILENT_AFTER_NS - 1
    os.utime(rolled, ns=(long_ago_ns, long_ago_ns))
    os.utime(last, ns=(long_ago_ns + 1, long_ago_ns + 1))
    assert spool.finished() == [(rolled.name, False)]
    os.utime(last, ns=(long_ago_ns, long_ago_ns))
    assert spool.finished() == [(rolled.name, True), (last.name, True)]


@pytest.mark.parametrize(
    ("lines", "is_gone"),
    [
        (b'{"v":1,"event":"process.exited","time_unix_ms":1,"reason":"terminated"}\n', True),
        (b'{"v":1,"event":"process.exited"}\n{"v":1,"event":"run.started"}\n', False),
        (b'{"v":1,"event":"process.exited","time_un', False),
        (b"a" * 10_000 + b"\n", False),
        (b"", False),
    ],
)
def test_a_process_that_cannot_be_seen_is_gone_when_its_last_line_says_so(
    spool: Spool, lines: bytes, is_gone: bool
) -> None:
    path = spool.write(FIRST, 0, lines)
    spool.presences.told[FIRST] = Presence.UNKNOWN
    spool.drain()
    assert spool.finished() == ([(path.name, True)] if is_gone else [])


def test_a_living_process_may_be_silent_for_as_long_as_it_likes(spool: Spool) -> None:
    path = spool.write(FIRST, 0, b"a\n")
    os.utime(path, ns=(0, 0))
    spool.drain()
    assert spool.finished() == []


def test_a_file_is_deleted_only_if_it_has_not_grown(spool: Spool) -> None:
    path = spool.write(FIRST, 0, b"a\n")
    spool.presences.told[FIRST] = Presence.GONE
    spool.drain()
    (finished,) = spool.reader.finished(spool.positions)
    spool.write(FIRST, 0, b"b\n")
    assert not spool.reader.delete(finished.file, spool.positions[finished.file.key])
    assert spool.drain() == [b"b"]
    assert spool.reader.delete(finished.file, spool.positions[finished.file.key])
    assert not path.exists()
    assert spool.reader.delete(finished.file, spool.positions[finished.file.key])


def test_foreign_files_are_left_alone(spool: Spool, tmp_path: Path) -> None:
    spool.write(FIRST, 0, b"a\n")
    secret = tmp_path / "secret"
    secret.write_bytes(b"not ours\n")
    (spool.directory / "11-1000-1.jsonl").symlink_to(secret)
    (spool.directory / "11-1000-2.jsonl").mkdir()
    os.mkfifo(spool.directory / "11-1000-3.jsonl")
    (spool.directory / "notes.txt").write_bytes(b"notes\n")
    spool.presences.told[FIRST] = Presence.GONE
    assert spool.drain() == [b"a"]
    assert spool.finished() == [("11-1000-0.jsonl", True)]
    assert spool.reader.problems == {}


def test_a_file_swapped_for_a_symlink_after_it_was_listed_is_not_followed(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = spool.write(FIRST, 0, b"a\n")
    files = spool.reader._list()
    monkeypatch.setattr(spool.reader, "_list", lambda: files)
    secret = tmp_path / "secret"
    secret.write_bytes(b"not ours\n")
    path.unlink()
    path.symlink_to(secret)
    assert spool.poll() == []
    assert list(spool.reader.problems) == ["spool/11-1000-0.jsonl"]


def test_a_file_that_cannot_be_read_holds_up_its_own_process_alone(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cline_otel.sources.plugin import spool as spool_module

    broken = spool.write(FIRST, 0, b"a\n")
    spool.write(FIRST, 1, b"b\n")
    spool.write(SECOND, 0, b"c\n")
    read_chunk = spool_module.read_chunk

    def refuse_one(path: Path, *arguments: object, **options: object) -> object:
        if path == broken:
            raise UnreadableFile(path, "permission denied", "mend it")
        return read_chunk(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(spool_module, "read_chunk", refuse_one)
    assert spool.drain() == [b"c"]
    assert spool.reader.problems == {"spool/11-1000-0.jsonl": f"cannot read {broken}: permission denied; mend it"}
    assert spool.finished() == []


def test_a_directory_that_cannot_be_listed_is_told_and_nothing_is_taken_for_missing(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")
    reader = SpoolReader(tmp_path / "spool")
    assert reader.poll({}) == []
    assert "make it a directory" in reader.problems["spool/"]
    assert reader.missing(["spool/1-2-3.jsonl"]) == []


def test_cursors_without_a_file_are_missing(spool: Spool) -> None:
    path = spool.write(FIRST, 0, b"a\n")
    keys = [f"spool/{path.name}", "spool/1-2-3.jsonl", "otlp"]
    assert spool.reader.missing(keys) == ["spool/1-2-3.jsonl"]


def test_a_file_made_anew_under_a_deleted_name_is_read_from_its_start(spool: Spool) -> None:
    path = spool.write(FIRST, 0, b"a\n")
    spool.drain()
    path.unlink()
    spool.write(FIRST, 0, b"longer than before\n")
    assert spool.drain() == [b"longer than before"]


def test_the_lag_counts_all_files(spool: Spool) -> None:
    spool.write(FIRST, 0, b"a\n")
    spool.drain()
    spool.write(FIRST, 0, b"bc\n")
    spool.write(SECOND, 0, b"def\n")
    cursors = {key: encode_position(position) for key, position in spool.positions.items()}
    assert SpoolInput("plugin", spool.reader).unread(cursors) == Unread(7, 2)


@needs_source
def test_the_page_of_the_spool_says_which_fields_each_event_has() -> None:
    page = (ROOT / "docs" / "spool-format.md").read_text(encoding="utf-8")
    rows = page.partition("| event | from hook | fields |\n")[2].partition("\n\n")[0].splitlines()[1:]
    said = {row.split("`")[1]: row.strip("|").split("|") for row in rows}
    assert {event: len(cells) for event, cells in said.items()} == dict.fromkeys(said, 3)
    for name, event in read_tables().vocabularies["plugin"].events.items():
        fields = said["compaction.started" if name.startswith("compaction.") else name][2]
        assert [field for field in event.fields if f"`{field}`" not in fields] == []
