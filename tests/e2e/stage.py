"""Where a scenario is played: the model server, the collector, the bridge and each Cline, as processes and folders."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .isolated_home import IsolatedHome, build_home
from .model_server import ModelServer
from .scenarios import ClineRun, Scenario
from .scripts import cue, fill_in

CLINE_TIMEOUT_SECONDS = 600
START_TIMEOUT_SECONDS = 300
DRAIN_TIMEOUT_SECONDS = 300
STOP_TIMEOUT_SECONDS = 300

_OTLP_GRPC_PORT = 4317
_OTLP_HTTP_PORT = 4318
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Programs:
    """The programs that a scenario runs; paths as strings.

    ``node_folder`` holds ``node``, which runs ``classic_cline``. Without ``bridge`` Cline runs alone, to look at what
    it does.
    """

    cline: str
    node_folder: str
    classic_cline: str = ""
    bridge: str = ""
    collector: str = ""
    collector_config: str = ""


@dataclass
class FinishedRun:
    """One Cline that ran; times in nanoseconds since the Unix epoch."""

    script: str
    play: str
    exit_code: int
    started_at_ns: int
    ended_at_ns: int


@dataclass
class Outcome:
    """What a scenario did; ``failure`` says why it could not be played to its end."""

    scenario: str
    runs: list[FinishedRun] = field(default_factory=list)
    bridge_exit_code: int | None = None
    failure: str = ""


class Stage:
    """Plays one scenario in ``folder``; ``outcome`` says how far it came.

    Attributes:
        in_front: the command that runs each Cline, with its arguments; empty where it is started by itself.
    """

    def __init__(self, scenario: Scenario, folder: Path, programs: Programs, words: Mapping[str, str]) -> None:
        self.scenario = scenario
        self.folder = folder
        self.programs = programs
        self.words = words
        self.outcome = Outcome(scenario.name)
        self.in_front: tuple[str, ...] = ()
        self.umask = 0o022
        self._state = folder / "bridge" / "state"
        self._snapshots = 0

    async def play(self) -> None:
        """Plays the scenario from the model server's start to the last program's end."""
        async with AsyncExitStack() as running:
            server = ModelServer(self.folder / "model_requests.jsonl")
            home = build_home(self.scenario, self.folder, self.words, await server.start())
            running.push_async_callback(server.stop)
            self.words = server.words = {**self.words, "workspace": str(home.workspace)}
            collector = await self._start_collector(running)
            keeper = asyncio.create_task(self._keep_spool_files())
            running.callback(keeper.cancel)
            await self._install_plugin(home)
            bridge = await self._start_bridge(home, running) if self.scenario.bridge_starts == "before" else None
            await self._run_clines(home)
            if bridge is None:
                bridge = await self._start_bridge(home, running)
            if bridge is not None and collector is not None:
                await self._wait_until_drained(home, bridge)
                self.outcome.bridge_exit_code = await stop_process(bridge)
                self._snapshot()
                await stop_process(collector)

    async def _run_clines(self, home: IsolatedHome) -> None:
        number = 0
        for position, step in enumerate(self.scenario.steps):
            if position:
                await wait_until(home.hub_record.exists, START_TIMEOUT_SECONDS, "the hub daemon to announce itself")
            runs = []
            for run in step:
                number += 1
                runs.append(self._run_cline(home, run, f"p{number}"))
            self.outcome.runs += await asyncio.gather(*runs)
            self._snapshot()
        await self._stop_hub(home)

    async def _stop_hub(self, home: IsolatedHome) -> None:
        if home.hub_record.exists():
            stop = await self._start_cline(home, "hub-stop", ["hub", "stop"])
            await asyncio.wait_for(stop.wait(), STOP_TIMEOUT_SECONDS)

    async def _run_cline(self, home: IsolatedHome, run: ClineRun, play: str) -> FinishedRun:
        prompt = f"Please see to {self.words['prompt_word']}. {cue(run.script, play)}"
        started_at_ns = time.time_ns()
        arguments = ["--json", *fill_in(list(run.arguments), play, self.words), prompt]
        process = await self._start_cline(home, play, arguments)
        if run.signalled:
            mark = home.workspace / "long_command_runs"
            await wait_until(mark.exists, CLINE_TIMEOUT_SECONDS, "the long command to run")
            if run.signalled == "ctrl-c":
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGINT if run.signalled == "sigint" else signal.SIGKILL)
        exit_code = await asyncio.wait_for(process.wait(), CLINE_TIMEOUT_SECONDS)
        return FinishedRun(run.script, play, exit_code, started_at_ns, time.time_ns())

    async def _start_cline(self, home: IsolatedHome, name: str, arguments: list[str]) -> asyncio.subprocess.Process:
        command = [*self.in_front, self.programs.cline, *arguments]
        environment = self._cline_environment(home)
        return await start_process(command, environment, self.folder / "cline" / name, directory=home.workspace)

    def _cline_environment(self, home: IsolatedHome) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return self._environment(home) | {
            "PATH": os.pathsep.join([self.programs.node_folder, os.environ["PATH"]]),
            "TMPDIR": str(temporary),
            "SHELL": "/bin/sh",
            "TERM": "dumb",
            "CLINE_NO_AUTO_UPDATE": "1",
            # Cline gives its plugins 4 s to load and then goes on without them: too short on a busy machine.
            "CLINE_PLUGIN_IMPORT_TIMEOUT_MS": "60000",
        }

    async def _start_collector(self, running: AsyncExitStack) -> asyncio.subprocess.Process | None:
        if not self.programs.collector:
            return None
        output = self.folder / "collector"
        environment = {"CLINE_OTEL_COLLECTOR_OUTPUT_DIR": str(output)}
        command = [self.programs.collector, "--config", self.programs.collector_config]
        process = await start_process(command, environment, self.folder / "collector")
        running.push_async_callback(end_process, process)
        for port in (_OTLP_GRPC_PORT, _OTLP_HTTP_PORT):
            await _wait_for_port(port)
        return process

    async def _install_plugin(self, home: IsolatedHome) -> None:
        if self.programs.bridge and self.scenario.plugin:
            command = [self.programs.bridge, "install", "--cline-dir", str(home.cline_directory)]
            process = await start_process(
                command, self._environment(home), self.folder / "bridge" / "install", umask=self.umask
            )
            if await asyncio.wait_for(process.wait(), START_TIMEOUT_SECONDS):
                raise OSError(f"`cline-otel install` failed, see {self.folder / 'bridge' / 'install.stderr'}")

    async def _start_bridge(self, home: IsolatedHome, running: AsyncExitStack) -> asyncio.subprocess.Process | None:
        if not self.programs.bridge:
            return None
        grpc = self.scenario.protocol == "grpc"
        environment = self._environment(home) | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{_OTLP_GRPC_PORT if grpc else _OTLP_HTTP_PORT}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": self.scenario.protocol,
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
        process = await start_process([self.programs.bridge, "run"], environment, self.folder / "bridge" / "run")
        running.push_async_callback(end_process, process)
        return process

    def _environment(self, home: IsolatedHome) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home.home),
            "LANG": "C.UTF-8",
            "CLINE_OTEL_BRIDGE_STATE_DIR": str(self._state),
        }

    async def _wait_until_drained(self, home: IsolatedHome, bridge: asyncio.subprocess.Process) -> None:
        """Returns once `cline-otel status` says that all is read and nothing waits to be delivered."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        while True:
            process = await asyncio.create_subprocess_exec(
                *(self.programs.bridge, "status", "--json"),
                env=self._environment(home),
                stdout=asyncio.subprocess.PIPE,
            )
            answer, _ = await process.communicate()
            if process.returncode == 0 and is_drained(json.loads(answer)):
                (self.folder / "bridge" / "status.json").write_bytes(answer)
                return
            if bridge.returncode is not None:
                errors = (self.folder / "bridge" / "run.stderr").read_text()
                raise OSError(f"the bridge ended with {bridge.returncode}: {errors.strip()[-300:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {DRAIN_TIMEOUT_SECONDS} s for the bridge to read and deliver everything")

    async def _keep_spool_files(self) -> None:
        """Keeps a second link to every spool file, as the bridge deletes them once they are read."""
        kept = self.folder / "bridge" / "spool"
        kept.mkdir(parents=True)
        while True:
            for path in (self._state / "spool").glob("*.jsonl"):
                with suppress(FileNotFoundError, FileExistsError):
                    (kept / path.name).hardlink_to(path)
            await asyncio.sleep(_POLL_SECONDS)

    def _snapshot(self) -> None:
        """Keeps a copy of the bridge's state directory as it is now, with what waits in its journal."""
        self._snapshots += 1
        if self._state.exists():
            with suppress(shutil.Error):
                shutil.copytree(self._state, self.folder / "bridge" / f"snapshot-{self._snapshots}")


