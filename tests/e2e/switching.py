"""Plays in which telemetry goes off and on: by each who may switch it, before a run and in its middle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .live_stage import LiveScenario, LiveStage
from .scenarios import ClineRun
from .telemetry import Telemetry

BRIEF_TWICE = ((ClineRun("brief"),), (ClineRun("brief"),))
PAUSING_THEN_BRIEF = ((ClineRun("pausing"),), (ClineRun("brief"),))

FIRST_HELD_TURN = 2
"""The turn of the script ``pausing`` whose end is held first, while everything is switched."""


@dataclass(frozen=True)
class OptOutSource:
    """Who says off before a run and takes it back after it.

    Attributes:
        name: for the scenario.
        reason: how `cline-otel status` names it.
        says_off: makes it say so, before the bridge starts.
        takes_back: makes it say so no more; returns when the bridge has noticed.
    """

    name: str
    reason: str
    says_off: Callable[[LiveStage], None]
    takes_back: Callable[[LiveStage], Awaitable[None]]


def _in_file(name: str, reason: str, path: str, key: str, off: object, on: object) -> OptOutSource:
    """One who decides by ``key`` in the JSON file ``path`` of Cline's data directory."""

    def write(stage: LiveStage, value: object) -> None:
        file = stage.home.cline_directory / "data" / path
        fields = json.loads(file.read_text()) if file.exists() else {}
        _write_aside(file, json.dumps(fields | {key: value}, indent=1))

    async def take_back(stage: LiveStage) -> None:
        write(stage, on)
        await stage.wait_until_bridge_says("telemetry is on again")

    return OptOutSource(name, reason, lambda stage: write(stage, off), take_back)


def _write_aside(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.new")
    aside.write_text(text)
    aside.replace(file)


def _by_environment(name: str, reason: str, variable: str) -> OptOutSource:
    """One who decides by a variable in the environment of Cline and the bridge, for as long as they run."""

    def say_off(stage: LiveStage) -> None:
        stage.environment[variable] = "1"

    async def take_back(stage: LiveStage) -> None:
        await stage.stop_bridge()
        await stage.stop_hub()
        del stage.environment[variable]
        await stage.start_bridge()

    return OptOutSource(name, reason, say_off, take_back)


DECIDERS = (
    _in_file(
        "opted_out",
        "telemetryOptOut is true in Cline's global-settings.json",
        "settings/global-settings.json",
        "telemetryOptOut",
        True,
        False,
    ),
    _in_file(
        "opted_out_classic",
        "telemetrySetting is disabled in Cline's globalState.json",
        "globalState.json",
        "telemetrySetting",
        "disabled",
        "enabled",
    ),
    _in_file(
        "organization_says_no",
        "telemetryEnabled is false in the organization's remote config",
        "cache/remote_config_x.json",
        "telemetryEnabled",
        False,
        True,
    ),
    _by_environment("do_not_track", "DO_NOT_TRACK is set", "DO_NOT_TRACK"),
)


async def _opt_out_and_back(source: OptOutSource, stage: LiveStage) -> None:
    await stage.endpoint.listen()
    source.says_off(stage)
    await stage.start_bridge()
    await stage.take_stock("before")
    await stage.run_cline()
    await stage.wait_until_read()
    await stage.take_stock("off")
    await source.takes_back(stage)
    await stage.run_cline()
    await _end_when_told(stage, "completed")


async def _run_into_a_pause(stage: LiveStage) -> asyncio.Task[None]:
    """What the first Cline does until the model server holds its answer waits in the journal; its end to wait for."""
    stage.endpoint.answer_queued_signals(503)
    await stage.endpoint.listen()
    await stage.start_bridge()
    cline = asyncio.create_task(stage.run_cline())
    await stage.wait_until_held()
    await stage.wait_until_read()
    await stage.take_stock("before")
    return cline


async def _run_on_to_the_next_pause(stage: LiveStage) -> None:
    """Everybody has noticed by then that it is off, and nothing but that keeps the bridge from sending."""
    stage.endpoint.answer_queued_signals(200)
    await stage.let_it_be_noticed()
    await stage.take_stock("off")
    stage.model.release()
    await stage.wait_until_held()
    await stage.wait_until_read()
    await stage.take_stock("still off")


async def _off_and_on_in_the_middle(stage: LiveStage) -> None:
    cline = await _run_into_a_pause(stage)
    await stage.command("off")
    await stage.wait_until_bridge_says("telemetry is off")
    await _run_on_to_the_next_pause(stage)
    await stage.command("on")
    await stage.wait_until_bridge_says("telemetry is on again")
    stage.model.release()
    await cline
    await stage.run_cline()
    await _end_when_told(stage, "incomplete", "completed")


async def _erase_in_the_middle(stage: LiveStage) -> None:
    cline = await _run_into_a_pause(stage)
    await stage.command("off", "--erase")
    await stage.take_stock("erased")
    await _run_on_to_the_next_pause(stage)
    stage.model.release()
    await cline
    await stage.command("on")
    await stage.wait_until_bridge_says("telemetry is on again")
    await stage.run_cline()
    await _end_when_told(stage, "completed")


async def _kill_the_bridge_twice(stage: LiveStage) -> None:
    """Once when all is delivered and once when much waits; in between and afterwards Cline goes on alone."""
    await stage.endpoint.listen()
    await stage.start_bridge()
    cline = asyncio.create_task(stage.run_cline())
    await stage.wait_until_held()
    await stage.wait_until_delivered()
    await stage.kill_bridge()
    stage.model.release()
    await stage.wait_until_held()
    stage.endpoint.answer_queued_signals(503)
    await stage.start_bridge()
    await stage.wait_until_read()
    await stage.take_stock("killed with much that waits")
    await stage.kill_bridge()
    stage.model.release()
    await cline
    stage.endpoint.answer_queued_signals(200)
    await stage.start_bridge()
    await _end_when_told(stage, "completed")


async def _end_when_told(stage: LiveStage, *outcomes: str) -> None:
    """Stops the bridge once the endpoint has root spans with these outcomes and nothing waits."""

    def are_told(telemetry: Telemetry) -> bool:
        return set(outcomes) <= {
            span.attributes["cline.outcome"] for span in telemetry.spans if not span.parent_span_id
        }

    await stage.wait_for_telemetry(are_told, f"runs that are {' and '.join(outcomes)}")
    await stage.wait_until_delivered()
    await stage.stop_bridge()
    await stage.take_stock("end")


REASONS = {source.name: source.reason for source in DECIDERS}

OPTED_OUT = tuple(
    LiveScenario(source.name, BRIEF_TWICE, direct=partial(_opt_out_and_back, source)) for source in DECIDERS
)
OFF_AND_ON = LiveScenario("off_and_on", PAUSING_THEN_BRIEF, direct=_off_and_on_in_the_middle)
ERASED = LiveScenario("erased", PAUSING_THEN_BRIEF, direct=_erase_in_the_middle)
BRIDGE_KILLED = LiveScenario("bridge_killed", ((ClineRun("pausing"),),), direct=_kill_the_bridge_twice)
