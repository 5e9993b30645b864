"""A bridge within an agent's process, which takes what the agent emits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from cline_otel import bridge
from cline_otel.emitting import EMITTED
from cline_otel.emitting.events import AgentEvent, Recorder
from cline_otel.settings import load_settings
from cline_otel.settings.places import known_state_directory, required_state_directory
from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import Registry
from cline_otel.state_directory import OFF_FILE_NAME

_STATE_DIRECTORY: Final = "agents"


class BridgeError(Exception):
    """The bridge cannot start, does not run, or cannot take an event; the text says why."""


class Bridge(bridge.Observer):
    """Takes an agent's events, keeps them in a journal and delivers what they become, in a thread of its own.

    Where to send, what may leave and how, the environment says (docs/settings.md), as for ``cline-otel run``. Use it
    as a context manager: it runs from there to the end of the block, and may be entered once.

    Args:
        name: of the agent's service, ``service.name``, and of the directory that its journal is in.
        state_directory: where the journal is; None for a directory by the name, below that of ``cline-otel run``. No
            two bridges can run on one.
    """

    def __init__(self, name: str, *, state_directory: Path | None = None) -> None:
        self._name = name
        self._state_directory = state_directory
        self._recorder = Recorder()
        self._lock = Lock()
        self._started: Future[None] = Future()
        self._thread = Thread(target=self._run, name="cline-otel", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bridge: bridge.Bridge | None = None

    def __enter__(self) -> Self:
        """Starts it.

        Raises:
            BridgeError: a setting cannot be used, another bridge has the journal, or it cannot be written.
        """
        self._thread.start()
        try:
            self._started.result()
        except Exception as error:
            raise BridgeError(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Sends what can be sent in some seconds, and stops; the rest waits in the journal for the next time."""
        if self._loop is not None and self._bridge is not None:
            self._loop.call_soon_threadsafe(self._bridge.stop)
        self._thread.join()

    def emit(self, event: AgentEvent) -> None:
        """Takes an event; returns once it is in the journal. May be called from any thread, in the order of time.

        The same event once more adds nothing. While telemetry is switched off, nothing is kept of it.

        Raises:
            InvalidEvent: the event has a value that it cannot have; nothing was taken.
            BridgeError: the bridge does not run, or the journal is full or cannot be written; nothing was taken.
        """
        with self._lock:
            record = self._recorder.record(event, time.time_ns())
            running, loop = self._bridge, self._loop
            if running is None or loop is None or not self._thread.is_alive():
                raise BridgeError("the bridge does not run: emit within its `with` block")
            payload = Payload(EMITTED.name, [msgspec.json.encode(record)], place=EMITTED.name)
            taking: Coroutine[Any, Any, object] = running.receive(payload)
            try:
                asyncio.run_coroutine_threadsafe(taking, loop).result()
            except (Busy, Unavailable) as error:
                raise BridgeError(f"the event was not taken: {error}") from error

    def started(self, started: bridge.Started) -> None:
        """It takes events from now on."""
        self._started.set_result(None)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        users = known_state_directory()
        directory = self._state_directory or required_state_directory(users) / _STATE_DIRECTORY / self._name
        settings = msgspec.structs.replace(
            load_settings(state_directory=directory),
            listen=None,
            service_name=self._name,
            further_off_files=() if users is None else (users / OFF_FILE_NAME,),
        )
        self._bridge = bridge.Bridge(settings, self, Registry((EMITTED,)))
        await self._bridge.run()
