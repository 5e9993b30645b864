"""cline-otel: Cline's task, tool and error events as OpenTelemetry spans, metrics and log records.

``read`` gives what recordings become, and ``Bridge`` takes what another agent does; the other names are the types of
what they return and take. The command line is ``cline-otel``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cline_otel.version import __version__

if TYPE_CHECKING:
    from cline_otel.api import (
        AgentEvent,
        AgentModelCallFinished,
        AgentModelCallStarted,
        AgentRun,
        AgentRunFinished,
        AgentRunStarted,
        AgentToolCallFinished,
        AgentToolCallStarted,
        Attributes,
        AttributeValue,
        Bridge,
        BridgeError,
        DiagnosticKind,
        Diagnostics,
        ExponentialBuckets,
        InvalidEvent,
        LogRecord,
        MetricTotal,
        Row,
        Severity,
        SpanEvent,
        SpanKind,
        SpanLink,
        SpanRecord,
        StatusCode,
        Telemetry,
        Trace,
        UnreadableRecording,
        read,
    )

__all__ = [
    "AgentEvent",
    "AgentModelCallFinished",
    "AgentModelCallStarted",
    "AgentRun",
    "AgentRunFinished",
    "AgentRunStarted",
    "AgentToolCallFinished",
    "AgentToolCallStarted",
    "AttributeValue",
    "Attributes",
    "Bridge",
    "BridgeError",
    "DiagnosticKind",
    "Diagnostics",
    "ExponentialBuckets",
    "InvalidEvent",
    "LogRecord",
    "MetricTotal",
    "Row",
    "Severity",
    "SpanEvent",
    "SpanKind",
    "SpanLink",
    "SpanRecord",
    "StatusCode",
    "Telemetry",
    "Trace",
    "UnreadableRecording",
    "__version__",
    "read",
]


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: the command line's ``--help`` asks for none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cline_otel import api

    return getattr(api, name)


def __dir__() -> list[str]:
    """What is public."""
    return sorted(__all__)
