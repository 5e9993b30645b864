"""A stage on which what happens next is decided while Cline runs: who switches what off, who is killed, and when."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .isolated_home import IsolatedHome, build_home
from .model_server import ModelServer
from .otlp_endpoint import OtlpEndpoint
from .scenarios import ClineRun, Scenario
from .scripts import cue, fill_in
from .stage import (
    CLINE_TIMEOUT_SECONDS,
    DRAIN_TIMEOUT_SECONDS,
    START_TIMEOUT_SECONDS,
    FinishedRun,
    Programs,
    Stage,
    end_process,
    is_drained,
    start_process,
    stop_process,
    wait_until,
)
from .telemetry import Telemetry

NOTICED_WITHIN_SECONDS = 1.0
"""How long whoever runs may take to notice a switch (docs/control.md)."""

_ASK_EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class LiveScenario(Scenario):
    """A scenario with a play of its own: ``steps`` says which Clines it starts, in order, and how they end.

    Attributes:
        direct: what happens, in order; handed the stage after the plugin was installed.
        umask: of our processes: what Cline leaves to be written by everybody is not used.
    """

    direct: Callable[[LiveStage], Awaitable[None]] | None = None
    umask: int = 0o022


@dataclass(frozen=True)
class StartedRun:
    """A Cline that runs."""

    run: ClineRun
    play: str
    process: asyncio.subprocess.Process
    started_at_ns: int


class LiveStage(Stage):
    """Plays one live scenario.

    Attributes:
        home: the folders of the user whose Cline runs.
        model: the model server.
        model_port: its port of 127.0.0.1.
        endpoint: where the bridge sends; it answers once the play lets it.
        environment: variables over those that every process gets.
    """

    home: IsolatedHome
    model: ModelServer
    model_port: int
    endpoint: OtlpEndpoint

    def __init__(self, scenario: LiveScenario, folder: Path, programs: Programs, words: Mapping[str, str]) -> None:
        super().__init__(scenario, folder, programs, words)
        self.environment: dict[str, str] = {}
        self._live = scenario
        self.umask = scenario.umask
        self._bridge: asyncio.subprocess.Process | None = None
        self._bridge_errors = folder / "bridge" / "run.stderr"
        self._said_before_bytes = 0
        self._started_runs = 0
        self._leaves_hub = False

    async def play(self) -> None:
        """Plays the scenario from the model server's start to the last program's end."""
        assert self._live.direct is not None
        async with AsyncExitStack() as running:
            self._running = running
            self.model = ModelServer(self.folder / "model_requests.jsonl")
            self.model_port = await self.model.start()
            self.home = build_home(self.scenario, self.folder, self.words, self.model_port)
            running.push_async_callback(self.model.stop)
            self.words = self.model.words = {**self.words, "workspace": str(self.home.workspace)}
            self.endpoint = OtlpEndpoint(self.folder / "endpoint")
            running.push_async_callback(self.endpoint.stop)
            keeper = asyncio.create_task(self._keep_spool_files())
            running.callback(keeper.cancel)
            await self._install_plugin(self.home)
            await self._live.direct(self)

    # --- Cline ----------------------------------------------------------------------------------------

    async def start_cline(self, script: str = "") -> StartedRun:
        """Starts the next Cline of the scenario's steps; one that plays ``script``, if it says so."""
        run = ClineRun(script) if script else self.scenario.runs[self._started_runs]
        self._started_runs += 1
        play = f"p{self._started_runs}"
        prompt = f"Please see to {self.words['prompt_word']}. {cue(run.script, play)}"
        arguments = ["--json", *fill_in(list(run.arguments), play, self.words), prompt]
        started_at_ns = time.time_ns()
        return StartedRun(run, play, await self._start_cline(self.home, play, arguments), started_at_ns)

    async def start_another_cline(
        self, name: str, command: list[str], environment: dict[str, str]
    ) -> asyncio.subprocess.Process:
        """Starts what runs Cline but is not the command of the pinned release; its output is kept under ``name``."""
        variables = self._cline_environment(self.home) | environment
        return await start_process(command, variables, self.folder / "cline" / name, directory=self.home.workspace)

    async def end_of(self, started: StartedRun) -> None:
        """Returns when that Cline has ended."""
        exit_code = await asyncio.wait_for(started.process.wait(), CLINE_TIMEOUT_SECONDS)
        finished = FinishedRun(started.run.script, started.play, exit_code, started.started_at_ns, time.time_ns())
        self.outcome.runs = sorted([*self.outcome.runs, finished], key=lambda each: each.play)

    async def run_cline(self) -> None:
        """Runs the next Cline to its end; in the hub daemon, if an earlier one left it behind."""
        if self._leaves_hub:
            await wait_until(self.home.hub_record.exists, START_TIMEOUT_SECONDS, "the hub daemon to announce itself")
        self._leaves_hub = True
        await self.end_of(await self.start_cline())

    async def start_hub(self) -> None:
        """Starts the hub daemon. Cline itself gives it 15 s, too few on a busy machine, so it is asked again."""
        give_up_at = time.monotonic() + START_TIMEOUT_SECONDS
        while not self.home.hub_record.exists():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"waited {START_TIMEOUT_SECONDS} s for the hub daemon to announce itself")
            start = await self._start_cline(self.home, "hub-start", ["hub", "start"])
            await asyncio.wait_for(start.wait(), START_TIMEOUT_SECONDS)

    async def stop_hub(self) -> None:
        """Ends the hub daemon, whose environment is that of the Cline that left it behind."""
        await wait_until(self.home.hub_record.exists, START_TIMEOUT_SECONDS, "the hub daemon to announce itself")
        await self._stop_hub(self.home)
        self._leaves_hub = False

    async def wait_until_held(self) -> None:
        """Returns once the model server holds an answer; ``model.release`` lets it go on."""
        await self.model.wait_until_holding(CLINE_TIMEOUT_SECONDS)

    # --- the bridge -----------------------------------------------------------------------------------

    async def start_bridge(self, *, local: bool = False, log_level: str = "info") -> None:
        """Starts the bridge and returns once it reads; ``local`` leaves out the endpoint."""
        settings = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_LOG_LEVEL": log_level}
        if not local:
            settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = self.endpoint.url
        self._said_before_bytes = self._bridge_errors.stat().st_size if self._bridge_errors.exists() else 0
        self._bridge = await start_process(
            [self.programs.bridge, "run"],
            self._environment(self.home) | settings,
            self.folder / "bridge" / "run",
            umask=self.umask,
        )
        self._running.push_async_callback(end_process, self._bridge)
        await self.wait_until_bridge_says("  state directory ")

    async def kill_bridge(self) -> None:
        """``kill -9``."""
        assert self._bridge is not None
        await end_process(self._bridge)

    async def stop_bridge(self) -> None:
        """Asks it to stop; it reads and sends what is left."""
        assert self._bridge is not None
        self.outcome.bridge_exit_code = await stop_process(self._bridge)

    async def wait_until_bridge_says(self, words: str) -> None:
        """Returns once the bridge that runs has said ``words``."""

        def has_said() -> bool:
            assert self._bridge is not None
            said = self._bridge_errors.read_bytes()[self._said_before_bytes :].decode()
            if words not in said and self._bridge.returncode is not None:
                raise OSError(f"the bridge ended with {self._bridge.returncode}: {said.strip()[-300:]}")
            return words in said

        await wait_until(has_said, START_TIMEOUT_SECONDS, f"the bridge to say {words!r}")

    async def command(self, *arguments: str) -> str:
        """What ``cline-otel ARGUMENTS`` prints; it must succeed."""
        process = await asyncio.create_subprocess_exec(
            *(self.programs.bridge, *arguments),
            env=self._environment(self.home) | {"COLUMNS": "200"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            umask=self.umask,
        )
        output, errors = await asyncio.wait_for(process.communicate(), START_TIMEOUT_SECONDS)
        if process.returncode:
            raise OSError(f"`cline-otel {' '.join(arguments)}` failed: {errors.decode().strip()[-300:]}")
        return output.decode()

    async def status(self) -> dict[str, Any]:
        """What ``cline-otel status --json`` says."""
        answer: dict[str, Any] = json.loads(await self.command("status", "--json"))
        return answer

    async def wait_for_status(self, holds: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Returns once ``holds`` is true of the status."""
        give_up_at = time.monotonic() + DRAIN_TIMEOUT_SECONDS
        while not holds(await self.status()):
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"waited {DRAIN_TIMEOUT_SECONDS} s for the bridge to {what}")
            await asyncio.sleep(_ASK_EVERY_SECONDS)

    async def wait_until_read(self) -> None:
        """Returns once all that is in the files is read, or passed over."""
        await self.wait_for_status(lambda status: unread_bytes(status) == 0, "read everything")

    async def wait_until_delivered(self) -> None:
        """Returns once all is read and nothing waits."""
        await self.wait_for_status(is_drained, "read and deliver everything")

    async def wait_for_telemetry(self, holds: Callable[[Telemetry], bool], what: str) -> None:
        """Returns once ``holds`` is true of what the endpoint took."""
        await wait_until(lambda: holds(Telemetry(self.folder / "endpoint")), DRAIN_TIMEOUT_SECONDS, what)

    async def let_it_be_noticed(self) -> None:
        """Lets the second pass within which everybody notices a switch."""
        noticed_at = time.monotonic() + NOTICED_WITHIN_SECONDS
        await wait_until(lambda: time.monotonic() > noticed_at, 2 * NOTICED_WITHIN_SECONDS, "a second to pass")

    @property
    def spool(self) -> Path:
        """Where the plugin writes."""
        return self._state / "spool"

    # --- evidence -------------------------------------------------------------------------------------

    async def take_stock(self, moment: str) -> None:
        """Keeps what there is at this moment: the state directory with its modes, the journal's rows, the status."""
        folder = self.folder / "stock" / moment
        folder.mkdir(parents=True)
        log_events = {
            "at_ns": time.time_ns(),
            "requests": self.endpoint.requests,
            "spool_changed_at_ns": self.spool.stat().st_mtime_ns,
            "spool_sizes": {path.name: path.stat().st_size for path in (self.folder / "bridge" / "spool").iterdir()},
            "modes": {str(path.relative_to(self._state.parent)): _mode(path) for path in _below(self._state)},
        }
        # What is deleted meanwhile is not there at this moment.
        with suppress(shutil.Error):
            shutil.copytree(self._state, folder / "state")
        (folder / "facts.json").write_text(json.dumps(log_events, indent=1))
        journal = self._state / "journal.db"
        if journal.exists():
            _keep_rows(journal, folder)
            text, document = await asyncio.gather(self.command("status"), self.command("status", "--json"))
            (folder / "status.txt").write_text(text)
            (folder / "status.json").write_text(document)

    def _environment(self, home: IsolatedHome) -> dict[str, str]:
        return super()._environment(home) | self.environment


def unread_bytes(status: dict[str, Any]) -> int:
    """How much the files hold that was not read yet."""
    return sum(source["unread_bytes"] or 0 for source in status["sources"])


def _below(folder: Path) -> list[Path]:
    return [folder, *sorted(folder.rglob("*"))]


def _mode(path: Path) -> str:
    # A file may be gone by now.
    with suppress(FileNotFoundError):
        return stat.filemode(path.lstat().st_mode)
    return ""


def _keep_rows(journal: Path, folder: Path) -> None:
    """The journal's rows by table, as JSON to compare and as plain bytes to search: a page may cut a value in two."""
    rows: dict[str, list[list[Any]]] = {}
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows[table] = [list(row) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY 1')]
    values = (value for table in rows.values() for row in table for value in row)
    (folder / "rows.bin").write_bytes(
        b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in values)
    )
    (folder / "rows.json").write_text(json.dumps(rows, default=bytes.hex))
