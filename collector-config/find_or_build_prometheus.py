"""Finds a Prometheus that takes OTLP, or builds one, for the tests that ask a real backend.

Prints the path of the executable on standard output; progress and errors go to standard error.
``go_programs.py`` says in which order it is sought: ``CLINE_OTEL_PROMETHEUS``; ``prometheus`` on ``PATH``, if it has
the OTLP receiver; the cached build, ``prometheus/<version>/prometheus``; a build of that version.

Exit status: 0 found or built, 1 otherwise.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from pathlib import Path

from go_programs import Build, Program, UnavailableError, answer_of, print_path

MODULE = "github.com/prometheus/prometheus/cmd/prometheus"
VERSION = "3.16.0"
MODULE_VERSION = "v0.316.0"
"""As a Go module, Prometheus 3.16.0 is 0.316.0."""

NEEDED_FLAG = "--web.enable-otlp-receiver"
"""Since Prometheus 3.0."""


def check(executable: Path) -> None:
    """Accepts a Prometheus with the OTLP receiver.

    Raises:
        UnavailableError: it does not run, is no Prometheus, or is too old.
    """
    try:
        answer = answer_of([executable, "--help"])
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{executable} does not run as Prometheus ({error})") from error
    # Its help wraps lines within a flag's description, never within the flag.
    if NEEDED_FLAG.removeprefix("--") not in answer:
        raise UnavailableError(f"{executable} lacks {NEEDED_FLAG}, which Prometheus 3 has")


def compile_prometheus(build: Build) -> Path:
    """Builds Prometheus without its service discoveries; returns the executable.

    Raises:
        UnavailableError: it failed.
    """
    return build.install(f"{MODULE}@{MODULE_VERSION}", "-tags", "remove_all_sd")


def official_download() -> str:
    """What to download where nothing can be built."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return (
        f"prometheus-{VERSION}.{platform.system().lower()}-{architecture}.tar.gz from "
        f"https://github.com/prometheus/prometheus/releases/tag/v{VERSION}"
    )


PROMETHEUS = Program(
    name="Prometheus",
    variable="CLINE_OTEL_PROMETHEUS",
    names_on_path=("prometheus",),
    directory=Path("prometheus", VERSION),
    executable="prometheus",
    check=check,
    compile=compile_prometheus,
    target="prometheus",
    download=f"unpack {official_download()} and set CLINE_OTEL_PROMETHEUS to its prometheus",
)


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Print the path of a Prometheus that takes OTLP, built if need be.")
    parser.add_argument("--no-build", action="store_true", help="find one, but do not build")
    return print_path(PROMETHEUS, may_build=not parser.parse_args().no_build)


if __name__ == "__main__":
    sys.exit(main())
