"""What is missed is said by ``run``, once, and by ``status``, for people and for machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.process import Bridge, Home
from corpus import DATA
from waiting import wait_until

NOT_LOADED = (DATA / "findings" / "plugin_not_loaded_hub.log").read_bytes()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.cline_log.parent.mkdir(parents=True)
    return home


def test_run_says_it_once_and_status_says_it_from_what_is_saved(home: Home) -> None:
    home.cline_log.write_bytes(NOT_LOADED)
    with Bridge(home) as bridge:
        bridge.wait_for_line("missed: plugin_not_loaded: ")
        assert "CLINE_PLUGIN_IMPORT_TIMEOUT_MS=60000" in bridge.said
        assert [each["name"] for each in home.status()["findings"]] == ["plugin_not_loaded"]
        assert bridge.stop() == 0
        assert bridge.said.count("plugin_not_loaded") == 1
    (finding,) = home.status()["findings"]
    assert (finding["name"], finding["times"]) == ("plugin_not_loaded", 1)
    shown = home.run("status").stdout
    assert f"Missed    plugin_not_loaded: {finding['seen']}" in shown
    assert finding["remedy"] in shown


def test_nothing_is_said_to_be_missed_while_telemetry_is_off(home: Home) -> None:
    home.cline_log.write_bytes(NOT_LOADED)
    with Bridge(home) as bridge:
        wait_until(lambda: home.counted("received", "cline-log") > 0, lambda: bridge.said)
        assert bridge.stop() == 0
    assert home.status()["findings"]
    assert home.run("off").returncode == 0
    assert home.status()["findings"] == []


def test_a_replay_says_what_is_missed_in_the_recording(home: Home) -> None:
    home.cline_log.write_bytes(NOT_LOADED)
    answer = home.run("replay", home.cline_log)
    assert answer.returncode == 0
    shown = " ".join(answer.stdout.split())
    assert "Missed: session_without_run: a session began of which no source tells more; install the plugin" in shown
    assert "Missed: plugin_not_loaded: " in shown
