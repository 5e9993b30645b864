"""Recordings as people have them: compressed, wrapped by other programs, over many lines, behind other lines."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.journal import Journal
from cline_otel.replay import replay, write
from cline_otel.sources.recording import Recording, UnreadableRecording, read_recording
from cline_otel.sources.wrappings import Damaged, TooLarge, unpacked
from corpus import CAPTURES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LOG = Path(__file__).parents[2] / "examples" / "delegated-run" / "cline.log"
OTLP = next(path for path in sorted(CAPTURES.glob("*/otlp_logs.jsonl")) if path.stat().st_size > 5_000)
MIB = 1024 * 1024


def as_docker(content: bytes) -> bytes:
    """As its json-file driver writes it: a line that is too long is in several entries."""
    written = []
    for line in content.decode().splitlines(keepends=True):
        for begin in range(0, len(line), 1_000):
            entry = {"log": line[begin : begin + 1_000], "stream": "stdout", "time": "2026-11-26T17:42:29.910Z"}
            written.append(json.dumps(entry))
        written.append(json.dumps({"log": "a warning\n", "stream": "stderr", "time": "2026-11-26T17:42:29.910Z"}))
    return "\n".join(written).encode()


def as_journal(content: bytes) -> bytes:
    """As ``journalctl -o json --all`` writes it; what is not printable as numbers."""
    written = []
    for number, line in enumerate(content.splitlines()):
        pieces = [line[begin : begin + 2_000] for begin in range(0, len(line), 2_000)]
        for piece in pieces:
            entry: dict[str, object] = {"__CURSOR": "s=1", "__REALTIME_TIMESTAMP": "1795357897000000", "_PID": "7"}
            entry["MESSAGE"] = list(piece) if number % 2 else piece.decode()
            if piece is not pieces[-1]:
                entry["_LINE_BREAK"] = "line-max"
            written.append(json.dumps(entry))
    return "\n".join(written).encode() + b"\n"


def as_journal_export(content: bytes) -> bytes:
    """As ``journalctl -o export`` writes it: every other message with its size before it."""
    written = io.BytesIO()
    for number, line in enumerate(content.splitlines()):
        written.write(b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795357897000000\n")
        if number % 2:
            written.write(b"MESSAGE\n" + struct.pack("<Q", len(line)) + line + b"\n")
        else:
            written.write(b"MESSAGE=" + line + b"\n")
        written.write(b"PRIORITY=6\n\n")
    return written.getvalue()


def as_kubernetes(content: bytes) -> bytes:
    """As containerd writes it: a long line in parts."""
    written = []
    for line in content.splitlines():
        for begin in range(0, len(line), 3_000):
            mark = b"F" if begin + 3_000 >= len(line) else b"P"
            written.append(b"2026-11-26T17:42:29.910Z stdout " + mark + b" " + line[begin : begin + 3_000])
    return b"\n".join(written) + b"\n"


def behind_a_name(content: bytes) -> bytes:
    """As ``docker compose logs`` writes it."""
    return b"".join(b"collector-1  | " + line + b"\n" for line in content.splitlines())


def behind_other_lines(content: bytes) -> bytes:
    """Text, as Cline wrote in 2025, and JSON of another program before it."""
    text = b"[2025-08-14T17:09:28.092] #bot.cline.server.ts INFO a start\n" * 60
    return text + b'{"level":"info","ts":1.5,"caller":"service.go:1"}\n\n' + content


def pretty(content: bytes) -> bytes:
    """Each value over many lines, as ``jq`` writes it."""
    return b"\n".join(json.dumps(json.loads(line), indent=2).encode() for line in content.splitlines())


def as_array(content: bytes) -> bytes:
    """All values in one, as ``jq --slurp`` writes it."""
    return json.dumps([json.loads(line) for line in content.splitlines()], indent=1).encode()


WRAPPINGS = [
    gzip.compress,
    zstd.compress,
    lambda content: gzip.compress(content[:5_000]) + gzip.compress(content[5_000:]),
    lambda content: gzip.compress(as_docker(content)),
    as_docker,
    as_journal,
    as_journal_export,
    as_kubernetes,
    behind_a_name,
    behind_other_lines,
    pretty,
    as_array,
]


def replayed(path: Path, folder: Path) -> dict[str, bytes]:
    written = write(replay(read_recording([path]), CATALOGUE, (("service.name", "cline"),)), folder)
    return {path.name: path.read_bytes() for path in written}


@pytest.mark.parametrize("recording", [LOG, OTLP], ids=["log", "otlp"])
@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_whatever_a_recording_comes_in_it_tells_the_same(
    tmp_path: Path, wrap: Callable[[bytes], bytes], recording: Path
) -> None:
    # As the wrappings see it, the last line has an end.
    content = recording.read_bytes()
    wrapped = tmp_path / "wrapped"
    wrapped.write_bytes(wrap(content))
    expected = replayed(recording, tmp_path / "expected")
    assert len(expected["traces.jsonl"]) > 1_000
    assert replayed(wrapped, tmp_path / "found") == expected


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_no_more_is_unpacked_than_is_read(compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(64 * MIB))
    assert len(bomb) < MIB
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            unpacked(bomb, limit_bytes=4 * MIB)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 24 * MIB
    assert unpacked(compress(bytes(4 * MIB)), limit_bytes=4 * MIB) == bytes(4 * MIB)


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress])
def test_a_compressed_file_that_is_cut_off_or_damaged_is_refused_with_its_name_and_beside_it_the_others_are_read(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    packed = bytearray(compress(LOG.read_bytes()))
    for content in (packed[:-30], packed[:6], packed[:6] + bytes(200)):
        with pytest.raises(Damaged):
            unpacked(bytes(content))
    (tmp_path / "torn").write_bytes(packed[:-30])
    with pytest.raises(UnreadableRecording, match=r"torn: cannot be unpacked \((gzip|zstd)\).*copy it again"):
        read_recording([tmp_path / "torn"])
    (tmp_path / "cline.log").write_bytes(LOG.read_bytes())
    recording = read_recording([tmp_path])
    assert [path.name for path, _ in recording.read] == ["cline.log"]
    assert recording.skipped == [tmp_path / "torn"]


def explanation(path: Path) -> str:
    """Why a file is no recording."""
    with pytest.raises(UnreadableRecording) as raised:
        read_recording([path])
    assert str(raised.value).startswith(str(path))
    return str(raised.value)


def test_the_bridge_s_own_files_are_told_by_what_they_are_and_what_to_do(tmp_path: Path) -> None:
    state = tmp_path / "state"
    Journal.open(state / "journal.db").close()
    telemetry = state / "telemetry"
    for path in write(replay(read_recording([LOG]), CATALOGUE), telemetry):
        assert "telemetry already" in explanation(path)
    assert "cline-otel preview --last" in explanation(state / "journal.db")
    for folder, part in ((state, "the state directory of cline-otel"), (telemetry, "telemetry already")):
        recording = read_recording([folder])
        assert recording.read == []
        assert part in recording.explained[0]


def test_of_a_file_with_cline_s_own_and_ours_cline_s_own_is_read(tmp_path: Path) -> None:
    ours = write(replay(read_recording([OTLP]), CATALOGUE), tmp_path / "ours")
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_bytes(b"".join(path.read_bytes() for path in ours) + OTLP.read_bytes())
    assert replayed(mixed, tmp_path / "found") == replayed(OTLP, tmp_path / "expected")


def test_a_log_in_text_is_told_with_where_that_time_can_be_read(tmp_path: Path) -> None:
    log = tmp_path / "cline.log"
    log.write_bytes(b"[2025-08-14T17:09:28.092] #bot.cline.server.ts INFO a start\n" * 9)
    assert "a log in text" in explanation(log)
    assert "cline-otel import" in explanation(log)


def test_a_journal_without_its_long_messages_is_told_with_the_option_that_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_bytes(b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}\n' * 3)
    assert "journalctl --output=json --all" in explanation(path)


def test_messages_that_a_journal_left_out_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_bytes(as_journal(LOG.read_bytes()) + b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}\n' * 3)
    result = replay(read_recording([path]), CATALOGUE)
    assert result.diagnostics["malformed", "cline-log", "line"] == 3


def test_a_conversation_whose_name_does_not_say_that_it_is_compressed_is_refused(tmp_path: Path) -> None:
    """It is read with its folder, where it is found by its name."""
    packed = tmp_path / "s.messages.json"
    packed.write_bytes(gzip.compress(b'{"sessionId":"s","messages":[]}'))
    assert "unpack it there" in explanation(packed)


def test_another_program_s_file_is_no_recording_however_it_looks(tmp_path: Path) -> None:
    for name, content in (
        ("notes.md", b'# Notes\n\nSee `{"a": 1}`\n' * 50),
        ("other.json", b'{"name": "x",\n "version": [1, 2]}'),
        ("other.log", b'{"log":"listening\\n","stream":"stdout","time":"2026-11-26T17:42:29.910Z"}\n' * 5),
        ("nested", b"[" * 100_000),
        ("binary", bytes(range(256)) * 40),
    ):
        (tmp_path / name).write_bytes(content)
    recording: Recording = read_recording([tmp_path])
    assert recording.read == []
    assert len(recording.skipped) == 5
