"""``install`` in a home with editors: what is said, what is written, and that ``uninstall`` leaves nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.process import Bridge, Home
from waiting import PATIENCE_SECONDS, wait_until

BOOTSTRAP = "plugin-sandbox-bootstrap.js"
PLATFORM_PACKAGE = f"@cline/cli-{sys.platform}-x64"


def npm_cline(home: Home, where: str = "npm", version: str = "3.0.65") -> Path:
    """What ``npm install --global cline`` makes; the file that ``CLINE_WRAPPER_PATH`` has to name."""
    modules = home.directory / where / "lib" / "node_modules"
    for name, program in (("cline", "#!/bin/sh\nexit 99\n"), (f"cline/node_modules/{PLATFORM_PACKAGE}", "binary")):
        (modules / name / "bin").mkdir(parents=True)
        (modules / name / "bin" / "cline").write_text(program)
        (modules / name / "bin" / "cline").chmod(0o755)
        package = {"name": name.removeprefix("cline/node_modules/"), "version": version}
        (modules / name / "package.json").write_text(json.dumps(package))
    bootstrap = modules / "cline" / "node_modules" / PLATFORM_PACKAGE / "extensions" / BOOTSTRAP
    bootstrap.parent.mkdir()
    bootstrap.write_text("")
    (home.directory / where / "bin").mkdir()
    (home.directory / where / "bin" / "cline").symlink_to("../lib/node_modules/cline/bin/cline")
    return modules / "cline" / "bin" / "cline"


def extension(home: Home, folder: str, version: str, *bundles: str) -> Path:
    directory = home.directory / folder / "extensions" / f"saoudrizwan.claude-dev-{version}"
    for program in (f"{bundle}/dist" for bundle in bundles):
        (directory / program).mkdir(parents=True)
    (directory / "package.json").write_text(json.dumps({"name": "claude-dev", "version": version}))
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A bash user with VS Code, Cursor with an old Cline, and an editor without."""
    directory = tmp_path / "home"
    path = f"{directory / 'npm' / 'bin'}{os.pathsep}{os.defpath}"
    home = Home(directory, {"PATH": path, "SHELL": "/bin/bash"})
    extension(home, ".vscode", "4.1.13", "next", "legacy")
    extension(home, ".cursor", "3.89.2", ".")
    (directory / ".config" / "Windsurf").mkdir(parents=True)
    (directory / ".bashrc").write_text("# mine\n")
    return home


def everything_under(directory: Path, *but: str) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
        if path.relative_to(directory).parts[0] not in but
    }


def users_own(home: Home) -> dict[str, bytes | None]:
    """All that is neither ours nor Cline's."""
    return everything_under(home.directory, "state", ".cline", ".cline-otel")


