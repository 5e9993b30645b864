"""Payloads as the readers of each source hand them over, and what the decoders make of them.

A source whose payloads several tests build has a function here; a golden pair needs none.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.fixed_key import CATALOGUE

from cline_otel.events import Event
from cline_otel.signals import Diagnostics
from cline_otel.sources.interface import Payload
from cline_otel.sources.recording import Recording
from cline_otel.sources.registry import SOURCES


def spool_lines(lines: Iterable[bytes], process: str = "p") -> Payload:
    """Lines of one process's spool."""
    return Payload("plugin", list(lines), writer=process)


def log_lines(lines: Iterable[bytes]) -> Payload:
    """Lines of ``cline.log``."""
    return Payload("cline-log", list(lines))


def otlp_request(body: bytes, encoding: str = "json") -> Payload:
    """One OTLP log request."""
    return Payload("otlp", [body], encoding)


def decoded(payload: Payload, diagnostics: Diagnostics | None = None) -> list[Event]:
    """The events of a payload; what was counted goes into ``diagnostics``."""
    return list(SOURCES.decode(payload, CATALOGUE, {} if diagnostics is None else diagnostics))


def recorded(*payloads: Payload) -> Recording:
    """A recording in which each payload is a stream."""
    return Recording([[payload] for payload in payloads])
