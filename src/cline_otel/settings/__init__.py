"""Settings: the standard ``OTEL_*`` variables as OpenTelemetry defines them, and ``CLINE_OTEL_BRIDGE_*`` for our own.

Importing this costs time (pydantic), so the command line does it only where settings are needed.
"""

from cline_otel.settings.load import Settings, load_settings
from cline_otel.settings.values import ListenAddress, SettingsError

__all__ = ["ListenAddress", "Settings", "SettingsError", "load_settings"]
