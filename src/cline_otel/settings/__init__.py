"""Settings: the standard ``OTEL_*`` variables as OpenTelemetry defines them, and our own ``CLINE_OTEL_BRIDGE_*``."""

from cline_otel.settings.load import Settings, load_settings
from cline_otel.settings.values import ListenAddress, SettingsError

__all__ = ["ListenAddress", "Settings", "SettingsError", "load_settings"]
