"""A play in which telemetry comes to rest everywhere it can: spool, journal, dead letters, local files, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .live_stage import LiveScenario, LiveStage
from .scenarios import ClineRun
from .stage import STOP_TIMEOUT_SECONDS, wait_until

MOMENTS = ("waiting", "bridge killed", "Cline killed", "refused", "in local files", "end")
"""When stock is taken, in order."""


async def _rest(stage: LiveStage) -> None:
    await stage.start_bridge(log_level="debug")
    killed, *others = [await stage.start_cline() for _ in range(3)]
    for other in others:
        await stage.end_of(other)
    await stage.wait_until_held()
    await stage.wait_until_read()
    await stage.take_stock("waiting")
    await stage.kill_bridge()
    await stage.take_stock("bridge killed")

    killed.process.kill()
    await stage.end_of(killed)
    await wait_until(lambda: not _writers(stage), STOP_TIMEOUT_SECONDS, "the plugin of a killed Cline to end")
    await stage.take_stock("Cline killed")

    stage.endpoint.refuse_every_second_record()
    await stage.endpoint.listen()
    await stage.start_bridge(log_level="debug")
    await stage.wait_for_status(_is_refused, "be refused spans and log records")
    await stage.kill_bridge()
    await stage.take_stock("refused")

    await stage.start_bridge(local=True, log_level="debug")
    await stage.run_cline()
    await stage.wait_until_delivered()
    await stage.take_stock("in local files")
    await stage.stop_bridge()
    await stage.take_stock("end")


def _writers(stage: LiveStage) -> list[Path]:
    """Files of the spool whose process lives."""
    return [path for path in stage.spool.glob("*.jsonl") if Path("/proc", path.name.partition("-")[0]).exists()]


def _is_refused(status: dict[str, Any]) -> bool:
    signals = [status["signals"][name] for name in ("traces", "logs")]
    return all(signal["dead_letter_rows"] for signal in signals)


AT_REST = LiveScenario(
    "at_rest",
    (
        (
            ClineRun("telling_all", signalled="sigkill", exit_code=-9),
            ClineRun("leading", ("--team-name", "{team_word}")),
            ClineRun("refused_for_good", exit_code=1),
        ),
        (ClineRun("asking_a_server"),),
    ),
    mcp_server=True,
    direct=_rest,
    umask=0,
)
