"""The service under a real systemd: it starts, comes back, stops in time, and goes without a trace."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.endpoint import Endpoint
from bridge.process import Bridge, Home
from bridge.workload import EXAMPLE, Recording
from waiting import wait_until

from .user_manager import NoUserManagerError, user_manager

SECRET = "authorization=Bearer%20not-in-the-unit"
UNIT = Path(".config/systemd/user/cline-otel.service")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    directory = tmp_path / "a user's $HOME, 100 %"
    directory.mkdir()
    try:
        with user_manager(directory) as variables:
            yield Home(directory, {**variables, "CLINE_OTEL_BRIDGE_LISTEN": "127.0.0.1:0"})
    except NoUserManagerError as error:
        pytest.skip(f"no systemd of a user can be run: {error}")


def systemctl(home: Home, *arguments: str) -> str:
    answer = subprocess.run(
        ["systemctl", "--user", *arguments], env=home.environment, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def install(home: Home, **environment: str) -> str:
    answer = home.run("install", "--service", environment=environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def service_pid(home: Home) -> int:
    return int(systemctl(home, "show", "--property=MainPID", "--value", "cline-otel"))


def bridge(home: Home) -> dict[str, Any] | None:
    running: dict[str, Any] | None = home.status()["bridge"]
    return running


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir()}


def test_the_service_runs_with_the_settings_of_the_shell_and_is_the_only_bridge(home: Home) -> None:
    with Endpoint() as endpoint:
        said = install(home, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.listen().url, OTEL_EXPORTER_OTLP_HEADERS=SECRET)
        assert f"It runs, as process {service_pid(home)}." in said
        assert systemctl(home, "is-active", "cline-otel") == "active"
        assert systemctl(home, "is-enabled", "cline-otel") == "enabled"

        status = home.status()
        assert status["service"] == {"manager": "systemd", "file": str(home.directory / UNIT)}
        assert status["bridge"]["service"] == "systemd"
        shown = home.run("status").stdout
        assert "installed for systemd" in shown
        assert f"runs under systemd as process {service_pid(home)}" in shown

        second = home.run("run")
        assert second.returncode == 1
        assert f"the service runs the bridge already (pid {service_pid(home)})" in second.stderr
        assert "systemctl --user stop cline-otel" in second.stderr

        assert SECRET not in (home.directory / UNIT).read_text()
        assert SECRET not in said
        settings = home.state / "service.env"
        assert f"OTEL_EXPORTER_OTLP_HEADERS={SECRET}" in settings.read_text()
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600


def test_it_comes_back_after_a_crash_and_stays_away_after_a_stop(home: Home) -> None:
    sooner = home.directory / f"{UNIT}.d" / "sooner.conf"
    sooner.parent.mkdir(parents=True)
    sooner.write_text("[Service]\nRestartSec=100ms\n")
    install(home)
    first = service_pid(home)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: (running := bridge(home)) is not None and running["process_id"] != first, "another bridge")
    assert systemctl(home, "is-active", "cline-otel") == "active"
    systemctl(home, "stop", "cline-otel")
    assert bridge(home) is None
    assert systemctl(home, "is-active", "cline-otel") == "inactive"
    assert systemctl(home, "show", "--property=Result", "--value", "cline-otel") == "success"


def test_what_is_there_when_it_is_stopped_is_read_and_sent_first(home: Home) -> None:
    recording = Recording.read(EXAMPLE, "cline-log").copy(0)
    with Endpoint() as endpoint:
        install(home, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint.listen().url)
        home.cline_log.parent.mkdir(parents=True)
        home.cline_log.write_bytes(b"".join(line + b"\n" for line in recording.cline_log))
        wait_until(lambda: home.counted("events", "cline-log"), "the log to be read")
        systemctl(home, "stop", "cline-otel")
        assert endpoint.taken["traces"]
        assert not home.pending("traces", "logs")


def test_a_setting_that_cannot_be_used_is_not_tried_again_and_again(home: Home) -> None:
    install(home)
    with (home.state / "service.env").open("a") as settings:
        settings.write("OTEL_EXPORTER_OTLP_TIMEOUT=soon\n")
    systemctl(home, "restart", "cline-otel")
    wait_until(lambda: systemctl(home, "is-active", "cline-otel") == "failed", "the end of it")
    assert systemctl(home, "show", "--property=NRestarts", "--value", "cline-otel") == "0"


def test_other_settings_have_the_service_start_anew_and_the_same_ones_leave_it_alone(home: Home) -> None:
    first, pid = install(home, CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS="3"), service_pid(home)
    assert "Installed" in first
    again = install(home, CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS="3")
    assert "Already there, nothing to do" in again
    assert service_pid(home) == pid
    other = install(home, CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS="")
    assert "Updated" in other
    assert "it has these no longer: CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS" in other
    assert service_pid(home) != pid


def test_a_bridge_that_was_started_by_hand_is_left_alone_and_followed(home: Home) -> None:
    sooner = home.directory / f"{UNIT}.d" / "sooner.conf"
    sooner.parent.mkdir(parents=True)
    sooner.write_text("[Service]\nRestartSec=100ms\n")
    with Bridge(home) as by_hand:
        assert f"started by hand runs already (process {by_hand.pid})" in install(home)
        assert (running := bridge(home)) is not None
        assert running["process_id"] == by_hand.pid
        by_hand.stop()
    wait_until(lambda: (running := bridge(home)) is not None and running["service"] == "systemd", "the service")


def test_what_was_installed_is_taken_away_and_nothing_else(home: Home) -> None:
    other = home.directory / UNIT.with_name("other.service")
    other.parent.mkdir(parents=True)
    other.write_text("[Service]\nExecStart=/bin/true\n")
    install(home)
    answer = home.run("uninstall", "--service")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert bridge(home) is None
    assert home.status()["service"] is None
    assert files_below(home.directory / ".config") == {str(Path("systemd/user/other.service"))}
    assert not list(home.state.glob("service*"))
    assert systemctl(home, "is-enabled", "cline-otel") == ""
    again = home.run("uninstall", "--service")
    assert (again.returncode, again.stdout) == (0, f"Not installed: no {home.directory / UNIT}\n")


def test_systemd_finds_nothing_to_say_of_the_unit(home: Home) -> None:
    install(home)
    answer = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", home.directory / UNIT],
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
