"""The installer: idempotent, atomic, and never a hand on a file that is not ours."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cline_otel.places import ClinePlaces, cline_places
from cline_otel.plugin import install as installer
from cline_otel.plugin.discovery import find_cline_versions, find_hub_daemon
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.plugin.install import PLUGIN_FILE_NAME, install, plugin_file_of, uninstall
from waiting import PATIENCE_SECONDS


@pytest.fixture
def cline(tmp_path: Path) -> Path:
    return tmp_path / "cline"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def at(directory: Path) -> ClinePlaces:
    """The places of a Cline that is told of nothing but its directory."""
    places = cline_places({"CLINE_DIR": directory}, None, sys.platform)
    assert places is not None
    return places


def everything_under(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_install_puts_one_file_where_cline_looks_and_makes_a_private_spool(cline: Path, state: Path) -> None:
    report = install(at(cline), state)

    assert report.outcome == "installed"
    assert report.plugin_file == cline / "plugins" / "cline-otel.js"
    assert list(everything_under(cline)) == ["plugins/cline-otel.js"]
    assert report.spool_directory == state / "spool"
    assert stat.S_IMODE(report.spool_directory.stat().st_mode) == 0o700
    assert not report.disabled_in_cline
    assert not report.opted_out_in_cline


def test_the_paths_are_literals_in_the_installed_file_and_no_placeholder_is_left(cline: Path, state: Path) -> None:
    text = install(at(cline), state).plugin_file.read_text(encoding="utf-8")

    for path in (state / "spool", state / "off", cline):
        assert f"= {json.dumps(str(path))};" in text
    assert "@CLINE_OTEL" not in text


def test_installing_twice_changes_nothing(cline: Path, state: Path) -> None:
    plugin_file = install(at(cline), state).plugin_file
    before = plugin_file.stat()

    assert install(at(cline), state).outcome == "unchanged"
    assert plugin_file.stat().st_mtime_ns == before.st_mtime_ns
    assert plugin_file.stat().st_ino == before.st_ino


def test_an_older_file_of_ours_is_brought_up_to_date(cline: Path, state: Path) -> None:
    plugin_file = install(at(cline), state).plugin_file
    wanted = plugin_file.read_bytes()
    plugin_file.write_bytes(installer.MARKER + b" An older one.\nexport default {};\n")

    assert install(at(cline), state).outcome == "updated"
    assert plugin_file.read_bytes() == wanted


def test_another_state_directory_is_an_update(cline: Path, state: Path, tmp_path: Path) -> None:
    install(at(cline), state)

    assert install(at(cline), tmp_path / "elsewhere").outcome == "updated"


@pytest.mark.parametrize("content", [b"", b"export default {};\n", b"\xff\xfe\x00", b"\n" + installer.MARKER])
def test_a_foreign_file_of_that_name_is_neither_overwritten_nor_removed(
    cline: Path, state: Path, content: bytes
) -> None:
    plugin_file = plugin_file_of(at(cline))
    plugin_file.parent.mkdir(parents=True)
    plugin_file.write_bytes(content)

    with pytest.raises(PluginInstallError, match="is not a file that cline-otel wrote"):
        install(at(cline), state)
    with pytest.raises(PluginInstallError, match="is not a file that cline-otel wrote"):
        uninstall(at(cline))
    assert plugin_file.read_bytes() == content


def test_a_symbolic_link_of_that_name_is_left_alone(cline: Path, state: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.js"
    target.write_bytes(installer.MARKER)
    plugin_file = plugin_file_of(at(cline))
    plugin_file.parent.mkdir(parents=True)
    plugin_file.symlink_to(target)

    with pytest.raises(PluginInstallError, match="symbolic link"):
        install(at(cline), state)
    assert target.read_bytes() == installer.MARKER
    assert plugin_file.is_symlink()


def test_uninstall_removes_its_own_file_only(cline: Path, state: Path) -> None:
    plugin_file = install(at(cline), state).plugin_file
    neighbour = plugin_file.with_name("other.js")
    neighbour.write_text("export default {};\n", encoding="utf-8")

    assert uninstall(at(cline)).outcome == "removed"
    assert list(everything_under(cline)) == ["plugins/other.js"]
    assert uninstall(at(cline)).outcome == "absent"


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(
    cline: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin_file = install(at(cline), state).plugin_file
    plugin_file.write_bytes(installer.MARKER + b" older")
    before = everything_under(cline)

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(PluginInstallError, match="No space left on device"):
        install(at(cline), state)
    assert everything_under(cline) == before


def test_the_temporary_name_is_one_that_cline_does_not_load(
    cline: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        if target.name == PLUGIN_FILE_NAME:
            names.append(self.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    install(at(cline), state)

    assert len(names) == 1
    assert names[0].startswith(".")
    assert not names[0].endswith((".js", ".ts"))


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path, state: Path) -> None:
    obstacle = tmp_path / "file"
    obstacle.write_text("", encoding="utf-8")

    with pytest.raises(PluginInstallError) as caught:
        install(at(obstacle), state)
    assert str(obstacle) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cline_itself_has_switched_off_is_reported(cline: Path, state: Path) -> None:
    settings = cline / "data" / "settings" / "global-settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        json.dumps({"telemetryOptOut": True, "disabledPlugins": [str(plugin_file_of(at(cline)))]}), encoding="utf-8"
    )

    report = install(at(cline), state)

    assert report.opted_out_in_cline
    assert report.disabled_in_cline


@pytest.mark.parametrize("text", ["", "[]", '{"disabledPlugins": 7}', "{"])
def test_settings_that_cannot_be_read_are_clines_defaults(cline: Path, state: Path, text: str) -> None:
    settings = cline / "data" / "settings" / "global-settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(text, encoding="utf-8")

    report = install(at(cline), state)

    assert (report.opted_out_in_cline, report.disabled_in_cline) == (False, False)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("name", ["plain", 'quote"s', "back\\slash", "a space", "ünï — cödé", "${x}`y`"])
def test_the_installed_file_loads_and_writes_to_its_spool_whatever_the_paths(tmp_path: Path, name: str) -> None:
    cline, state = tmp_path / "cline", tmp_path / name / "state"
    plugin_file = install(at(cline), state).plugin_file
    # Cline reads plugins as ES modules; node needs to be told.
    (plugin_file.parent / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    script = (
        "const { default: plugin } = await import(process.argv[1]);"
        "plugin.setup({}, { session: { sessionId: '1800000000000_abcde' }, client: { name: 'test', version: '1' } });"
    )

    subprocess.run(
        [shutil.which("node") or "node", "--input-type=module", "-e", script, plugin_file.as_uri()],
        check=True,
        timeout=PATIENCE_SECONDS,
    )

    [spool_file] = (state / "spool").iterdir()
    events = [json.loads(line)["event"] for line in spool_file.read_text(encoding="utf-8").splitlines()]
    assert events == ["session.claimed", "process.exited"]
    assert stat.S_IMODE(spool_file.stat().st_mode) == 0o600


def npm_package(directory: Path, name: str, version: str) -> Path:
    executable = directory / "node_modules" / name / "bin" / "cline"
    executable.parent.mkdir(parents=True)
    executable.write_text("#!/bin/sh\nexit 97\n", encoding="utf-8")
    executable.chmod(0o755)
    (executable.parent.parent / "package.json").write_text(
        json.dumps({"name": name, "version": version}), encoding="utf-8"
    )
    linked = directory / "bin" / "cline"
    linked.parent.mkdir()
    linked.symlink_to(executable)
    return linked.parent


def test_clines_on_path_are_found_by_their_package_and_once_each(tmp_path: Path) -> None:
    new = npm_package(tmp_path / "new", "cline", "3.0.65")
    old = npm_package(tmp_path / "old", "cline", "2.18.0")
    own = npm_package(tmp_path / "own", "@cline/cli-linux-x64", "3.0.65")
    path = os.pathsep.join([str(new), str(tmp_path / "missing"), "", str(old), str(new), str(own)])

    found = find_cline_versions(path)

    assert [(cline.version, cline.loads_plugin, cline.bootstrap) for cline in found] == [
        ("3.0.65", True, None),
        ("2.18.0", False, None),
        ("3.0.65", True, None),
    ]
    assert "loads the plugin" in found[0].advice
    assert "classic" in found[1].advice


def test_a_cline_without_a_package_has_no_version(tmp_path: Path) -> None:
    executable = tmp_path / "bin" / "cline"
    executable.parent.mkdir()
    executable.write_text("", encoding="utf-8")
    executable.chmod(0o755)

    [found] = find_cline_versions(str(executable.parent))

    assert (found.version, found.loads_plugin, found.location) == (None, None, executable)
    assert "unknown" in found.advice


SHIMS = {
    "npm": '#!/bin/sh\nbasedir=$(dirname "$0")\nexec node  "$basedir/node_modules/cline/bin/cline" "$@"\n',
    "pnpm": '#!/bin/sh\n  exec node  "$basedir/global/5/node_modules/cline/bin/cline" "$@"\nfi\n',
    "npm.cmd": '@ECHO off\r\n"%_prog%"  "%dp0%\\node_modules\\cline\\bin\\cline" %*\r\n',
    "old npm.cmd": '@"%~dp0\\node.exe" "%~dp0\\node_modules\\cline\\bin\\cline" %*\r\n',
}


@pytest.mark.parametrize("kind", SHIMS)
def test_the_package_behind_a_script_that_starts_it_is_found(tmp_path: Path, kind: str) -> None:
    on_windows = kind.endswith(".cmd")
    script = tmp_path / ("cline.cmd" if on_windows else "cline")
    script.write_text(SHIMS[kind], encoding="utf-8")
    script.chmod(0o755)
    package = npm_package(tmp_path / ("global/5" if kind == "pnpm" else "."), "cline", "3.0.65").parent / "node_modules"

    [found] = find_cline_versions(str(tmp_path), "win32" if on_windows else "linux")

    assert (found.version, found.wrapper) == ("3.0.65", (package / "cline" / "bin" / "cline").resolve())


@pytest.mark.parametrize(
    ("platform", "name"), [("linux", "linux-x64"), ("darwin", "darwin-arm64"), ("win32", "windows-x64")]
)
@pytest.mark.parametrize("nested", [True, False], ids=["in its dependencies", "beside it"])
def test_the_bootstrap_is_found_where_node_would_find_the_package_of_the_platform(
    tmp_path: Path, platform: str, name: str, *, nested: bool
) -> None:
    directory = npm_package(tmp_path, "cline", "3.0.65")
    modules = tmp_path / "node_modules" / "cline" / "node_modules" if nested else tmp_path / "node_modules"
    for each in (name, "other-x64"):
        bootstrap = modules / "@cline" / f"cli-{each}" / "extensions" / "plugin-sandbox-bootstrap.js"
        bootstrap.parent.mkdir(parents=True)
        bootstrap.touch()
    if platform == "win32":
        (directory / "cline").rename(directory / "cline.exe")

    [found] = find_cline_versions(str(directory), platform)

    assert found.bootstrap == modules / "@cline" / f"cli-{name}" / "extensions" / "plugin-sandbox-bootstrap.js"
    assert [each.bootstrap for each in find_cline_versions(str(directory), "freebsd14") if platform != "win32"] in (
        [],
        [None],
    )


@contextmanager
def running_hub(*options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    program = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "--cline-hub-daemon", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # now it has become what its arguments say
        yield process
        process.communicate()


@pytest.fixture
def hub(cline: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running_hub(CLINE_DIR=str(cline)) as process:
        yield process


def test_the_hub_that_clines_record_names_is_found(cline: Path, hub: subprocess.Popen[bytes]) -> None:
    record = cline / "data" / "locks" / "hub" / "production.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pid": hub.pid}), encoding="utf-8")

    found = find_hub_daemon([at(cline)])

    assert found is not None
    assert found.pid == hub.pid
    assert str(hub.pid) in found.advice


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "7"}', '{"pid": -1}'])
def test_a_hub_is_found_without_a_usable_record(cline: Path, hub: subprocess.Popen[bytes], text: str) -> None:
    record = cline / "data" / "locks" / "hub" / "production.json"
    record.parent.mkdir(parents=True)
    record.write_text(text, encoding="utf-8")

    found = find_hub_daemon([at(cline)])

    assert found is not None
    assert found.pid == hub.pid


def test_a_hub_of_another_home_is_not_taken_for_this_one_even_if_its_pid_is_in_our_record(
    cline: Path, tmp_path: Path
) -> None:
    with running_hub(HOME=str(tmp_path / "another")) as other:
        record = cline / "data" / "locks" / "hub" / "production.json"
        record.parent.mkdir(parents=True)
        record.write_text(json.dumps({"pid": other.pid}), encoding="utf-8")

        assert find_hub_daemon([at(cline)]) is None


@pytest.mark.parametrize("by", ["CLINE_DIR", "--config", "CLINE_DATA_DIR", "CLINE_HUB_DISCOVERY_PATH", "no home"])
def test_whose_a_hub_is_follows_from_what_it_was_started_with(cline: Path, tmp_path: Path, by: str) -> None:
    record = cline / "data" / "locks" / "hub" / "production.json"
    options = ["--config", str(cline)] if by == "--config" else []
    given = {"CLINE_DIR": cline, "CLINE_DATA_DIR": cline / "data", "CLINE_HUB_DISCOVERY_PATH": record}
    variables = {by: str(given[by])} if by in given else {}
    if by != "no home":
        variables["HOME"] = str(tmp_path / "another")
    with running_hub(*options, **variables) as hub:
        if by == "no home":
            assert find_hub_daemon([at(cline)]) is None
            record.parent.mkdir(parents=True)
            record.write_text(json.dumps({"pid": hub.pid}), encoding="utf-8")

        found = find_hub_daemon([at(cline)])

    assert found is not None
    assert found.pid == hub.pid


def test_a_record_of_a_process_that_is_no_hub_names_none(cline: Path) -> None:
    record = cline / "data" / "locks" / "hub" / "production.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pid": os.getpid()}), encoding="utf-8")

    assert find_hub_daemon([at(cline)]) is None
