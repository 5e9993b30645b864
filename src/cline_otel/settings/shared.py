"""Values that other programs understand and we do not: warned of and ignored, as the specification has it.

Whoever exports a variable for all of its programs must be able to start this one too (OpenTelemetry specification,
"Environment Variable Specification", enum values). What only we read is refused instead.
"""

from __future__ import annotations

from typing import Final

from cline_otel.settings import values
from cline_otel.signals import SignalName

_DEFAULT_LOG_LEVEL: Final = "INFO"
_PULLED: Final = "prometheus"
"""The exporter of the specification that waits to be asked."""


def log_level(text: str, notices: list[str]) -> str:
    """The level that ``OTEL_LOG_LEVEL`` names, as ``logging`` calls it; ours where it names none that we know."""
    try:
        return values.log_level(text)
    except ValueError as error:
        notices.append(f"OTEL_LOG_LEVEL is ignored: {error}")
        return _DEFAULT_LOG_LEVEL


def pushed_exporters(signal: SignalName, names: tuple[str, ...] | None, notices: list[str]) -> tuple[str, ...] | None:
    """The exporters of a list that can be sent to; None, as if nothing were set, where there is none of them."""
    if names is None or signal != "metrics" or _PULLED not in names:
        return names
    notices.append(
        "OTEL_METRICS_EXPORTER: prometheus is ignored, because it waits to be asked: "
        "send OTLP to a collector, and let that one be scraped"
    )
    return tuple(name for name in names if name != _PULLED) or None
