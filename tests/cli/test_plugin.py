"""``install`` and ``uninstall``: one file of ours, there and gone again."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from bridge.process import Bridge, Home
from cline_otel.privacy.pseudonyms import Pseudonyms
from waiting import PATIENCE_SECONDS


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.directory / "bin").mkdir()
    return home


def files_below(directory: Path) -> dict[Path, bytes]:
    """Every file and what is in it."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("way", ["option", "variable", "default"])
def test_what_install_puts_there_uninstall_takes_away_and_nothing_else(home: Home, way: str) -> None:
    cline = home.cline if way == "default" else home.directory / "another cline"
    others = {cline / "plugins" / "other.js": b"// of somebody else", cline / "data" / "x.json": b"{}"}
    for path, content in others.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    options = ["--cline-dir", str(cline)] if way == "option" else []
    environment = {"CLINE_DIR": str(cline)} if way == "variable" else {}

    plugin = cline / "plugins" / "cline-otel.js"
    for said in (f"Installed {plugin}", f"Already there, nothing to do: {plugin}"):
        answer = home.run("install", *options, environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert said in answer.stdout
        assert str(home.spool) in answer.stdout
        for place in (home.spool, home.state / "off", home.state / "pseudonyms.json", cline):
            assert f"= {json.dumps(str(place))};" in plugin.read_text()
    plugin.write_bytes(plugin.read_bytes() + b"// an older one\n")
    assert f"Updated {plugin}" in home.run("install", *options, environment=environment).stdout
    for said in (f"Removed {plugin}", f"Not installed: no {plugin}"):
        answer = home.run("uninstall", *options, environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert said in answer.stdout
    assert files_below(cline) == others


def test_uninstall_says_what_is_left_and_purge_removes_it_but_nothing_that_is_not_ours(home: Home) -> None:
    home.run("install")
    own = home.state / "pseudonyms.json", home.state / "journal.db", home.spool / "1-1-0.jsonl"
    theirs = home.state / "notes.txt", home.state / "off"
    for path in (*own[1:], *theirs):
        path.write_text("x")
    answer = home.run("uninstall")
    assert f"Left: {home.state} " in answer.stdout
    assert "`cline-otel uninstall --purge`" in answer.stdout
    assert all(path.exists() for path in own)
    answer = home.run("uninstall", "--purge")
    assert answer.returncode == 0, answer.stderr
    assert f"Removed what cline-otel kept in {home.state}; left there: notes.txt, off" in answer.stdout
    assert sorted(home.state.iterdir()) == sorted(theirs)
    for path in theirs:
        path.unlink()
    assert f"Removed {home.state}" in home.run("uninstall", "--purge").stdout
    assert not home.state.exists()
    assert not (home.directory / ".cline-otel").exists()
    assert f"Nothing left: no {home.state}" in home.run("uninstall", "--purge").stdout


def test_what_a_running_bridge_keeps_is_not_purged(home: Home) -> None:
    with Bridge(home):
        answer = home.run("uninstall", "--purge")
        assert answer.returncode == 1
        assert f"nothing of {home.state} was removed" in answer.stderr
        assert (home.state / "journal.db").exists()


def test_the_option_goes_before_the_variable(home: Home) -> None:
    chosen, other = home.directory / "chosen", home.directory / "other"
    answer = home.run("install", "--cline-dir", chosen, environment={"CLINE_DIR": str(other)})
    assert answer.returncode == 0
    assert (chosen / "plugins" / "cline-otel.js").exists()
    assert not other.exists()


def test_it_says_which_cline_it_found_and_what_works_where(home: Home) -> None:
    package = home.directory / "lib" / "cline"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name":"cline","version":"3.0.65"}')
    (package / "cline").write_text("#!/bin/sh\nexit 99\n")
    (package / "cline").chmod(0o755)
    (home.directory / "bin" / "cline").symlink_to(package / "cline")
    answer = home.run("install", environment={"PATH": str(home.directory / "bin")})
    assert "Found Cline CLI 3.0.65: loads the plugin" in answer.stdout
    answer = home.run("install", environment={"PATH": "/nowhere"})
    assert "Found no Cline CLI on PATH" in answer.stdout


def test_the_installed_plugin_is_javascript_that_loads(home: Home) -> None:
    assert home.run("install").returncode == 0
    plugin = home.cline / "plugins" / "cline-otel.js"
    assert subprocess.run(["node", "--check", plugin], check=False, capture_output=True).returncode == 0


def permissions_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_key_of_the_pseudonyms_is_made_once_and_is_the_users_alone(home: Home) -> None:
    assert home.run("install").returncode == 0
    key = json.loads((home.state / "pseudonyms.json").read_text())["key"]
    assert permissions_of(home.state / "pseudonyms.json") == 0o600
    assert home.run("install").returncode == 0
    assert home.run("uninstall").returncode == 0
    assert json.loads((home.state / "pseudonyms.json").read_text())["key"] == key
    assert key not in (home.run("install").stdout + (home.cline / "plugins" / "cline-otel.js").read_text())


def test_directories_that_others_could_look_into_are_closed_to_them(home: Home) -> None:
    for directory, mode in ((home.state, 0o755), (home.spool, 0o777)):
        directory.mkdir(parents=True)
        directory.chmod(mode)
    kept = home.spool / "7-1800000000000-0.jsonl"
    kept.write_text("{}\n")
    assert home.run("install").returncode == 0
    assert [permissions_of(directory) for directory in (home.state, home.spool)] == [0o700, 0o700]
    assert kept.read_text() == "{}\n"


def test_directories_are_made_closed_to_others_whatever_the_umask(home: Home) -> None:
    before = os.umask(0)
    try:
        assert home.run("install").returncode == 0
    finally:
        os.umask(before)
    assert [permissions_of(directory) for directory in (home.state, home.spool)] == [0o700, 0o700]


def test_the_installed_plugin_writes_pseudonyms_under_the_key_that_install_made(home: Home) -> None:
    assert home.run("install").returncode == 0
    plugin = home.cline / "plugins" / "cline-otel.js"
    (plugin.parent / "package.json").write_text('{"type": "module"}')  # as Cline reads plugins
    snapshot = "{ agentId: 'tester', runId: 'april', iteration: 1 }"
    script = (
        "const { default: plugin } = await import(process.argv[1]);"
        "plugin.setup({}, { session: { sessionId: 'Invoice checker 42' } });"
        f"for (const toolName of ['crm__find', 'read_files']) plugin.hooks.onEvent({{ type: 'tool-started',"
        f" snapshot: {snapshot}, toolCall: {{ toolCallId: 'call_1', toolName, input: {{}} }} }});"
    )
    subprocess.run(
        ["node", "--input-type=module", "-e", script, plugin.as_uri()],
        check=True,
        timeout=PATIENCE_SECONDS,
    )

    [spool_file] = home.spool.iterdir()
    records = [json.loads(line) for line in spool_file.read_text().splitlines()]
    pseudonyms = Pseudonyms(bytes.fromhex(json.loads((home.state / "pseudonyms.json").read_text())["key"]))
    assert [record.get("tool_name") for record in records] == [None, "_OTHER", "read_files", None]
    assert records[0]["session_id"] == pseudonyms.of("id", "Invoice checker 42")
    assert records[1]["tool_name_hash"] == pseudonyms.of("tool", "crm__find")
    assert {record["agent_id"] for record in records[1:3]} == {pseudonyms.of("id", "tester")}
    assert permissions_of(spool_file) == 0o600
