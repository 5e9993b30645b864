"""Runs ``cline-otel`` as a process of its own, in a home of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from bench.recorded_hooks import pseudonyms_file

from cline_otel.journal import Journal, JournalStatus, SignalStatus
from waiting import PATIENCE_SECONDS, NotWithinTimeError, wait_until

EXECUTABLE: Final = Path(sys.executable).with_name("cline-otel")

_LISTENING: Final = re.compile(r"OTLP logs on (http://127\.0\.0\.1:\d+)/v1/logs")
_LISTENING_GRPC: Final = re.compile(r"OTLP logs on (http://127\.0\.0\.1:\d+) \(gRPC\)")


class Home:
    """A user's home directory in a test, and the environment that goes with it.

    Attributes:
        state: the bridge's state directory.
        cline: Cline's directory.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        """``directory`` is made if it is missing; ``environment`` goes over what every process gets."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.state = directory / "state"
        self.cline = directory / ".cline"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "CLINE_OTEL_BRIDGE_STATE_DIR": str(self.state),
            "CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "0.2",
            # Recordings are of the past, so that each of their calls has long not ended.
            "CLINE_OTEL_BRIDGE_CALL_LIMIT_SECONDS": "0",
            # Its default is one port, and many bridges run at once.
            "CLINE_OTEL_BRIDGE_LISTEN_GRPC": "off",
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "200",
            "NO_PROXY": "*",
            **(environment or {}),
        }

    @property
    def spool(self) -> Path:
        """Where the plugin would write."""
        return self.state / "spool"

    @property
    def cline_log(self) -> Path:
        """Cline's log file."""
        return self.cline / "data" / "logs" / "cline.log"

    @property
    def telemetry(self) -> Path:
        """Where OTLP JSON lines go while no endpoint is set."""
        return self.state / "telemetry"

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.state / "journal.db"

    def take_key(self) -> None:
        """Gives the installation the key that ``replay_of`` has, so that both make the same pseudonyms."""
        path = self.state / "pseudonyms.json"
        if not path.exists():
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.copy(pseudonyms_file(), path)
            path.chmod(0o600)

    def run(
        self,
        *arguments: str | Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs one command to its end."""
        return subprocess.run(
            [EXECUTABLE, *arguments],
            env=self.environment | dict(environment or {}),
            cwd=directory or self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=False,
            preexec_fn=before_exec,
        )

    def status(self) -> dict[str, Any]:
        """What ``cline-otel status --json`` says."""
        answer = self.run("status", "--json")
        assert answer.returncode == 0, answer.stderr
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def counted(self, kind: str, source: str) -> int:
        """A counter of the journal, read here and now; 0 while there is no journal."""
        status = self._journal_status()
        counts = status.counts if status is not None else []
        return sum(count.count for count in counts if (count.kind, count.source) == (kind, source))

    def pending(self, *names: str) -> int:
        """How many spans and log records wait in the journal, or items of the named signals."""
        return sum(signal.pending_items for signal in self._signals(*names))

    def delivered(self, name: str) -> int:
        """How many items of a signal were delivered."""
        return sum(signal.delivered_items for signal in self._signals(name))

    def _signals(self, *names: str) -> list[SignalStatus]:
        status = self._journal_status()
        signals = status.signals if status is not None else {}
        return [signal for name, signal in signals.items() if not names or name in names]

    def _journal_status(self) -> JournalStatus | None:
        if not self.journal.exists():
            return None
        with Journal.open_read_only(self.journal) as journal:
            return journal.status()

    def written_bytes(self) -> bytes:
        """Every file under the home, one after the other, to search for what must not be there."""
        return b"".join(path.read_bytes() for path in sorted(self.directory.rglob("*")) if path.is_file())


class Bridge:
    """``cline-otel run`` in a home; used as a context it is killed at the end if it still runs."""

    def __init__(
        self,
        home: Home,
        *options: str,
        listen: str | None = "127.0.0.1:0",
        environment: Mapping[str, str] | None = None,
        before_exec: Callable[[], object] | None = None,
        program: Sequence[str | Path] = (EXECUTABLE,),
    ) -> None:
        """Prepares; ``start`` starts it. ``listen`` None leaves the option out; ``program`` is what is run."""
        self.home = home
        self._program = program
        self._arguments = ["run", *(("--listen", listen) if listen is not None else ()), *options]
        self._environment = home.environment | dict(environment or {})
        self._before_exec = before_exec
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.lines: list[str] = []
        """What it said on stderr, over all its starts."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> Self:
        """Starts it and waits until it reads and listens."""
        said = len(self.lines)
        self.launch()
        self.wait_for_line("stop it with ctrl-c", said)
        self.wait_for_line("  state directory ", said)
        return self

    def launch(self) -> None:
        """Starts it and does not wait."""
        self.home.take_key()
        process = subprocess.Popen(
            [*self._program, *self._arguments],
            env=self._environment,
            cwd=self.home.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            preexec_fn=self._before_exec,
        )
        self._process = process

        def read() -> None:
            assert process.stderr is not None
            with process.stderr:
                for line in process.stderr:
                    self.lines.append(line.rstrip("\n"))

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def endpoint(self) -> str:
        """Where it takes OTLP over HTTP, as its last start told."""
        return self._told(_LISTENING)

    @property
    def endpoint_grpc(self) -> str:
        """Where it takes OTLP over gRPC, as its last start told."""
        return self._told(_LISTENING_GRPC)

    def _told(self, pattern: re.Pattern[str]) -> str:
        found = [match[1] for line in self.lines if (match := pattern.search(line))]
        assert found, self.said
        return found[-1]

    @property
    def said(self) -> str:
        """All that it said, for messages."""
        return "\n".join(self.lines)

    def wait_for_line(self, part: str, from_line: int = 0) -> str:
        """Waits for a line that contains ``part``, in any case of letters, and returns it."""

        def found() -> list[str]:
            return [line for line in self.lines[from_line:] if part.lower() in line.lower()]

        def has_come_or_ended() -> bool:
            return bool(found()) or not self.is_running()

        wait_until(has_come_or_ended, lambda: f"{part!r} in\n{self.said}")
        if not found():
            self.wait()
        assert found(), f"it ended without saying {part!r}:\n{self.said}"
        return found()[0]

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Waits for its end; returns the exit code, negative for a signal."""
        assert self._process is not None
        assert self._reader is not None
        try:
            code = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise NotWithinTimeError(f"it did not end:\n{self.said}") from None
        self._reader.join(PATIENCE_SECONDS)
        return code

    def stop(self) -> int:
        """Ends it by SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Ends it by SIGKILL, if it runs."""
        if self.is_running():
            self.signal(signal.SIGKILL)
        if self._process is not None:
            self.wait()


def is_one_clear_line(stderr: str, *parts: str) -> bool:
    """Whether an error is one line that holds every part, and no traceback."""
    lines = stderr.strip("\n").split("\n")
    return len(lines) == 1 and lines[0].startswith("error: ") and all(part in lines[0] for part in parts)


def without_file_override() -> Callable[[], None] | None:
    """For ``before_exec``: takes away root's right to pass over file modes (Linux); None where that cannot be done."""
    if os.geteuid() != 0:
        return lambda: None
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    drop_bounding_capability, override, read_search = 24, 1, 2

    def drop() -> None:
        for capability in (override, read_search):
            library.prctl(drop_bounding_capability, capability, 0, 0, 0)

    return drop


def command(*arguments: str | Path) -> Sequence[str]:
    """A command line, for shells and pipes."""
    return [str(EXECUTABLE), *map(str, arguments)]
