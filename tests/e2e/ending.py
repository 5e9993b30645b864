"""Plays in which each Cline is ended in its own way, while it waits for the model or runs a command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

from .live_stage import LiveScenario, LiveStage, StartedRun
from .scenarios import ClineRun
from .stage import CLINE_TIMEOUT_SECONDS, FinishedRun, wait_until
from .telemetry import Span, Telemetry

Place = Literal["local", "hub", "log"]
Way = Literal["ctrl_c", "ctrl_c_twice", "sigterm", "sigkill", "hangup", "hub_sigkill", "hub_stop"]

OPEN_SECONDS = 4.0
"""How long a call is open before its Cline is ended, at least."""

SCRIPTS_OF_WAITS = {"model": "unanswered", "tool": "command_without_end"}

_TWICE_AFTER_SECONDS = 0.3
_AT_A_TIME = 3


@dataclass
class Cell:
    """How one Cline ended while it waited for something; times in nanoseconds since the Unix epoch.

    ``opened_at_ns`` is when the call was seen to be open, ``ended_at_ns`` when the Cline was told to end, and
    ``over_at_ns`` when its process, or the hub that it ran in, was gone.
    """

    place: Place
    way: Way
    waits_for: str
    play: str = ""
    opened_at_ns: int = 0
    ended_at_ns: int = 0
    over_at_ns: int = 0
    exit_code: int | None = None

    @property
    def name(self) -> str:
        """As tests name it."""
        return f"{self.place}-{self.way}-{self.waits_for}"


_OF_CLIENTS: tuple[Way, ...] = ("ctrl_c", "ctrl_c_twice", "sigterm", "sigkill", "hangup")
_OF_HUBS: tuple[Way, ...] = ("hub_sigkill", "hub_stop")


def _cells(place: Place, *ways: Way) -> list[Cell]:
    return [Cell(place, way, waits_for) for way in ways for waits_for in SCRIPTS_OF_WAITS]


LOCAL_ENDS = _cells("local", *_OF_CLIENTS)
HUB_ENDS = _cells("hub", *_OF_CLIENTS, *_OF_HUBS)
LOG_ENDS = _cells("log", "sigkill")
"""The cells, in the order of their plays. Of those in ``log`` the bridge reads ``cline.log`` alone."""


async def _end_local_ones(stage: LiveStage) -> None:
    stage.environment["CLINE_SESSION_BACKEND_MODE"] = "local"
    await _begin(stage)
    await _end_clients(stage, LOCAL_ENDS)
    await _finish(stage, LOCAL_ENDS)


async def _end_in_hub(stage: LiveStage) -> None:
    stage.environment["CLINE_SESSION_BACKEND_MODE"] = "hub"
    await _begin(stage)
    await stage.start_hub()
    await _end_clients(stage, [cell for cell in HUB_ENDS if cell.way in _OF_CLIENTS])
    await stage.stop_hub()
    for way in _OF_HUBS:
        await _end_hub(stage, [cell for cell in HUB_ENDS if cell.way == way])
    await _finish(stage, HUB_ENDS)


async def _end_those_in_the_log(stage: LiveStage) -> None:
    stage.environment["CLINE_SESSION_BACKEND_MODE"] = "local"
    log = stage.home.cline_directory / "data" / "logs" / "cline.log"
    log.parent.mkdir(parents=True)
    # Of a file that is there before the bridge every line is told.
    log.touch()
    elsewhere = {"CLINE_DIR": str(stage.folder / "elsewhere"), "CLINE_LOG_PATH": str(log)}
    stage.environment |= elsewhere
    await _begin(stage)
    for name in elsewhere:
        del stage.environment[name]
    for cell in LOG_ENDS:
        # Nothing in the log says which play it was.
        await _end_client(stage, cell, asyncio.Semaphore(1))

    def are_told(telemetry: Telemetry) -> bool:
        return all(len(roots_at(telemetry, cell.opened_at_ns)) == 1 for cell in LOG_ENDS)

    await stage.wait_for_telemetry(are_told, "the end of every run to be told")
    await _keep(stage, LOG_ENDS)


async def _begin(stage: LiveStage) -> None:
    await stage.endpoint.listen()
    await stage.start_bridge()


async def _finish(stage: LiveStage, cells: list[Cell]) -> None:
    def are_told(telemetry: Telemetry) -> bool:
        return all(len(roots_of(telemetry, cell.play)) == 1 for cell in cells)

    await stage.wait_for_telemetry(are_told, "the end of every run to be told")
    await _keep(stage, cells)


async def _keep(stage: LiveStage, cells: list[Cell]) -> None:
    await stage.wait_until_delivered()
    (stage.folder / "ends.json").write_text(json.dumps([asdict(cell) for cell in cells], indent=1))
    await stage.stop_bridge()


def spans_of(telemetry: Telemetry, play: str) -> list[Span]:
    """The spans of a play's session, which its first tool call names."""
    sessions = {
        span.attributes["gen_ai.conversation.id"]
        for span in telemetry.spans
        if str(span.attributes.get("gen_ai.tool.call.id", "")).startswith(f"call_{play}_")
    }
    return [span for span in telemetry.spans if span.attributes.get("gen_ai.conversation.id") in sessions]


