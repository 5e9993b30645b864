"""Where the bridge sends to: an OTLP/HTTP endpoint that answers as it is told to and keeps all that it gets.

In its folder lie a file for every request, whatever it was answered, with its headers and its
unpacked body, and OTLP JSON lines of what it took, as a collector's file exporter would write them.
"""

from __future__ import annotations

import base64
import json
import socket
import zlib
from pathlib import Path
from typing import Any

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

OK = 200

_REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_HEX_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})
_MAXIMUM_REQUEST_BYTES = 64 * 1024 * 1024
_AGAIN_AFTER_SECONDS = "1"


class OtlpEndpoint:
    """Has its port from the start; before :meth:`listen` every connection is refused.

    Attributes:
        statuses: the HTTP status that a signal's requests are answered with, by ``traces``, ``metrics`` and
            ``logs``; only what gets a 200 is taken.
        requests: how many requests came, taken or not.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is made."""
        self.statuses = dict.fromkeys(_REQUESTS, OK)
        self.requests = 0
        self._refuses_records = False
        self._folder = folder
        folder.mkdir(parents=True)
        self._runner: web.AppRunner | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))

    @property
    def url(self) -> str:
        """What ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def answer_queued_signals(self, status: int) -> None:
        """From now on spans and log records are answered with ``status``."""
        self.statuses |= {"traces": status, "logs": status}

    def refuse_every_second_record(self) -> None:
        """From now on spans and log records are taken where they come without those that are refused by 400."""
        self._refuses_records = True

    async def listen(self) -> None:
        """From now on requests are answered."""
        application = web.Application(client_max_size=_MAXIMUM_REQUEST_BYTES)
        application.router.add_post("/v1/{signal}", self._receive)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    async def _receive(self, http: web.Request) -> web.Response:
        signal = http.match_info["signal"]
        body = await http.read()
        status = self.statuses[signal]
        if self._refuses_records and signal != "metrics" and _has_refused(signal, body):
            status = 400
        headers = "".join(f"{name}: {value}\n" for name, value in http.headers.items())
        (self._folder / f"{self.requests:05}-{signal}-{status}.request").write_bytes(headers.encode() + b"\n" + body)
        self.requests += 1
        if status == OK:
            message = _REQUESTS[signal]()
            message.ParseFromString(body)
            with (self._folder / f"{signal}.jsonl").open("a") as lines:
                lines.write(json.dumps(as_otlp_json(message)) + "\n")
        answer_headers = {"Retry-After": _AGAIN_AFTER_SECONDS} if status == 503 else {}
        return web.Response(status=status, headers=answer_headers, content_type="application/x-protobuf")


def _has_refused(signal: str, body: bytes) -> bool:
    """Whether a request holds a record of those that are refused: about one of two, and always the same."""
    message = _REQUESTS[signal]()
    message.ParseFromString(body)
    outer, inner, records = ("resource_spans", "scope_spans", "spans")
    if signal == "logs":
        outer, inner, records = ("resource_logs", "scope_logs", "log_records")
    return any(
        zlib.crc32(record.SerializeToString(deterministic=True)) & 1
        for resource in getattr(message, outer)
        for scope in getattr(resource, inner)
        for record in getattr(scope, records)
    )


def as_otlp_json(message: Message) -> Any:
    """A request as OTLP JSON has it: protobuf's JSON, but for ids in hex and enum values as numbers."""
    return _with_hex_ids(MessageToDict(message, use_integers_for_enums=True))


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item).hex() if name in _HEX_FIELDS else _with_hex_ids(item)
            for name, item in value.items()
        }
    return value
