"""The file sink, on real files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.destinations import FileDestination
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, Refused, Unreachable
from cline_otel.export.otlp_file import OtlpFileExporter


def request_bytes(*names: str) -> bytes:
    message = ExportTraceServiceRequest()
    for name in names:
        span = message.resource_spans.add().scope_spans.add().spans.add()
        span.name = name
        span.trace_id = bytes(range(16))
        span.span_id = bytes(range(8))
        span.kind = span.SPAN_KIND_CLIENT
        span.start_time_unix_nano = 2**63
    return message.SerializeToString()


def batch(*payloads: bytes) -> Batch:
    return Batch([EncodedRequest(payload, 1, number) for number, payload in enumerate(payloads)])


def files_in(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def make_wide(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)


def names(path: Path) -> list[list[str]]:
    """The span names of each line."""
    return [
        [entry["scopeSpans"][0]["spans"][0]["name"] for entry in msgspec.json.decode(line)["resourceSpans"]]
        for line in path.read_bytes().splitlines()
    ]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "telemetry"


async def test_each_request_is_one_line_of_otlp_json(directory: Path) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory))
    assert await exporter.export(batch(request_bytes("a"), request_bytes("b"))) == Delivered()
    assert await exporter.export(batch(request_bytes("c"))) == Delivered()
    await exporter.close()
    path = directory / "traces.jsonl"
    assert names(path) == [["a", "b"], ["c"]]
    span = msgspec.json.decode(path.read_bytes().splitlines()[0])["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert span["traceId"] == "000102030405060708090a0b0c0d0e0f"
    assert span["kind"] == 3
    assert span["startTimeUnixNano"] == "9223372036854775808"


async def test_lines_are_appended_after_a_restart(directory: Path) -> None:
    for name in ("a", "b"):
        exporter = OtlpFileExporter(FileDestination("traces", directory))
        await exporter.export(batch(request_bytes(name)))
        await exporter.close()
    assert names(directory / "traces.jsonl") == [["a"], ["b"]]


@pytest.mark.parametrize("torn", [b'{"resourceSpans":[{"sco', b'{"x":"' + b"y" * 200_000])
async def test_a_torn_last_line_is_cut_off_before_the_next_is_written(directory: Path, torn: bytes) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory))
    await exporter.export(batch(request_bytes("a")))
    await exporter.close()
    path = directory / "traces.jsonl"
    with path.open("ab") as file:
        file.write(torn)
    exporter = OtlpFileExporter(FileDestination("traces", directory))
    await exporter.export(batch(request_bytes("b")))
    await exporter.close()
    assert names(path) == [["a"], ["b"]]


async def test_a_file_of_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"{" * 100_000)
    exporter = OtlpFileExporter(FileDestination("traces", tmp_path))
    await exporter.export(batch(request_bytes("a")))
    await exporter.close()
    assert names(tmp_path / "traces.jsonl") == [["a"]]


async def test_files_are_for_their_owner_alone(directory: Path) -> None:
    directory.parent.mkdir()
    old_umask = os.umask(0)
    try:
        exporter = OtlpFileExporter(FileDestination("logs", directory))
        await exporter.export(batch(b""))
        await exporter.close()
    finally:
        os.umask(old_umask)
    assert mode(directory / "logs.jsonl") == 0o600
    assert mode(directory) == 0o700


@pytest.mark.parametrize("sends", [False, True])
async def test_files_that_were_wider_are_taken_from_others_before_a_line_is_sent(directory: Path, sends: bool) -> None:
    make_wide(directory)
    paths = [directory / f"logs{rotated}.jsonl" for rotated in ("", ".1", ".4")]
    for path in paths:
        path.touch()
        path.chmod(0o666)
    exporter = OtlpFileExporter(FileDestination("logs", directory))
    if sends:
        await exporter.export(batch(b""))
    await exporter.close()
    assert mode(directory) == 0o700
    assert [mode(path) for path in paths] == [0o600] * 3


async def test_a_line_is_written_through_no_link(directory: Path, tmp_path: Path) -> None:
    make_wide(directory)
    (tmp_path / "precious").write_text("precious")
    (directory / "traces.jsonl").symlink_to(tmp_path / "precious")
    result = await OtlpFileExporter(FileDestination("traces", directory)).export(batch(request_bytes("a")))
    assert result == Unreachable(f"cannot write {directory / 'traces.jsonl'} (traces.jsonl is a symbolic link)")
    assert (tmp_path / "precious").read_text() == "precious"


async def test_a_full_file_is_rotated_and_only_so_many_are_kept(directory: Path) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory), rotate_at_bytes=1, kept_files=2)
    for number in range(5):
        await exporter.export(batch(request_bytes(str(number))))
    await exporter.close()
    assert [path.name for path in files_in(directory)] == ["traces.1.jsonl", "traces.2.jsonl", "traces.jsonl"]
    assert names(directory / "traces.jsonl") == [["4"]]
    assert names(directory / "traces.1.jsonl") == [["3"]]
    assert names(directory / "traces.2.jsonl") == [["2"]]


async def test_a_line_never_straddles_two_files(directory: Path) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory), rotate_at_bytes=1000, kept_files=50)
    for number in range(30):
        await exporter.export(batch(request_bytes(str(number))))
    await exporter.close()
    paths = files_in(directory)
    assert all(path.stat().st_size <= 1000 for path in paths)
    assert sorted((name for path in paths for line in names(path) for name in line), key=int) == [
        str(number) for number in range(30)
    ]


async def test_a_directory_that_cannot_be_written_is_tried_again_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    exporter = OtlpFileExporter(FileDestination("traces", tmp_path / "file"))
    result = await exporter.export(batch(request_bytes("a")))
    assert isinstance(result, Unreachable)
    assert str(tmp_path / "file" / "traces.jsonl") in result.reason
    (tmp_path / "file").unlink()
    assert await exporter.export(batch(request_bytes("a"))) == Delivered()
    await exporter.close()


async def test_a_write_that_fails_halfway_leaves_no_half_line(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory))
    await exporter.export(batch(request_bytes("a")))
    write = os.write
    calls = 0

    def disk_fills_up(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:10])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", disk_fills_up)
        result = await exporter.export(batch(request_bytes("b")))
    assert isinstance(result, Unreachable)
    assert "No space left" in result.reason
    assert names(directory / "traces.jsonl") == [["a"]]
    assert await exporter.export(batch(request_bytes("b"))) == Delivered()
    await exporter.close()
    assert names(directory / "traces.jsonl") == [["a"], ["b"]]


async def test_bytes_that_are_no_request_are_refused(directory: Path) -> None:
    exporter = OtlpFileExporter(FileDestination("traces", directory))
    assert isinstance(await exporter.export(batch(b"\xff\xff\xff")), Refused)
    await exporter.close()
