"""A play of an editor: its host asks the user about tools, changes the mode, and is killed while it asks."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

from .live_stage import LiveScenario, LiveStage
from .scripts import cue
from .stage import CLINE_TIMEOUT_SECONDS, FinishedRun, wait_until

CLIENT = "Cline for VSCode"
"""What the host calls itself: a name with spaces, as editors have."""

PLANS, WORKS, IS_KILLED = "p1", "p2", "p3"
"""The plays, in order: the first two are prompts of one session, in another mode each."""

_HOST = Path(__file__).with_name("asking_host.mjs")


def _answers(*given: tuple[int, bool, str | None]) -> list[dict[str, Any]]:
    return [{"waitMs": wait_ms, "approved": approved, "reason": reason} for wait_ms, approved, reason in given]


async def _work_in_an_editor(stage: LiveStage) -> None:
    await stage.endpoint.listen()
    await stage.start_bridge()
    answers = _answers(
        (1_200, True, None), (800, False, None), (600, False, stage.words["prompt_word"]), (700, True, None)
    )
    steps = [_step(stage, "plan", "looking", PLANS), _step(stage, "act", "asking_for_approval", WORKS, answers)]
    started_at_ns = time.time_ns()
    host = await _start(stage, "first", steps)
    exit_code = await asyncio.wait_for(host.wait(), CLINE_TIMEOUT_SECONDS)
    stage.outcome.runs.append(FinishedRun("asking_for_approval", WORKS, exit_code, started_at_ns, time.time_ns()))
    host = await _start(stage, "second", [_step(stage, "act", "left_alone", IS_KILLED)])
    witness = witness_of(stage.folder, "second")
    await wait_until(witness.exists, CLINE_TIMEOUT_SECONDS, "the user to be asked")
    host.kill()
    await host.wait()
    await stage.wait_until_delivered()
    await stage.stop_bridge()


def _step(
    stage: LiveStage, mode: str, script: str, play: str, answers: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    prompt = f"Please see to {stage.words['prompt_word']}. {cue(script, play)}"
    return {"mode": mode, "prompt": prompt, "answers": answers or []}


async def _start(stage: LiveStage, name: str, steps: list[dict[str, Any]]) -> asyncio.subprocess.Process:
    """The stand-in host, with the SDK that the pinned release brings; what it is asked is kept under ``name``."""
    modules = Path(stage.programs.cline).parents[3]
    settings = {
        "core": str(modules / "@cline" / "core" / "dist" / "index.js"),
        "baseUrl": f"http://127.0.0.1:{stage.model_port}/v1",
        "model": stage.scenario.model,
        "client": CLIENT,
        "witness": str(witness_of(stage.folder, name)),
        "steps": steps,
    }
    # In an editor this variable is what makes the plugin load; it names the bootstrap that the SDK starts plugins with.
    environment = {"CLINE_WRAPPER_PATH": str(modules / "cline" / "bin" / "cline")}
    node = str(Path(stage.programs.node_folder) / "node")
    return await stage.start_another_cline(name, [node, str(_HOST), json.dumps(settings)], environment)


def witness_of(folder: Path, name: str) -> Path:
    """What a host was asked about tools, a line of JSON each; not there before it is asked."""
    return folder / f"asked-{name}.jsonl"


IN_AN_EDITOR = LiveScenario("in_an_editor", (), direct=_work_in_an_editor)
