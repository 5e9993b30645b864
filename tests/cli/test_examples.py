"""What the examples and the README say to type works as it stands."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.process import EXECUTABLE, Home
from cline_otel.cli.main import main
from integration.collector import FINDER, Collector
from integration.server_process import found_by, free_ports
from waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```sh ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:4318"


def blocks(name: str) -> list[str]:
    """The shell blocks of the examples' README that bear ``name``."""
    return [
        text for label, text in FENCE.findall((ROOT / "examples" / "README.md").read_text("utf-8")) if label == name
    ]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The parts of the repository that the examples use, where they may leave files."""
    checkout = tmp_path / "checkout"
    for part in ("examples", "collector-config"):
        shutil.copytree(ROOT / part, checkout / part)
    return checkout


def environment_of(tmp_path: Path) -> dict[str, str]:
    """A newcomer's, with the commands on the PATH."""
    home = Home(tmp_path / "home")
    del home.environment["CLINE_OTEL_BRIDGE_STATE_DIR"]
    return home.environment | {"PATH": f"{EXECUTABLE.parent}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def running(script: str, ready: bytes, log: Path, checkout: Path, environment: dict[str, str]) -> Iterator[int]:
    """A block in a terminal of its own, once it has said ``ready``; its process group is ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["sh", "-e", "-c", script],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:

        def said() -> str:
            return f"{ready!r} in\n{log.read_text('utf-8', 'replace')}"

        wait_until(lambda: ready in log.read_bytes() or process.poll() is not None, said)
        assert process.poll() is None, said()
        yield process.pid
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def run_block(script: str, checkout: Path, environment: dict[str, str]) -> str:
    """What a block prints; it must succeed in every line."""
    answer = subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, f"{script}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def test_the_blocks_without_a_collector_run(checkout: Path, tmp_path: Path) -> None:
    environment = environment_of(tmp_path)
    said = [run_block(block, checkout, environment) for block in blocks("")]
    assert len(said) == 2
    assert "invoke_agent subagent" in said[0]
    assert "gen_ai.client.token.usage" in said[0]
    assert said[1].endswith("\n1\n")


@pytest.mark.collector
def test_the_blocks_with_a_collector_run(checkout: Path, tmp_path: Path) -> None:
    http, grpc, health, otlp = (f"127.0.0.1:{port}" for port in free_ports(4))
    environment = environment_of(tmp_path) | {
        "CLINE_OTEL_COLLECTOR": str(found_by(FINDER)),
        "CLINE_OTEL_COLLECTOR_HTTP_ENDPOINT": http,
        "CLINE_OTEL_COLLECTOR_GRPC_ENDPOINT": grpc,
        "CLINE_OTEL_COLLECTOR_HEALTH_ENDPOINT": health,
        "CLINE_OTEL_BRIDGE_LISTEN": otlp,
    }
    (collector,), (sender,), (bridge,) = blocks("collector"), blocks("sender"), blocks("bridge")
    with running(collector, Collector.ready_line, tmp_path / "collector.log", checkout, environment):
        said = run_block(sender.replace(ADDRESS, http), checkout, environment)
        assert "Sent 23 spans" in said
        assert said.endswith("logs.jsonl\nmetrics.jsonl\ntraces.jsonl\n")
        with running(bridge.replace(ADDRESS, http), b"state directory", tmp_path / "bridge.log", checkout, environment):
            status = run_block("cline-otel status", checkout, environment)
            assert otlp in status
        assert b" stopped" in (tmp_path / "bridge.log").read_bytes()


def test_the_readme_names_only_what_is_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    commands = [match for line in code for match in re.findall(r"cline-otel ([a-z]+)\b(.*)", line)]
    assert commands
    for verb, rest in commands:
        shown = CliRunner().invoke(main, [verb, "--help"])
        assert shown.exit_code == 0, verb
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in shown.output, f"{verb} {option}"
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for target in (match for line in code for match in re.findall(r"^make ([a-z]+)$", line)):
        assert target in targets
    paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    paths += [match for line in code for match in re.findall(r"collector-config/[a-z.]+yaml", line)]
    assert [path for path in paths if not (ROOT / path).exists()] == []
