"""``off`` and ``on``: nothing that has nothing to do with them keeps them from working."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bridge.process import Bridge, Home, is_one_clear_line
from bridge.workload import log_copies
from waiting import wait_until

OFF = "Off: the plugin writes nothing, and the bridge reads, stores and sends nothing.\n"
BROKEN = {
    "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
    "OTEL_SDK_DISABLED": "1",
    "OTEL_TRACES_EXPORTER": "none,otlp",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost",
    "OTEL_EXPORTER_OTLP_HEADERS": "no header",
    "CLINE_OTEL_BRIDGE_LISTEN": "0.0.0.0:4319",
    "CLINE_OTEL_BRIDGE_LISTEN_TOKEN_FILE": "/nonexistent/token",
    "CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES": "much",
    "CLINE_OTEL_BRIDGE_INCLUDE": "everything and more",
}
"""Variables with values that no bridge starts with."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def wait_for_log(home: Home) -> None:
    """Leaves spans and log records that wait, and no bridge that runs."""
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in log_copies(1).cline_log))
    with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as bridge:
        wait_until(lambda: home.pending("traces") > 0, lambda: bridge.said)
        assert bridge.stop() == 0


@pytest.mark.parametrize("variable", [*BROKEN, "all of them"])
def test_off_and_on_work_whatever_is_wrong_with_other_settings(home: Home, variable: str) -> None:
    environment = BROKEN if variable == "all of them" else {variable: BROKEN[variable]}
    answer = home.run("off", environment=environment)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, OFF, "")
    assert (home.state / "off").exists()
    answer = home.run("on", environment=environment)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert not (home.state / "off").exists()
    told = answer.stdout.removeprefix("Your off is undone, but no bridge can start before this is fixed: ")
    assert told.startswith(tuple(environment)), answer.stdout
    assert told.count("\n") == 1


def test_off_needs_no_certificate_and_no_remote_config(home: Home, tmp_path: Path) -> None:
    config = tmp_path / "remote.json"
    config.write_text('{"telemetryEnabled":true,"x":' + "[" * 100_000 + "]" * 100_000 + "}")
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/nonexistent/ca.pem",
        "CLINE_OTEL_BRIDGE_REMOTE_CONFIG": str(config),
    }
    answer = home.run("off", environment=environment)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, OFF, "")
    home.run("on", environment=environment)
    assert not (home.state / "off").exists()


def test_off_erases_whatever_is_wrong_with_other_settings(home: Home) -> None:
    wait_for_log(home)
    answer = home.run("off", "--erase", environment=BROKEN)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"{OFF}Erased: ")
    assert home.pending() == 0


@pytest.mark.parametrize("damage", ["no database at all", ""])
def test_it_is_off_whatever_is_wrong_with_the_journal(home: Home, damage: str) -> None:
    home.state.mkdir()
    home.journal.write_text(damage * 100)
    answer = home.run("off")
    assert answer.returncode == 0
    assert answer.stdout == f"{OFF}What waits is not known; `cline-otel status` says why.\n"
    assert (home.state / "off").exists()


def test_what_could_not_be_erased_is_told_after_it_is_off(home: Home) -> None:
    home.state.mkdir()
    home.journal.write_text("no database at all" * 100)
    answer = home.run("off", "--erase")
    assert (answer.returncode, answer.stdout) == (1, OFF)
    assert is_one_clear_line(answer.stderr, "it is off, but what waits is not erased", str(home.journal))
    assert (home.state / "off").exists()


def test_a_spool_that_cannot_be_listed_is_not_told_as_erased(home: Home) -> None:
    home.state.mkdir()
    home.spool.write_text("a file")
    answer = home.run("off", "--erase")
    assert (answer.returncode, answer.stdout) == (1, OFF)
    assert is_one_clear_line(answer.stderr, "it is off, but what waits is not erased", str(home.spool))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_what_commands_write_is_private_with_the_folders_they_make(home: Home, tmp_path: Path, umask: int) -> None:
    home.environment["CLINE_OTEL_BRIDGE_STATE_DIR"] = str(tmp_path / "deep" / "state")
    recording = log_copies(1).write(tmp_path / "recording")
    output, there = tmp_path / "results" / "first", tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    (there / "logs.jsonl").touch()
    (there / "logs.jsonl").chmod(0o666)
    for arguments in (
        ("demo",),
        ("off",),
        ("off", "--erase"),
        ("on",),
        ("off",),
        ("replay", recording, "--output", output),
        ("replay", recording, "--output", there),
    ):
        answer = home.run(*arguments, before_exec=lambda: void(os.umask(umask)))
        assert answer.returncode == 0, answer.stderr
    assert mode(there) == 0o755, "it is not ours"
    for top in (tmp_path / "deep", tmp_path / "results", there):
        for path in (top, *top.rglob("*")):
            assert path == there or mode(path) == (0o700 if path.is_dir() else 0o600), path


def void(_: object) -> None:
    """Drops a value."""
