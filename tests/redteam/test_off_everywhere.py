"""``off`` is said of what is off: whatever this shell knows of the bridges, plugins and state directories there are."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from bridge.endpoint import Endpoint
from bridge.process import Bridge, Home
from bridge.workload import log_copies
from cline_otel.running import Running, find_running
from waiting import wait_until

ANOTHER_SHELL = {"CLINE_OTEL_BRIDGE_STATE_DIR": ""}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def run_elsewhere(home: Home, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a shell that does not name the bridge's state directory."""
    return home.run(*arguments, environment=ANOTHER_SHELL)


def running(home: Home) -> Running:
    found = find_running(home.state)
    assert found is not None
    return found


def write_log(home: Home, copies: int) -> None:
    home.cline_log.parent.mkdir(parents=True, exist_ok=True)
    with home.cline_log.open("ab") as file:
        file.writelines(line + b"\n" for line in log_copies(copies).cline_log)


def test_a_bridge_of_another_state_directory_is_off_when_off_is_said_and_on_again_after_on(home: Home) -> None:
    with Endpoint().listen() as sink, Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": sink.url}):
        answer = run_elsewhere(home, "off")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert answer.stdout.startswith("Off: ")
        assert running(home).telemetry == "off"
        write_log(home, 1)
        assert run_elsewhere(home, "on").returncode == 0
        wait_until(lambda: running(home).telemetry == "on", "the bridge follows `on` too")
        assert sink.span_count() == 0, "what came meanwhile is gone"


def test_what_waits_in_another_state_directory_is_erased_by_whoever_erases(home: Home) -> None:
    write_log(home, 1)
    with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as bridge:
        wait_until(lambda: home.pending("traces") > 0, lambda: bridge.said)
        answer = run_elsewhere(home, "off", "--erase")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert f"Erased in {home.state}: all that waited, by the bridge that runs" in answer.stdout
        assert home.pending() == 0


def test_what_a_stopped_bridge_of_another_state_directory_has_left_is_erased_too(home: Home) -> None:
    write_log(home, 1)
    with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as bridge:
        wait_until(lambda: home.pending("traces") > 0, lambda: bridge.said)
        bridge.stop()
    answer = run_elsewhere(home, "off", "--erase")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"Erased in {home.state}: " in answer.stdout
    assert home.pending() == 0


@pytest.mark.parametrize("arguments", [["off"], ["off", "--erase"]], ids=" ".join)
def test_a_bridge_that_says_nothing_is_not_said_to_be_off(home: Home, arguments: list[str]) -> None:
    with Bridge(home) as bridge:
        bridge.signal(signal.SIGSTOP)
        answer = run_elsewhere(home, *arguments)
        assert answer.returncode == 1
        assert "Off:" not in answer.stdout
        assert f"process {bridge.pid} (state directory {home.state})" in answer.stderr
        assert f"Erased in {home.state}" not in answer.stdout
        bridge.signal(signal.SIGCONT)
        wait_until(lambda: running(home).telemetry == "off", "it is off as soon as it can be")


@pytest.mark.parametrize("where", ["of the bridge", "of the shell"])
def test_an_off_survives_the_deletion_of_any_state_directory(home: Home, where: str) -> None:
    arguments = {"environment": ANOTHER_SHELL} if where == "of the shell" else {}
    assert home.run("off", **arguments).returncode == 0
    shutil.rmtree(home.state, ignore_errors=True)
    shutil.rmtree(home.directory / ".local", ignore_errors=True)
    with Bridge(home):
        assert running(home).telemetry == "off"


def test_a_bridge_without_its_state_directory_is_found_all_the_same(home: Home) -> None:
    with Bridge(home) as bridge:
        bridge.signal(signal.SIGSTOP)
        shutil.rmtree(home.state)
        answer = run_elsewhere(home, "off")
        assert answer.returncode == 1
        assert f"process {bridge.pid} " in answer.stderr


def test_a_crash_leaves_no_bridge_to_wait_for(home: Home) -> None:
    with Bridge(home) as bridge:
        bridge.kill()
    answer = run_elsewhere(home, "off")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_plugin_installed_from_another_shell_into_another_cline_is_off_and_on_again(
    home: Home, tmp_path: Path
) -> None:
    cline, state = tmp_path / "cline", tmp_path / "plugins state"
    installed = home.run("install", "--cline-dir", cline, environment={"CLINE_OTEL_BRIDGE_STATE_DIR": str(state)})
    assert installed.returncode == 0, installed.stderr
    assert str(home.directory / ".cline-otel" / "off") in (cline / "plugins" / "cline-otel.js").read_text()
    assert run_elsewhere(home, "off").returncode == 0
    assert (state / "off").exists(), "a plugin that was loaded before knows this one alone"
    assert run_elsewhere(home, "on").returncode == 0
    assert not list(tmp_path.rglob("off"))


def test_a_plugin_that_nothing_switches_off_is_named(home: Home) -> None:
    plugin = home.cline / "plugins" / "cline-otel.js"
    assert home.run("install").returncode == 0
    unreachable = home.directory / "file" / "state" / "off"
    (home.directory / "file").touch()
    text = plugin.read_text()
    for known in (home.state / "off", home.directory / ".cline-otel" / "off"):
        text = text.replace(f'"{known}"', f'"{unreachable}"')
    plugin.write_text(text)
    answer = home.run("off")
    assert answer.returncode == 1
    assert "Off:" not in answer.stdout
    assert str(plugin) in answer.stderr


def test_status_says_where_it_is_off(home: Home) -> None:
    assert run_elsewhere(home, "off").returncode == 0
    status = home.status()
    assert status["telemetry"]["state"] == "off"
    assert str(home.directory / ".cline-otel" / "off") in status["off_files"]
    assert "off by ~/.cline-otel/off" in home.run("status").stdout


def test_an_import_from_another_shell_reads_nothing_while_it_is_off(home: Home) -> None:
    assert run_elsewhere(home, "off").returncode == 0
    answer = home.run("import", environment={"CLINE_OTEL_BRIDGE_STATE_DIR": str(home.directory / "third")})
    assert answer.returncode == 1
    assert "nothing was imported, because telemetry is off" in answer.stderr