def roots_of(telemetry: Telemetry, play: str) -> list[Span]:
    """The root spans of a play's session."""
    return [span for span in spans_of(telemetry, play) if not span.parent_span_id]


def roots_at(telemetry: Telemetry, at_ns: int) -> list[Span]:
    """The root spans of what was under way then."""
    roots = [span for span in telemetry.spans if not span.parent_span_id]
    return [span for span in roots if span.started_at_ns <= at_ns <= span.ended_at_ns]


async def _open(stage: LiveStage, cell: Cell, places: asyncio.Semaphore) -> StartedRun:
    """Starts the Cline of a cell; returns once its call has been open for a while."""
    async with places:
        started = await stage.start_cline(SCRIPTS_OF_WAITS[cell.waits_for])
        cell.play = started.play
        mark = stage.home.workspace / f"{cell.play}_runs"

        def is_open() -> bool:
            if started.process.returncode is not None:
                said = (stage.folder / "cline" / f"{cell.play}.stderr").read_text().strip()[-300:]
                raise OSError(f"the Cline of {cell.name} ended with {started.process.returncode} too early: {said}")
            return cell.play in stage.model.hanging or mark.exists()

        await wait_until(is_open, CLINE_TIMEOUT_SECONDS, f"a call of {cell.name}")
    cell.opened_at_ns = time.time_ns()
    await asyncio.sleep(OPEN_SECONDS)
    return started


async def _end_clients(stage: LiveStage, cells: list[Cell]) -> None:
    places = asyncio.Semaphore(_AT_A_TIME)
    await asyncio.gather(*(_end_client(stage, cell, places) for cell in cells))


async def _end_client(stage: LiveStage, cell: Cell, places: asyncio.Semaphore) -> None:
    started = await _open(stage, cell, places)
    process = started.process
    cell.ended_at_ns = time.time_ns()
    if cell.way in ("ctrl_c", "ctrl_c_twice"):
        # A terminal tells the whole process group.
        os.killpg(process.pid, signal.SIGINT)
        if cell.way == "ctrl_c_twice":
            await asyncio.sleep(_TWICE_AFTER_SECONDS)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
    elif cell.way == "hangup":
        os.killpg(process.pid, signal.SIGHUP)
    else:
        process.send_signal(signal.SIGTERM if cell.way == "sigterm" else signal.SIGKILL)
    if cell.way == "sigterm":
        # Cline goes on with what it does, however long that takes.
        await asyncio.sleep(OPEN_SECONDS)
        stage.model.hanging.discard(cell.play)
    await _note_end(stage, cell, started)


async def _end_hub(stage: LiveStage, cells: list[Cell]) -> None:
    await stage.start_hub()
    places = asyncio.Semaphore(_AT_A_TIME)
    clients = await asyncio.gather(*(_open(stage, cell, places) for cell in cells))
    ended_at_ns = time.time_ns()
    if cells[0].way == "hub_stop":
        await stage.stop_hub()
    else:
        hub = json.loads(stage.home.hub_record.read_text())
        os.kill(hub["pid"], signal.SIGKILL)
        stage.home.hub_record.unlink()
    for cell, started in zip(cells, clients, strict=True):
        cell.ended_at_ns = ended_at_ns
        await _note_end(stage, cell, started)


async def _note_end(stage: LiveStage, cell: Cell, started: StartedRun) -> None:
    cell.exit_code = await asyncio.wait_for(started.process.wait(), CLINE_TIMEOUT_SECONDS)
    cell.over_at_ns = time.time_ns()
    stage.outcome.runs.append(
        FinishedRun(started.run.script, started.play, cell.exit_code, started.started_at_ns, cell.over_at_ns)
    )


def _runs(cells: list[Cell]) -> tuple[tuple[ClineRun, ...], ...]:
    return tuple((ClineRun(SCRIPTS_OF_WAITS[cell.waits_for]),) for cell in cells)


ENDED_LOCALLY = LiveScenario("ended_locally", _runs(LOCAL_ENDS), direct=_end_local_ones)
ENDED_IN_HUB = LiveScenario("ended_in_hub", _runs(HUB_ENDS), direct=_end_in_hub)
ENDED_IN_LOG = LiveScenario("ended_in_log", _runs(LOG_ENDS), plugin=False, direct=_end_those_in_the_log)
