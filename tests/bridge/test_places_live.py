"""A bridge reads where Cline writes: where its variables say, in its desktop application, and in several at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from waiting import wait_until

from .process import Bridge, Home
from .received import Received
from .workload import Recording, log_copies


def write_log(path: Path, recording: Recording) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(line + b"\n" for line in recording.cline_log))


ELSEWHERE = {
    "CLINE_DATA_DIR": ({"CLINE_DATA_DIR": "{home}/d"}, "d/logs/cline.log"),
    "the desktop application": ({"CLINE_DATA_DIR": "{home}/d"}, "d/logs/code.log"),
    "CLINE_DIR": ({"CLINE_DIR": "{home}/c"}, "c/data/logs/cline.log"),
    "CLINE_LOG_PATH": ({"CLINE_LOG_PATH": "{home}/my.log", "CLINE_DATA_DIR": "{home}/d"}, "my.log"),
}
"""What Cline is told, and where it writes then."""


@pytest.mark.parametrize(("environment", "log"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_log_is_read_where_cline_writes_it(tmp_path: Path, environment: dict[str, str], log: str) -> None:
    home = Home(tmp_path / "home")
    home.environment |= {name: value.format(home=home.directory) for name, value in environment.items()}
    recording = log_copies(1)
    (home.directory / log).parent.mkdir(parents=True, exist_ok=True)
    (home.directory / log).write_bytes(b"".join(line + b"\n" for line in recording.cline_log))
    # Nobody writes there then: what lies there is of the past.
    write_log(home.cline_log, Recording(cline_log=(b"{",)))
    with Bridge(home) as bridge:
        assert f"reads            Cline's log {home.directory / log}" in bridge.said
        assert str(home.cline_log) not in bridge.said
        expected = Received.in_requests(recording.replayed(tmp_path / "recording").requests)
        wait_until(lambda: Received.in_files(home.telemetry).spans.keys() == expected.spans.keys(), lambda: bridge.said)
        assert home.counted("malformed", "cline-log") == 0
        assert bridge.stop() == 0


def test_several_clines_are_read_at_once_and_an_opt_out_in_any_of_them_counts(tmp_path: Path) -> None:
    home = Home(
        tmp_path / "home",
        {
            "CLINE_OTEL_BRIDGE_CLINE_DIRS": f"{tmp_path}/work:{tmp_path}/other",
            "CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS": f"{tmp_path}/sandbox",
        },
    )
    data_directories = [home.cline / "data", tmp_path / "work" / "data", tmp_path / "other" / "data"]
    data_directories.append(tmp_path / "sandbox")
    whole = log_copies(0)
    for number, directory in enumerate(data_directories):
        recording = Recording.read(Path(__file__).parents[2] / "examples" / "delegated-run", "cline-log").copy(number)
        write_log(directory / "logs" / "cline.log", recording)
        whole += recording
    assert home.run("install").returncode == 0
    for directory in (home.cline, tmp_path / "work", tmp_path / "other"):
        assert (directory / "plugins" / "cline-otel.js").exists()
    (tmp_path / "other" / "plugins" / "cline-otel.js").unlink()

    with Bridge(home) as bridge:
        for directory in data_directories:
            assert f"Cline's log {directory}/logs/cline.log" in bridge.said
        bridge.wait_for_line(f"the plugin is not installed in {tmp_path}/other: with `cline-otel install`", 0)
        expected = Received.in_requests(whole.replayed(tmp_path / "recording").requests)
        wait_until(lambda: Received.in_files(home.telemetry).spans.keys() == expected.spans.keys(), lambda: bridge.said)
        log = next(source for source in home.status()["sources"] if source["source"] == "cline-log")
        assert log["places"] == [
            f"{directory}/logs/{name}.log" for directory in data_directories for name in ("cline", "code")
        ]
        for directory in data_directories:
            settings = directory / "settings" / "global-settings.json"
            settings.parent.mkdir()
            said = len(bridge.lines)
            settings.write_text(json.dumps({"telemetryOptOut": True}))
            bridge.wait_for_line("telemetry is off: telemetryOptOut is true", said)
            settings.write_text("{}")
            bridge.wait_for_line("telemetry is on again", said)
        remote = tmp_path / "sandbox" / "cache" / "remote_config_org_1.json"
        remote.parent.mkdir()
        remote.write_text(json.dumps({"telemetryEnabled": False}))
        bridge.wait_for_line("telemetry is off: telemetryEnabled is false")
        assert bridge.stop() == 0
    assert home.run("uninstall").returncode == 0
    for directory in (home.cline, tmp_path / "work", tmp_path / "other"):
        assert not (directory / "plugins" / "cline-otel.js").exists()
