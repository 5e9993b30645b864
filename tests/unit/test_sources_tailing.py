from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from cline_otel.sources.files.tailing import Chunk, Position, Tail, UnreadableFile, read_chunk, unread_bytes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "growing.log"


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def read(path: Path, position: Position | None, **options: int | bool) -> Chunk:
    chunk = read_chunk(path, position, **options)
    assert chunk is not None
    return chunk


def test_whole_lines_are_delivered_without_their_newlines(path: Path) -> None:
    append(path, b"one\n\ntwo\n")
    chunk = read(path, None)
    assert chunk.lines == [b"one", b"", b"two"]
    assert (chunk.first_offset, chunk.position.offset) == (0, 9)
    assert read_chunk(path, chunk.position) is None


def test_a_torn_last_line_is_left_for_the_next_poll(path: Path) -> None:
    append(path, b"one\ntw")
    chunk = read(path, None)
    assert chunk.lines == [b"one"]
    assert read_chunk(path, chunk.position) is None
    append(path, b"o\n")
    assert read(path, chunk.position).lines == [b"two"]


def test_a_torn_last_line_of_a_complete_file_is_delivered_as_it_is(path: Path) -> None:
    append(path, b"one\ntw")
    chunk = read(path, None, is_complete=True)
    assert chunk.lines == [b"one"]
    chunk = read(path, chunk.position, is_complete=True)
    assert chunk.lines == [b"tw"]
    assert read_chunk(path, chunk.position, is_complete=True) is None


def test_a_position_survives_a_restart(path: Path) -> None:
    append(path, b"one\n")
    kept = msgspec.msgpack.encode(read(path, None).position)
    append(path, b"two\n")
    assert read(path, msgspec.msgpack.decode(kept, type=Position)).lines == [b"two"]


def test_the_largest_inode_numbers_fit_in_a_position() -> None:
    position = Position(2**64 - 1, 2**64 - 1, 2**62, b"\xff" * 16, True)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(position), type=Position) == position


def test_a_position_holds_when_devices_are_numbered_anew(path: Path) -> None:
    append(path, b"one\n")
    position = read(path, None).position
    append(path, b"two\n")
    moved = msgspec.structs.replace(position, device=position.device + 1)
    assert read(path, moved).lines == [b"two"]


def test_a_truncated_file_is_read_from_its_start(path: Path) -> None:
    append(path, b"a long first line\n")
    position = read(path, None).position
    path.write_bytes(b"short\n")
    assert read(path, position).lines == [b"short"]


def test_a_file_truncated_and_grown_past_the_position_is_read_from_its_start(path: Path) -> None:
    append(path, b"first\n")
    position = read(path, None).position
    path.write_bytes(b"other\nand more\n")
    assert read(path, position).lines == [b"other", b"and more"]


def test_another_file_under_a_reused_inode_is_read_from_its_start(path: Path) -> None:
    append(path, b"first\n")
    position = read(path, None).position
    path.unlink()
    append(path, b"other\nand more\n")
    reused = msgspec.structs.replace(position, inode=path.stat().st_ino)
    assert read(path, reused).lines == [b"other", b"and more"]


def test_a_chunk_holds_about_as_much_as_its_limit(path: Path) -> None:
    append(path, b"".join(b"%05d\n" % number for number in range(100)))
    position, lines, chunks = None, [], 0
    while (chunk := read_chunk(path, position, limit_bytes=60)) is not None:
        assert len(chunk.lines) <= 10
        lines += chunk.lines
        position = chunk.position
        chunks += 1
    assert lines == [b"%05d" % number for number in range(100)]
    assert chunks == 10


def test_a_line_longer_than_a_chunk_is_delivered_whole(path: Path) -> None:
    append(path, b"x" * 5_000 + b"\nnext\n")
    assert read(path, None, limit_bytes=64).lines == [b"x" * 5_000, b"next"]


