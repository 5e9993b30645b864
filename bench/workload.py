"""The input of the throughput measurements: what Cline sends and writes, from many sessions.

It imports nothing of ``cline_otel``, so that it is the same for every commit that is measured with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

RECORDS_PER_REQUEST = 512
"""Cline's own batch size."""

_APART_NS = 7_000_000_000

_ROOT = Path(__file__).parents[1]
_EXAMPLE = _ROOT / "examples" / "delegated-run"
_LOG = _EXAMPLE / "cline.log"
_CAPTURES = _ROOT / "tests" / "data" / "captures"
_COMMON = {
    "os_version": "unknown",
    "distinct_id": "0" * 64,
    "device_id": "0" * 64,
    "teamId": "t_1",
    "teamName": "team-1",
}
"""What the bundled log leaves out and every record of Cline's has."""


_Records = list[tuple[int, str, dict[str, object]]]
"""Time in nanoseconds, event name, attributes."""


@lru_cache(1)
def _recordings() -> list[_Records]:
    """What Cline told in each recording that has its log: of agents and teams, tools, failures and what was cut off."""
    return [_records_of(log) for log in (_LOG, *sorted(_CAPTURES.glob("*/cline.log")))]


def _records_of(log: Path) -> _Records:
    records: _Records = []
    for line in log.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if "event" in record:
            time_ns = round(datetime.fromisoformat(record["time"]).timestamp() * 1_000) * 1_000_000
            records.append((time_ns, record["event"], {**_COMMON, **record["properties"]}))
    return records


def _recording(number: int) -> _Records:
    """Runs take turns in being copies of the recordings."""
    recordings = _recordings()
    return recordings[number % len(recordings)]


def record_count(runs: int, first: int = 0) -> int:
    """Log records of so many runs, numbered from ``first``."""
    return sum(len(_recording(number)) for number in range(first, first + runs))


def requests(runs: int, first: int = 0) -> list[bytes]:
    """Export requests in protobuf with the records of so many runs, each run with ids of its own.

    Runs are numbered from ``first``; a number's ids are always the same, another's never.
    """
    bodies: list[bytes] = []
    waiting: list[LogRecord] = []
    for number in range(first, first + runs):
        for time_ns, name, attributes in _recording(number):
            waiting.append(_log_record(time_ns + number * _APART_NS, name, _renamed(attributes, number)))
            if len(waiting) == RECORDS_PER_REQUEST:
                bodies.append(_request(waiting))
                waiting = []
    if waiting:
        bodies.append(_request(waiting))
    return bodies


def write_recording(folder: Path, runs: int, first: int = 0) -> int:
    """A recording of so many runs as ``cline-otel replay`` reads it, plugin and log; returns how many lines it has."""
    spool = [path.read_text(encoding="utf-8") for path in sorted((_EXAMPLE / "spool").iterdir())]
    (folder / "spool").mkdir(parents=True)
    lines = 0
    for name, text in (("spool/71-1795357897000-0.jsonl", "".join(spool)), ("cline.log", _LOG.read_text("utf-8"))):
        copies = "".join(_copies(text, range(first, first + runs)))
        (folder / name).write_text(copies, encoding="utf-8")
        lines += copies.count("\n")
    return lines


_ID = re.compile(r"(?:agent|conv)_\d{13}_[a-z0-9]{4,}|run_(?!commands)[A-Za-z0-9_-]{8}|\d{13}_[a-z0-9]{4,}")
_QUOTED_ID = re.compile(rf'(?<=")(?:{_ID.pattern})(?="[^:])')
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIME = re.compile(r'("\w*_unix_ms"):(\d{13})|("time"):"([^"]+)"')


def _copies(text: str, numbers: Iterable[int]) -> Iterable[str]:
    for number in numbers:
        renamed = _QUOTED_ID.sub(lambda found, number=number: _id(found[0], number), text)  # type: ignore[misc]
        yield _TIME.sub(lambda found, number=number: _later(found, number), renamed)  # type: ignore[misc]


def _later(found: re.Match[str], number: int) -> str:
    apart_ms = number * _APART_NS // 1_000_000
    if found[1]:
        return f"{found[1]}:{int(found[2]) + apart_ms}"
    later = datetime.fromisoformat(found[4]) + timedelta(milliseconds=apart_ms)
    return f'{found[3]}:"{later.isoformat(timespec="milliseconds").replace("+00:00", "Z")}"'


def _id(value: str, number: int) -> str:
    """An id of the same form, of another run: ids of any other form are pseudonyms."""
    digits = "".join(_DIGITS[number // 36**place % 36] for place in (3, 2, 1, 0))
    return value[:-4] + digits


_SCRUBBED: Final = {
    "agentId": "agent_1795000000000_aa0000",
    "conversationId": "conv_1795000000000_aa0000",
    "runId": "run_aaaa0000",
    "ulid": "1795000000000_a0000",
}
"""What stands for ids that the recordings do not have any more."""


def _renamed(attributes: dict[str, object], number: int) -> dict[str, object]:
    told = {
        key: _SCRUBBED[key] if value == "scrubbed" and key in _SCRUBBED else value for key, value in attributes.items()
    }
    return {
        key: _id(value, number) if isinstance(value, str) and _ID.fullmatch(value) else value
        for key, value in told.items()
    }


def _any_value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def _log_record(time_ns: int, name: str, attributes: dict[str, object]) -> LogRecord:
    return LogRecord(
        time_unix_nano=time_ns,
        observed_time_unix_nano=time_ns,
        severity_text="INFO",
        body=AnyValue(string_value=name),
        attributes=[KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()],
    )


def _request(records: list[LogRecord]) -> bytes:
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="cline"))])
    scope_logs = ScopeLogs(scope=InstrumentationScope(name="cline"), log_records=records)
    request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[scope_logs])])
    return request.SerializeToString()
