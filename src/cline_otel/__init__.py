"""cline-otel: Cline's task, tool and error events as OpenTelemetry spans, metrics and log records."""

__version__ = "0.1.0"
