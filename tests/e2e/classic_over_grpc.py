"""A play of the classic command line, which sends its own telemetry to the bridge over gRPC and to nobody else.

Its files lie where no bridge looks for them, so that what is told is told by OTLP alone.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from .live_stage import LiveScenario, LiveStage
from .scenarios import ClineRun
from .scripts import cue
from .stage import CLINE_TIMEOUT_SECONDS, FinishedRun

PLAY = "p1"

TOOLS_BEFORE_THE_END = ("read_file", "list_files", "write_to_file", "execute_command")
"""What the model asks for before the answer whose end is held, with the result in it; one call each."""

AT_THE_END = "at the end"
"""When stock is taken."""


async def _work_over_grpc(stage: LiveStage) -> None:
    await stage.endpoint.listen()
    await stage.start_bridge()
    settings = ["--config", str(stage.home.home / "classic")]
    model = ["-p", "openai", "-k", stage.words["key_word"], "-m", stage.scenario.model]
    model += ["-b", f"http://127.0.0.1:{stage.model_port}/v1"]
    asked = await _start(stage, "auth", ["auth", *settings, *model], {})
    if await asyncio.wait_for(asked.wait(), CLINE_TIMEOUT_SECONDS):
        raise OSError(f"`cline auth` failed, see {stage.folder / 'cline' / 'auth.stderr'}")
    prompt = f"Please see to {stage.words['prompt_word']}. {cue('classic', PLAY)}"
    started_at_ns = time.time_ns()
    cline = await _start(stage, PLAY, ["--json", "-y", *settings, prompt], _SENDS_OVER_GRPC)
    await stage.wait_until_held()
    # Classic Cline does not wait at its end for what it sends. But it takes the result as soon as that is said, so its
    # task is over before the answer is.
    await stage.wait_for_telemetry(lambda telemetry: bool(telemetry.spans), "the task to be told")
    await stage.wait_for_status(lambda status: _requests_of_metrics(status) > 0, "get metrics over gRPC")
    stage.model.release()
    exit_code = await asyncio.wait_for(cline.wait(), CLINE_TIMEOUT_SECONDS)
    stage.outcome.runs.append(FinishedRun("classic", PLAY, exit_code, started_at_ns, time.time_ns()))
    await stage.wait_until_delivered()
    await stage.take_stock(AT_THE_END)
    await stage.stop_bridge()


_SENDS_OVER_GRPC = {
    "CLINE_OTEL_TELEMETRY_ENABLED": "true",
    "CLINE_OTEL_LOGS_EXPORTER": "otlp",
    "CLINE_OTEL_METRICS_EXPORTER": "otlp",
    "CLINE_OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    "CLINE_OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4320",
    "CLINE_OTEL_EXPORTER_OTLP_INSECURE": "true",
    "CLINE_OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "CLINE_OTEL_LOG_BATCH_TIMEOUT": "100",
}
"""As docs/control.md has it, with metrics, and sooner than by default."""


async def _start(
    stage: LiveStage, name: str, arguments: list[str], environment: dict[str, str]
) -> asyncio.subprocess.Process:
    node = str(Path(stage.programs.node_folder) / "node")
    return await stage.start_another_cline(name, [node, stage.programs.classic_cline, *arguments], environment)


def _requests_of_metrics(status: dict[str, object]) -> int:
    counts = status["counts"]
    assert isinstance(counts, list)
    return sum(each["count"] for each in counts if (each["kind"], each["name"]) == ("unsupported_signal", "metrics"))


CLASSIC_OVER_GRPC = LiveScenario("classic_over_grpc", ((ClineRun("classic"),),), plugin=False, direct=_work_over_grpc)