def exported_to_login_shells(home: Home) -> str:
    answer = subprocess.run(
        ["bash", "-l", "-c", 'printf %s "$CLINE_WRAPPER_PATH"'],
        env={"HOME": str(home.directory), "PATH": os.defpath},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return answer.stdout


def test_it_says_which_cline_each_editor_has_and_what_reports_it(home: Home) -> None:
    wrapper = npm_cline(home)
    before = users_own(home)
    answer = home.run("install")
    assert answer.returncode == 0, answer.stderr
    rows = [line.rstrip().split(maxsplit=4) for line in answer.stdout.splitlines()]
    assert ["VS", "Code", "4.1.13", "next", "lacks CLINE_WRAPPER_PATH  session files"] in rows
    assert ["legacy", "never", "loads", "task", "files"] in rows
    assert "Cursor   3.89.2  legacy  never loads               task files" in answer.stdout
    assert "Editors without Cline: Windsurf" in answer.stdout
    assert f"run `cline-otel install --editors`, which writes into {home.directory}/.profile and" in answer.stdout
    assert f"    export CLINE_WRAPPER_PATH={wrapper}\n" in answer.stdout
    assert users_own(home) == before


def test_what_install_writes_for_editors_uninstall_takes_out_to_the_byte(home: Home) -> None:
    wrapper = npm_cline(home)
    before = users_own(home)
    for said in ("Wrote into", "Already in"):
        answer = home.run("install", "--editors", "--editor-bootstrap")
        assert answer.returncode == 0, answer.stderr
        assert [f"{said} {home.directory}/{name}:" in answer.stdout for name in (".profile", ".bashrc")] == [True, True]
        assert "lacks" not in answer.stdout
    assert exported_to_login_shells(home) == str(wrapper)
    assert "CLINE_WRAPPER_PATH" not in home.run("install").stdout
    bootstrap = home.directory / ".vscode/extensions/saoudrizwan.claude-dev-4.1.13/next/dist" / BOOTSTRAP
    assert f'import("{(wrapper.parents[1] / "node_modules" / PLATFORM_PACKAGE).as_uri()}' in bootstrap.read_text()
    changed = {name for name, content in users_own(home).items() if before.get(name, 0) != content}
    assert changed == {".profile", ".bashrc", str(bootstrap.relative_to(home.directory))}

    answer = home.run("uninstall")
    assert answer.returncode == 0, answer.stderr
    assert users_own(home) == before
    assert not (home.state / "editors.json").exists()
    said = home.run("uninstall").stdout.splitlines()
    assert said[0] == f"Not installed: no {home.cline}/plugins/cline-otel.js"
    assert said[1].startswith(f"Left: {home.state} ")
    assert len(said) == 2


@pytest.mark.parametrize(
    ("version", "has_bootstrap"), [(None, True), ("2.18.0", True), ("3.0.65", False)], ids=["none", "classic", "bare"]
)
def test_without_npms_cline_it_says_so_and_fails_only_if_asked_for_editors(
    home: Home, version: str | None, *, has_bootstrap: bool
) -> None:
    if version is not None:
        wrapper = npm_cline(home, version=version)
        if not has_bootstrap:
            next(wrapper.parents[1].rglob(BOOTSTRAP)).unlink()
    before = users_own(home)
    missing = "in editors the plugin needs npm's `cline`"
    answer = home.run("install")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"note: {missing}" in answer.stdout
    for option in ("--editors", "--editor-bootstrap"):
        answer = home.run("install", option)
        assert answer.returncode == 1
        assert answer.stderr.startswith(f"error: {missing}")
        assert answer.stderr.count("\n") == 1
    # The plugin itself is installed all the same.
    assert (home.cline / "plugins" / "cline-otel.js").exists()
    assert users_own(home) == before


def test_without_an_editor_that_could_load_the_plugin_nothing_is_advised(home: Home) -> None:
    for folder in (".vscode", ".cursor"):
        (home.directory / folder).rename(home.directory / f"not{folder}")
    said = [home.run("install").stdout]
    npm_cline(home)
    said.append(home.run("install").stdout)
    assert ["CLINE_WRAPPER_PATH" in text or "npm" in text for text in said] == [False, False]


def test_a_file_that_cannot_be_written_is_said_and_the_rest_is_done(home: Home) -> None:
    wrapper = npm_cline(home)
    (home.directory / ".bashrc").chmod(0o444)
    before = users_own(home)
    answer = home.run("install", "--editors")
    assert answer.returncode == 1
    assert answer.stderr == (
        f"error: {home.directory}/.bashrc is read-only: it stays as it is; "
        f"put this where your shell reads it: export CLINE_WRAPPER_PATH={wrapper}\n"
    )
    assert f"Wrote into {home.directory}/.profile" in answer.stdout
    assert exported_to_login_shells(home) == str(wrapper)
    (home.directory / ".profile").chmod(0o444)
    extension(home, ".windsurf", "4.1.13", "next")
    bootstraps = home.run("install", "--editor-bootstrap")
    assert bootstraps.returncode == 0
    answer = home.run("uninstall")
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"error: {home.directory}/.profile is read-only")
    (home.directory / ".profile").chmod(0o644)
    assert home.run("uninstall").returncode == 0
    assert {name: content for name, content in users_own(home).items() if ".windsurf" not in name} == before


def test_npms_cline_that_has_moved_is_advised_again_and_its_place_brought_up_to_date(home: Home) -> None:
    npm_cline(home, "old")
    old = {"PATH": f"{home.directory / 'old' / 'bin'}{os.pathsep}{os.defpath}"}
    assert home.run("install", "--editors", environment=old).returncode == 0
    wrapper = npm_cline(home)
    assert f"    export CLINE_WRAPPER_PATH={wrapper}\n" in home.run("install").stdout
    answer = home.run("install", "--editors")
    assert f"Updated in {home.directory}/.bashrc:\n    export CLINE_WRAPPER_PATH={wrapper}" in answer.stdout
    assert (home.directory / ".bashrc").read_text().count("export") == 1
    assert exported_to_login_shells(home) == str(wrapper)


def test_what_is_there_for_editors_stays_while_another_cline_has_the_plugin(home: Home) -> None:
    npm_cline(home)
    other = home.directory / "other cline"
    assert home.run("install", "--editors").returncode == 0
    assert home.run("install", "--cline-dir", other).returncode == 0
    assert home.run("uninstall", "--cline-dir", other).returncode == 0
    assert exported_to_login_shells(home)
    assert home.run("uninstall").returncode == 0
    assert not exported_to_login_shells(home)


def test_a_running_bridge_puts_the_bootstrap_into_an_extension_that_was_updated(home: Home) -> None:
    npm_cline(home)
    assert home.run("install", "--editor-bootstrap").returncode == 0
    updated = extension(home, ".vscode", "4.1.14", "next", "legacy") / "next" / "dist" / BOOTSTRAP
    with Bridge(home) as bridge:
        wait_until(updated.exists, lambda: bridge.said)
        assert bridge.stop() == 0
    assert f"the extension's new folder got the plugin's bootstrap: {updated}" in bridge.said


def test_status_shows_each_cline_in_an_editor_and_whether_the_plugin_loads(home: Home) -> None:
    npm_cline(home)
    with Bridge(home) as bridge:
        assert bridge.stop() == 0
    editors = [
        {
            "editor": "VS Code",
            "version": "4.1.13",
            "bundles": [{"name": "next", "loading": "lacks_variable"}, {"name": "legacy", "loading": "never"}],
        },
        {"editor": "Cursor", "version": "3.89.2", "bundles": [{"name": "legacy", "loading": "never"}]},
    ]
    assert home.status()["editors"] == editors
    assert "lacks CLINE_WRAPPER_PATH" in home.run("status").stdout
    assert home.run("install", "--editors").returncode == 0
    assert home.status()["editors"][0]["bundles"][0]["loading"] == "loads"
    assert "lacks" not in home.run("status").stdout
