"""A play of a CI job: each Cline is run by ``cline-otel exec``, and nothing else runs before or after it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from .live_stage import LiveScenario, LiveStage
from .scenarios import ClineRun
from .stage import CLINE_TIMEOUT_SECONDS, wait_until

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
"""The pipeline's span, of which the first prompt's trace is to be a part."""

RUN_ID = "9753949763"
TRACE_URL = "https://traces.example/t/{trace_id}"

PASSES, FAILS, CTRL_C, OPTED_OUT, BESIDE_A_BRIDGE = "p1", "p2", "p3", "p4", "p5"
"""The plays, in order."""

_HUB = "--cline-hub-daemon"


async def _execute(stage: LiveStage) -> None:
    stage.in_front = (stage.programs.bridge, "exec", "--drain", "60", "--")
    await stage.endpoint.listen()
    stage.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stage.endpoint.url,
        "CLINE_OTEL_TRACE_URL": TRACE_URL,
        "GITHUB_ACTIONS": "true",
        "GITHUB_RUN_ID": RUN_ID,
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_JOB": stage.words["branch_word"],
    }
    stage.environment |= {"TRACEPARENT": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    await _run(stage, PASSES)
    del stage.environment["TRACEPARENT"]
    await _run(stage, FAILS)
    await _run(stage, CTRL_C)
    stage.environment["DO_NOT_TRACK"] = "1"
    await _run(stage, OPTED_OUT)
    del stage.environment["DO_NOT_TRACK"]
    await stage.start_bridge()
    await _run(stage, BESIDE_A_BRIDGE)
    await stage.stop_bridge()


async def _run(stage: LiveStage, play: str) -> None:
    """One Cline to its end; keeps what the endpoint had by then, and which hubs were left."""
    summary = stage.folder / "summaries" / f"{play}.md"
    summary.parent.mkdir(exist_ok=True)
    stage.environment["GITHUB_STEP_SUMMARY"] = str(summary)
    started = await stage.start_cline()
    assert started.play == play
    if started.run.signalled:
        mark = stage.home.workspace / "long_command_runs"
        await wait_until(mark.exists, CLINE_TIMEOUT_SECONDS, "the long command to run")
        os.killpg(started.process.pid, signal.SIGINT)
    await stage.end_of(started)
    left = {"hubs": _hubs(), "requests": stage.endpoint.requests}
    (stage.folder / "summaries" / f"{play}.json").write_text(json.dumps(left))


def _hubs() -> list[int]:
    """The hub daemons of this namespace that live."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if _HUB.encode() in arguments:
            found.append(int(folder.name))
    return found


EXECUTED = LiveScenario(
    "executed",
    (
        (ClineRun("brief"),),
        (ClineRun("refused_for_good", exit_code=1),),
        (ClineRun("long_command", signalled="ctrl-c"),),
        (ClineRun("brief"),),
        (ClineRun("brief"),),
    ),
    direct=_execute,
)
