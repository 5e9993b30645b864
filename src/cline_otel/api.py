"""What programs may call: recordings of Cline, read as the telemetry that they become."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cline_otel.catalogue.load import load
from cline_otel.events import AttributeValue
from cline_otel.prices.library import LIBRARY
from cline_otel.replay import replay
from cline_otel.signals import (
    Attributes,
    DiagnosticKind,
    Diagnostics,
    ExponentialBuckets,
    LogRecord,
    MetricTotal,
    Severity,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from cline_otel.sources.recording import UnreadableRecording, read_recording

__all__ = [
    "AttributeValue",
    "Attributes",
    "DiagnosticKind",
    "Diagnostics",
    "ExponentialBuckets",
    "LogRecord",
    "MetricTotal",
    "Severity",
    "SpanEvent",
    "SpanKind",
    "SpanLink",
    "SpanRecord",
    "StatusCode",
    "Telemetry",
    "UnreadableRecording",
    "read",
]


class Telemetry(msgspec.Struct, frozen=True):
    """What recordings become.

    Attributes:
        spans: runs, model calls and tool calls, in the order in which they ended.
        logs: log records, in the order in which they were made.
        metrics: the total of every series, each metric by its name (docs/telemetry.md).
        diagnostics: how often something did not become telemetry, or not as it was reported, by kind, source and name.
    """

    spans: tuple[SpanRecord, ...]
    logs: tuple[LogRecord, ...]
    metrics: tuple[MetricTotal, ...]
    diagnostics: Diagnostics


def read(path: str | os.PathLike[str]) -> Telemetry:
    """What a recording of Cline becomes: the same spans, log records and metrics as a bridge would have exported.

    The environment and the installation change nothing of it: only what leaves by default is in it (docs/privacy.md),
    and names that somebody chose are not, for want of a key. The same recording gives the same result, except that
    what Cline reports no cost of has the price that the installed release of genai-prices has (docs/costs.md).

    Args:
        path: a recording of any known source (docs/sources.md), or a folder of such.

    Raises:
        UnreadableRecording: there is no such file, it cannot be read, or it is no recording of a known source.
    """
    replayed = replay(read_recording([Path(path)]), load(prices=LIBRARY))
    return Telemetry(tuple(replayed.spans), tuple(replayed.logs), tuple(replayed.totals), replayed.diagnostics)
