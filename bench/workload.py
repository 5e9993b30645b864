"""The input of the throughput measurements: OTLP log requests as Cline sends them, from many sessions."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

RECORDS_PER_REQUEST = 512
"""Cline's own batch size."""

_APART_NS = 7_000_000_000

_LOG = Path(__file__).parents[1] / "examples" / "delegated-run" / "cline.log"
_COMMON = {
    "os_version": "unknown",
    "distinct_id": "0" * 64,
    "device_id": "0" * 64,
    "teamId": "t_1",
    "teamName": "team-1",
}
"""What the bundled log leaves out and every record of Cline's has."""


@lru_cache(1)
def _run() -> list[tuple[int, str, dict[str, object]]]:
    """One recorded run: time in nanoseconds, event name, attributes."""
    from cline_otel.sources.cline_log.decode import parse_time_ns

    records: list[tuple[int, str, dict[str, object]]] = []
    for line in _LOG.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        time_ns = parse_time_ns(record["time"]) or 0
        records.append((time_ns, record["event"], {**_COMMON, **record["properties"]}))
    return records


def records_per_run() -> int:
    """Log records of one run."""
    return len(_run())


def requests(runs: int) -> list[bytes]:
    """Export requests in protobuf with the records of so many runs, each run with ids of its own."""
    bodies: list[bytes] = []
    waiting: list[dict[str, object]] = []
    for number in range(runs):
        for time_ns, name, attributes in _run():
            waiting.append(_log_record(time_ns + number * _APART_NS, name, _renamed(attributes, number)))
            if len(waiting) == RECORDS_PER_REQUEST:
                bodies.append(_request(waiting))
                waiting = []
    if waiting:
        bodies.append(_request(waiting))
    return bodies


_ID = re.compile(r"((?:run|agent|conv)_[A-Za-z0-9_-]+|\d{13}_[a-z0-9]+)")


def _renamed(attributes: dict[str, object], number: int) -> dict[str, object]:
    return {
        key: f"{value}{number}" if isinstance(value, str) and _ID.fullmatch(value) else value
        for key, value in attributes.items()
    }


def _any_value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}


def _log_record(time_ns: int, name: str, attributes: dict[str, object]) -> dict[str, object]:
    return {
        "timeUnixNano": time_ns,
        "observedTimeUnixNano": time_ns,
        "severityText": "INFO",
        "body": {"stringValue": name},
        "attributes": [{"key": key, "value": _any_value(value)} for key, value in attributes.items()],
    }


def _request(records: list[dict[str, object]]) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "cline"}}]}
    document = {
        "resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": "cline"}, "logRecords": records}]}]
    }
    return json_format.ParseDict(document, ExportLogsServiceRequest()).SerializeToString()
