"""Installs the pinned Cline releases from the npm registry into a cache outside the checkout.

The lock files name no registry. To move to another release, change ``package.json`` in ``cline`` or ``classic_cline``
and run ``npm install --package-lock-only --omit-lockfile-registry-resolved`` there.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from .node_runtime import NodeRuntime

CURRENT = Path(__file__).parent / "cline"
CLASSIC = Path(__file__).parent / "classic_cline"
"""Folders with the ``package.json`` and lock file of a release."""

INSTALL_TIMEOUT_SECONDS = 600
_NPM_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class ClineUnavailableError(RuntimeError):
    """Cline could not be installed; the message says why."""


def pinned_version(release: Path = CURRENT) -> str:
    """The Cline version of the committed ``package.json``, for example ``3.0.65``."""
    manifest = json.loads((release / "package.json").read_text())
    return str(manifest["dependencies"]["cline"])


def install_cline(node: NodeRuntime) -> Path:
    """The ``cline`` executable of the pinned release, installed on first use.

    Raises:
        ClineUnavailableError: npm failed, or the release has no binary for this platform.
    """
    return _installed(node, CURRENT, _executable)


def install_classic_cline(node: NodeRuntime) -> Path:
    """The JavaScript that is the classic command line, for ``node`` to run, installed on first use.

    Raises:
        ClineUnavailableError: npm failed.
    """
    return _installed(node, CLASSIC, lambda home: home / "node_modules" / "cline" / "dist" / "cli.mjs")


def _installed(node: NodeRuntime, release: Path, program_in: Callable[[Path], Path]) -> Path:
    """What is to be run of a release.

    Its folder is keyed by version and lock file, filled aside and renamed, so that it is whole or absent, and two
    processes that want it at once install it once.
    """
    lock_digest = hashlib.sha256((release / "package-lock.json").read_bytes()).hexdigest()[:12]
    home = user_cache_path("cline-otel") / "cline" / f"{pinned_version(release)}-{lock_digest}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_name(f"{home.name}.lock")):
        if not home.is_dir():
            for abandoned in home.parent.glob(f"{home.name}-incomplete-*"):
                shutil.rmtree(abandoned)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{home.name}-incomplete-") as scratch:
                _npm_install(node, release, Path(scratch) / "release")
                program_in(Path(scratch) / "release")
                (Path(scratch) / "release").rename(home)
    return program_in(home)


def _npm_install(node: NodeRuntime, release: Path, target: Path) -> None:
    target.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(release / name, target / name)
    # Not `npm ci`: it refuses a lock file that lacks another platform's optional binary, and a registry
    # need not carry them all. Versions and integrity come from the lock file here too.
    command = [*node.npm, "install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    environment = {**os.environ, "PATH": os.pathsep.join([str(node.node.parent), os.environ.get("PATH", "")])}
    answer = subprocess.run(
        command,
        cwd=target,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_SECONDS,
    )
    if answer.returncode != 0:
        version = pinned_version(release)
        raise ClineUnavailableError(f"npm could not install cline {version}: {answer.stderr.strip()[:600]}")


def _executable(home: Path) -> Path:
    system = platform.system().lower()
    architecture = _NPM_ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    executable = home / "node_modules" / "@cline" / f"cli-{system}-{architecture}" / "bin" / "cline"
    if not executable.is_file():
        raise ClineUnavailableError(f"cline {pinned_version()} has no binary for {system} {architecture}")
    return executable
