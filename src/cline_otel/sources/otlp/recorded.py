"""Recordings of OTLP: an export request in JSON a line, bare or as the ``body`` of a recorded request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, Recorded

_SIGNALS: Final = {"resourceSpans": "traces", "resourceMetrics": "metrics"}
"""What Cline sends besides log records, which is counted."""


def recorded(source: str, content: bytes) -> Recorded:
    """The requests of log records, and a count of the others."""
    payloads: list[Payload] = []
    diagnostics: Diagnostics = {}
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            request = request_of(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request = {}
        if "resourceLogs" in request:
            payloads.append(Payload(source, [msgspec.json.encode(request)]))
        elif request:
            count(diagnostics, "unsupported_signal", source, _SIGNALS[next(iter(_SIGNALS.keys() & request.keys()))])
        else:
            count(diagnostics, "malformed", source, "line")
    return Recorded(payloads, diagnostics)


def request_of(keys: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The export request of a line; empty if there is none."""
    if "resourceLogs" in keys or _SIGNALS.keys() & keys.keys():
        return keys
    try:
        body = msgspec.json.decode(keys.get("body", msgspec.Raw(b"{}")), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return body if "resourceLogs" in body or _SIGNALS.keys() & body.keys() else {}
