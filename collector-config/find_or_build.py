"""Finds an OpenTelemetry Collector that can run the configurations beside this file, or builds one.

Prints the path of the executable on standard output; progress and errors go to standard error.
``go_programs.py`` says in which order it is sought: ``CLINE_OTEL_COLLECTOR``; ``otelcol-contrib``, then ``otelcol``,
on ``PATH``, if it has every component the configurations name; the cached build,
``collector/<hash of builder.yaml>/otelcol-cline``; a build from ``builder.yaml``.

Exit status: 0 found or built, 1 otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from go_programs import Build, Program, UnavailableError, answer_of, print_path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "builder.yaml"
BUILDER_MODULE = "go.opentelemetry.io/collector/cmd/builder"

SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
Components = frozenset[tuple[str, str]]
"""Pairs of a section and a component type, for example ``("exporters", "otlp_http")``."""


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
        UnavailableError: it cannot be run, or what it prints is not a list of components.
    """
    try:
        answer = answer_of([executable, "components"])
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{executable} does not run as a collector ({error})") from error
    found, section = set(), ""
    for line in answer.splitlines():
        if match := re.match(r"([a-z_]+):", line):
            section = match[1]
        elif section in SECTIONS and (match := re.match(r"\s+- name: (\S+)", line)):
            found.add((section, match[1]))
    if not found:
        raise UnavailableError(f"{executable} lists no components, so it is no collector")
    return frozenset(found)


def check(executable: Path, needed: Components) -> None:
    """Accepts a collector that has the needed components.

    Raises:
        UnavailableError: it does not run, or lacks some; the message names them.
    """
    missing = sorted(needed - components_of_executable(executable))
    if missing:
        listed = ", ".join(f"{name} ({section})" for section, name in missing)
        raise UnavailableError(f"{executable} lacks {listed}")


def collector_version() -> str:
    """The version that the manifest names, for example ``0.158.0``."""
    match = re.search(r"^  version: *(\S+)", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise UnavailableError(f"{MANIFEST} names no dist.version; put it back")
    return match[1]


def official_download() -> str:
    """What to download where nothing can be built."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    version = collector_version()
    return (
        f"otelcol-contrib_{version}_{platform.system().lower()}_{architecture}.tar.gz from "
        f"https://github.com/open-telemetry/opentelemetry-collector-releases/releases/tag/v{version}"
    )


def compile_collector(build: Build) -> Path:
    """Builds the collector from the manifest; returns the executable.

    Raises:
        UnavailableError: a step failed.
    """
    builder = build.install(f"{BUILDER_MODULE}@v{collector_version()}")
    build.run([builder, f"--config={MANIFEST}"])
    return build.work / "otelcol-cline" / "otelcol-cline"


def collector(configurations: Iterable[Path]) -> Program:
    """A collector that has every component of ``configurations``."""
    needed = frozenset().union(*(components_in_configuration(path.read_text("utf-8")) for path in configurations))
    return Program(
        name="collector",
        variable="CLINE_OTEL_COLLECTOR",
        names_on_path=("otelcol-contrib", "otelcol"),
        directory=Path("collector", hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:16]),
        executable="otelcol-cline",
        check=lambda executable: check(executable, needed),
        compile=compile_collector,
        target="collector",
        download=f"unpack {official_download()} and set CLINE_OTEL_COLLECTOR to its otelcol-contrib",
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
    try:
        program = collector(arguments.config or shipped_configurations())
    except (UnavailableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return print_path(program, may_build=not arguments.no_build)


if __name__ == "__main__":
    sys.exit(main())
