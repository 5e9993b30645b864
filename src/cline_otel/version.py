"""The version of this release, and the name that all of it has."""

__version__ = "0.1.0"

SCOPE_NAME = "cline-otel"
"""The instrumentation scope of all telemetry that is ours."""
