"""A play in which Cline runs commands that are traced themselves, and lets them know the span of their tool call."""

from __future__ import annotations

import sys
from pathlib import Path

from .live_stage import LiveScenario, LiveStage
from .otlp_endpoint import OtlpEndpoint
from .scenarios import ClineRun

LOCAL, IN_HUB = "p1", "p2"
"""The plays, in order."""

_COMMAND = Path(__file__).with_name("traced_command.py")


async def _trace(stage: LiveStage) -> None:
    builds = OtlpEndpoint(stage.folder / "builds")
    await builds.listen()
    try:
        traced = f"OTEL_EXPORTER_OTLP_ENDPOINT={builds.url} '{sys.executable}' '{_COMMAND}'"
        stage.words = stage.model.words = {**stage.words, "traced": traced}
        stage.environment["CLINE_OTEL_TRACEPARENT_TO_COMMANDS"] = "true"
        await stage.endpoint.listen()
        await stage.start_bridge()
        await stage.run_cline()
        await stage.run_cline()
        await stage.wait_until_delivered()
        await stage.stop_bridge()
        await stage.stop_hub()
    finally:
        await builds.stop()


TRACED_COMMANDS = LiveScenario(
    "traced_commands", ((ClineRun("building"),), (ClineRun("building", in_hub=True),)), direct=_trace
)