def is_drained(status: dict[str, Any]) -> bool:
    """Whether, by what ``cline-otel status --json`` says, all is read and nothing waits to be delivered."""
    unread = sum(source["unread_bytes"] or 0 for source in status["sources"])
    waiting = sum(signal["pending_rows"] for signal in status["signals"].values())
    return unread == 0 and waiting == 0


async def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns once ``condition`` holds; raises ``TimeoutError`` naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {START_TIMEOUT_SECONDS} s for something to listen on port {port}") from None
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return


async def start_process(
    command: list[str], environment: Mapping[str, str], log: Path, directory: Path | None = None, umask: int = 0o022
) -> asyncio.subprocess.Process:
    """Starts ``command`` in a process group of its own, its output in ``log`` with ``.stdout`` and ``.stderr``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.with_name(f"{log.name}.stdout").open("ab") as output,
        log.with_name(f"{log.name}.stderr").open("ab") as errors,
    ):
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            umask=umask,
        )


async def stop_process(process: asyncio.subprocess.Process) -> int:
    """Asks a process to end and returns its exit code; raises ``TimeoutError`` if it does not end in time."""
    process.terminate()
    return await asyncio.wait_for(process.wait(), STOP_TIMEOUT_SECONDS)


async def end_process(process: asyncio.subprocess.Process) -> None:
    """``kill -9``, if it still runs."""
    if process.returncode is None:
        process.kill()
        await process.wait()