@pytest.mark.parametrize("limit_bytes", [16, 64, 300, 100_000])
@pytest.mark.parametrize("length", [100, 101, 1_000, 1_001])
def test_a_line_that_is_too_long_is_skipped_once_and_reading_goes_on_after_it(
    path: Path, limit_bytes: int, length: int
) -> None:
    append(path, b"before\n" + b"x" * length + b"\nafter\n")
    position, lines, skipped = None, [], 0
    while (chunk := read_chunk(path, position, limit_bytes=limit_bytes, max_line_bytes=100)) is not None:
        lines += chunk.lines
        skipped += chunk.skipped_lines
        position = chunk.position
    expected = [b"before", b"after"] if length > 100 else [b"before", b"x" * length, b"after"]
    assert (lines, skipped) == (expected, int(length > 100))


def test_a_line_that_is_too_long_is_skipped_over_a_restart_while_it_grows(path: Path) -> None:
    append(path, b"x" * 150)
    chunk = read(path, None, limit_bytes=64, max_line_bytes=100)
    assert (chunk.lines, chunk.skipped_lines, chunk.position.skipping) == ([], 1, True)
    append(path, b"x" * 500)
    position = chunk.position
    while (more := read_chunk(path, position, limit_bytes=64, max_line_bytes=100)) is not None:
        assert (more.lines, more.skipped_lines) == ([], 0)
        position = more.position
    append(path, b"x\nnext\n")
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(position), type=Position)
    chunk = read(path, kept, max_line_bytes=100)
    assert (chunk.lines, chunk.skipped_lines, chunk.position.skipping) == ([b"next"], 0, False)


def test_bytes_that_are_not_utf8_are_delivered_as_they_are(path: Path) -> None:
    append(path, b"\xff\xfe{\x00}\r\n")
    assert read(path, None).lines == [b"\xff\xfe{\x00}\r"]


def test_a_hole_of_nuls_before_a_line_is_not_part_of_it(path: Path) -> None:
    append(path, b"one\n" + bytes(1_000) + b"two\n")
    assert read(path, None).lines == [b"one", b"two"]


def test_a_missing_file_holds_nothing_new(path: Path) -> None:
    assert read_chunk(path, None) is None
    assert read_chunk(path / "below", None) is None
    assert Tail(path).read(None) is None
    assert unread_bytes(path, None) == 0


def test_a_file_without_permission_is_told_with_its_name_and_the_remedy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, b"one\n")
    path.chmod(0)
    if os.geteuid() == 0:
        # The superuser may read everything.
        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableFile, match=r"growing\.log: permission denied; make it readable"):
        read_chunk(path, None)


def test_a_loop_of_symlinks_is_told(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)
    with pytest.raises(UnreadableFile, match="symbolic links do not lead to a file"):
        Tail(path).read(None)


def test_a_symlink_is_followed_only_where_that_is_wanted(path: Path) -> None:
    append(path, b"one\n")
    link = path.with_name("link")
    link.symlink_to(path)
    assert read(link, None).lines == [b"one"]
    with pytest.raises(UnreadableFile):
        read_chunk(link, None, follow_symlinks=False)


