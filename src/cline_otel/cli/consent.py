"""Whether telemetry is on, as a command finds it."""

from __future__ import annotations

import os

from cline_otel.consent import Consent, decide, opt_out_sources_of
from cline_otel.running import Running
from cline_otel.settings import Settings


def consent_now(settings: Settings, running: Running | None = None) -> Consent:
    """What the bridge that runs goes by; its environment need not be ours. Without one, what would hold now."""
    if running is not None:
        return Consent(running.telemetry, running.reasons)
    return decide(opt_out_sources_of(settings, os.environ).look())
