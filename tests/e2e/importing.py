"""A play of two Clines: one is told live, by the plugin, the other runs without plugin and bridge and is imported."""

from __future__ import annotations

from .live_stage import LiveScenario, LiveStage
from .scenarios import ClineRun

LIVE, PAST = "p1", "p2"
"""The plays, in order."""

FIRST_IMPORT, SECOND_IMPORT, LAST_IMPORT = "of what was told", "of what was not told", "of nothing"
"""The imports, in order; a bridge runs before the last."""


async def _import(stage: LiveStage) -> None:
    await stage.endpoint.listen()
    await stage.start_bridge()
    await stage.run_cline()
    await stage.stop_hub()
    await stage.wait_until_read()
    await stage.wait_until_delivered()
    await stage.stop_bridge()
    stage.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = stage.endpoint.url
    await _import_all(stage, FIRST_IMPORT)
    await stage.command("uninstall")
    await stage.run_cline()
    await stage.stop_hub()
    await _import_all(stage, SECOND_IMPORT)
    await stage.start_bridge()
    await stage.wait_until_read()
    await stage.wait_until_delivered()
    await stage.stop_bridge()
    await _import_all(stage, LAST_IMPORT)


async def _import_all(stage: LiveStage, moment: str) -> None:
    said = await stage.command("import")
    await stage.take_stock(moment)
    (stage.folder / "stock" / moment / "said.txt").write_text(said)


IMPORTED = LiveScenario("imported", ((ClineRun("tools"),), (ClineRun("delegating"),)), direct=_import)