def test_what_is_not_a_regular_file_is_told_without_waiting_for_a_writer(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(UnreadableFile, match="not a regular file"):
        read_chunk(path, None)
    with pytest.raises(UnreadableFile, match="directory"):
        read_chunk(path.parent, None)


def test_a_renamed_file_is_finished_before_its_successor_is_begun(path: Path) -> None:
    append(path, b"one\n")
    position = read(path, None).position
    append(path, b"two\nthr")
    path.rename(path.with_name("growing.log.1"))
    append(path, b"four\n")
    delivered = follow(path, position)
    assert delivered == [b"two", b"thr", b"four"]


def test_several_rotations_between_two_polls_lose_nothing(path: Path) -> None:
    append(path, b"one\n")
    position = read(path, None).position
    for number in range(2, 6):
        append(path, b"%d\n" % number)
        for generation in range(8, 0, -1):
            older = path.with_name(f"growing.log.{generation}")
            if older.exists():
                older.rename(path.with_name(f"growing.log.{generation + 1}"))
        path.rename(path.with_name("growing.log.1"))
    assert follow(path, position) == [b"2", b"3", b"4", b"5"]
    append(path, b"6\n")
    assert follow(path, position) == [b"2", b"3", b"4", b"5", b"6"]


def test_a_file_renamed_to_an_unknown_name_is_finished_while_it_is_held_open(path: Path) -> None:
    append(path, b"one\n")
    tail = Tail(path)
    first = tail.read(None)
    assert first is not None
    append(path, b"two\n")
    path.rename(path.with_name("growing.log-20260101"))
    append(path, b"three\n")
    assert deliver(tail, first.position) == [b"two", b"three"]
    tail.close()


def test_a_removed_file_is_finished_while_it_is_held_open(path: Path) -> None:
    append(path, b"one\n")
    tail = Tail(path)
    first = tail.read(None)
    assert first is not None
    append(path, b"two\nthr")
    path.unlink()
    second = tail.read(first.position)
    assert second is not None
    assert second.lines == [b"two"]
    # Without a successor it may still grow.
    assert tail.read(second.position) is None
    append(path, b"four\n")
    assert deliver(tail, second.position) == [b"thr", b"four"]
    tail.close()


def test_a_copy_made_before_truncation_is_finished_first(path: Path) -> None:
    append(path, b"one\n")
    position = read(path, None).position
    append(path, b"two\n")
    shutil.copy(path, path.with_name("growing.log.1"))
    os.truncate(path, 0)
    append(path, b"three\n")
    assert follow(path, position) == [b"two", b"three"]


def test_a_file_truncated_and_written_anew_before_it_was_renamed_is_read(path: Path) -> None:
    append(path, b"one\n")
    position = read(path, None).position
    path.write_bytes(b"two\n")
    path.rename(path.with_name("growing.log.1"))
    append(path, b"three\n")
    assert follow(path, position) == [b"two", b"three"]


def test_old_predecessors_are_not_read_again_when_the_file_they_preceded_is_lost(path: Path) -> None:
    append(path.with_name("growing.log.1"), b"old\n")
    append(path, b"one\n")
    position = read(path, None).position
    path.unlink()
    append(path, b"new\n")
    assert follow(path, position) == [b"new"]


def test_what_is_read_while_the_file_is_truncated_is_not_delivered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cline_otel.sources.files import tailing

    append(path, b"one\n")
    position = read(path, None).position
    append(path, b"two\n")
    read_to_newline = tailing._read_to_newline

    def read_then_truncate(*arguments: object) -> bytes:
        data: bytes = read_to_newline(*arguments)  # type: ignore[arg-type]
        path.write_bytes(b"new\nand newer\n")
        return data

    monkeypatch.setattr(tailing, "_read_to_newline", read_then_truncate)
    assert read_chunk(path, position) is None
    monkeypatch.undo()
    assert read(path, position).lines == [b"new", b"and newer"]


def test_the_lag_is_what_lies_after_the_position(path: Path) -> None:
    append(path, b"one\n")
    assert unread_bytes(path, None) == 4
    position = read(path, None).position
    append(path, b"twenty\n")
    assert unread_bytes(path, position) == 7
    path.write_bytes(b"x\n")
    assert unread_bytes(path, position) == 2


def follow(path: Path, position: Position | None) -> list[bytes]:
    tail = Tail(path)
    lines = deliver(tail, position)
    tail.close()
    return lines


def deliver(tail: Tail, position: Position | None) -> list[bytes]:
    lines: list[bytes] = []
    while (chunk := tail.read(position)) is not None:
        lines += chunk.lines
        position = chunk.position
    return lines
