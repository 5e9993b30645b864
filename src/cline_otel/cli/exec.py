"""``cline-otel exec``: a command with a bridge beside it, as in a CI job. The command runs whatever becomes of that."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Final

from cline_otel.cli.command_report import CommandReport, say
from cline_otel.defects import described
from cline_otel.operating_system.child_processes import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    Child,
    exit_code_of,
    on_signals,
    start_child,
    take_stdout,
)
from cline_otel.plugin.discovery import HUB_ARGUMENT

_MARK: Final = "CLINE_OTEL_EXEC_ID"
_IMPORT_TIMEOUT: Final = "CLINE_PLUGIN_IMPORT_TIMEOUT_MS"
_IMPORT_TIMEOUT_MS: Final = "60000"
"""Cline's own 4 s are too short on a busy machine; it would go on without the plugin."""
_HUB_ENDS_WITHIN_SECONDS: Final = 3.0


def exec_command(command: Sequence[str], drain_seconds: float) -> int:
    """Runs a command; returns what it exits with, 128 and more where a signal ended it, 126 or 127 if it cannot start.

    Args:
        command: a program and its arguments.
        drain_seconds: how long what it did may be read and sent after its end.
    """
    return asyncio.run(_Exec(command, drain_seconds).run())


class _Exec:
    def __init__(self, command: Sequence[str], drain_seconds: float) -> None:
        self._command = command
        self._drain_seconds = drain_seconds
        self._mark = secrets.token_hex(16)
        self._environment = _of_child(os.environ, self._mark)
        self._child: Child | None = None
        self._gave_up = asyncio.Event()
        self._signal = 0
        self._began_at_ns = time.time_ns()
        self._report = CommandReport()
        self._stdout = take_stdout()

    async def run(self) -> int:
        on_signals(asyncio.get_running_loop(), self._on_signal)
        beside = self._report.bridge()
        if beside is not None:
            starting = asyncio.create_task(beside.start())
            gave_up = asyncio.create_task(self._gave_up.wait())
            await asyncio.wait({starting, gave_up}, return_when=asyncio.FIRST_COMPLETED)
            gave_up.cancel()
        self._began_at_ns = time.time_ns()
        exit_code = exit_code_of(-self._signal) if self._signal else await self._run_child()
        duration_ns = time.time_ns() - self._began_at_ns
        until = time.monotonic() + self._drain_seconds
        await self._end_hub()
        if beside is not None:
            await beside.finish(self._began_at_ns, max(until - time.monotonic(), 0.0), self._gave_up)
            self._report.finish(exit_code, duration_ns)
        return exit_code

    async def _run_child(self) -> int:
        try:
            self._child = await start_child(self._command, self._environment, self._stdout)
        except OSError as error:
            say(f"{self._command[0]}: cannot be run ({error.strerror or error})")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        if self._signal:
            self._child.pass_on(self._signal)
        return await self._child.exit_code()

    def _on_signal(self, number: int) -> None:
        """The child's, while it lives; before, it is not started any more; afterwards nothing more is waited for."""
        if self._child is not None and not self._child.has_ended:
            self._child.pass_on(number)
            return
        if self._child is None:
            self._signal = number
        self._gave_up.set()

    async def _end_hub(self) -> None:
        """Ends the hub that the command left behind, which would hold the job up; no other one."""
        from cline_otel.operating_system.psutil_processes import end_processes

        seconds = min(_HUB_ENDS_WITHIN_SECONDS, self._drain_seconds)
        try:
            _, left = await asyncio.to_thread(end_processes, HUB_ARGUMENT, _MARK, self._mark, seconds)
        except Exception as error:
            say(f"a hub that Cline started may run on: {described(error)}")
            return
        if left:
            say("the hub that Cline started does not end")


def _of_child(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """Cline waits longer for the plugin, and a prompt's root span is the child of the span that the job has, if any."""
    defaults = {_IMPORT_TIMEOUT: _IMPORT_TIMEOUT_MS}
    if environment.get("TRACEPARENT"):
        defaults["CLINE_OTEL_TRACEPARENT_AS"] = "parent"
    return {
        **defaults,
        **{name: value for name, value in environment.items() if value or name not in defaults},
        _MARK: mark,
    }
