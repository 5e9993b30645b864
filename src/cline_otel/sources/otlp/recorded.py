"""Recordings of OTLP: an export request in JSON a line, bare or as the ``body`` of a recorded request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from cline_otel.decode.json_text import UNREADABLE, JsonDecoder
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, Recorded
from cline_otel.version import SCOPE_NAME

_SIGNALS: Final = {"resourceSpans": "traces", "resourceMetrics": "metrics"}
"""What Cline sends besides log records, which is counted."""

_object: Final = JsonDecoder(msgspec.json.Decoder(dict[str, msgspec.Raw]))


class _Scope(msgspec.Struct):
    name: str = ""


class _OfScope(msgspec.Struct):
    scope: _Scope = msgspec.field(default_factory=_Scope)


class _OfResource(msgspec.Struct, rename="camel"):
    scope_logs: list[_OfScope] = msgspec.field(default_factory=list)
    scope_metrics: list[_OfScope] = msgspec.field(default_factory=list)
    scope_spans: list[_OfScope] = msgspec.field(default_factory=list)


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_OfResource] = msgspec.field(default_factory=list)
    resource_metrics: list[_OfResource] = msgspec.field(default_factory=list)
    resource_spans: list[_OfResource] = msgspec.field(default_factory=list)


_scopes_of: Final = msgspec.json.Decoder(_Request)


def is_ours(content: bytes) -> bool:
    """Whether all requests of a file were made by this project, and none by Cline."""
    found = False
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            request = _scopes_of.decode(line)
        except UNREADABLE:
            return False
        names = {
            each.scope.name
            for resource in (*request.resource_logs, *request.resource_metrics, *request.resource_spans)
            for each in (*resource.scope_logs, *resource.scope_metrics, *resource.scope_spans)
        }
        if names != {SCOPE_NAME}:
            return False
        found = True
    return found


def recorded(source: str, content: bytes) -> Recorded:
    """The requests of log records, and a count of the others."""
    payloads: list[Payload] = []
    diagnostics: Diagnostics = {}
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            request = request_of(_object.decode(line, diagnostics, source))
        except msgspec.DecodeError:
            request = {}
        if is_ours(line):
            # A collector's file may hold both: what is telemetry already is none of Cline's.
            continue
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
        body = _object.decode(keys.get("body", msgspec.Raw(b"{}")))
    except msgspec.DecodeError:
        return {}
    return body if "resourceLogs" in body or _SIGNALS.keys() & body.keys() else {}
