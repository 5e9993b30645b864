"""Which editors are found, which Cline is in each, and whether the plugin loads there."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cline_otel.places import editor_places, jetbrains_places
from cline_otel.plugin.bootstrap import (
    ask_for_bootstraps,
    is_our_bootstrap,
    our_bootstraps,
    renew_bootstraps,
    take_bootstrap_out,
    write_bootstrap,
)
from cline_otel.plugin.editor_record import EditorRecord, read_record
from cline_otel.plugin.editors import BOOTSTRAP_NAME, ClineInEditor, FoundEditors, find_editors
from cline_otel.plugin.errors import PluginInstallError
from waiting import PATIENCE_SECONDS

NODE = shutil.which("node")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def found_in(home: Path, platform: str = "linux") -> FoundEditors:
    return find_editors(editor_places({}, home, platform), jetbrains_places({}, home, platform))


def extension(home: Path, folder: str, name: str, *bundles: str, version: str | None = None) -> Path:
    """An installed extension: its manifest if it has a version, and each bundle's program."""
    directory = home / folder / "extensions" / name
    directory.mkdir(parents=True)
    if version is not None:
        (directory / "package.json").write_text(json.dumps({"name": "claude-dev", "version": version}))
    for bundle in bundles or ("",):
        program = directory / bundle / "dist"
        program.mkdir(parents=True)
        (program / "extension.js").write_text("")
    return directory


BOTH = ("next", "legacy")
LAYOUTS = [
    ("claude-dev-4.1.13", BOTH, "4.1.13", ("4.1.13", BOTH, "next/dist")),
    ("claude-dev-4.1.13-linux-x64", BOTH, "4.1.13", ("4.1.13", BOTH, "next/dist")),
    ("cline-nightly-4.1.1795717180", BOTH, None, ("4.1.1795717180", BOTH, "next/dist")),
    ("claude-dev-4.2.0", (), "4.2.0", ("4.2.0", ("next",), "dist")),
    ("claude-dev-4.0.12", (), "4.0.12", ("4.0.12", ("legacy",), None)),
    ("claude-dev-3.89.2", (), "3.89.2", ("3.89.2", ("legacy",), None)),
    ("claude-dev-3.89.2", (), None, ("3.89.2", ("legacy",), None)),
    ("claude-dev-5.0.0", ("legacy",), "5.0.0", ("5.0.0", ("legacy",), None)),
]
"""A folder's name, what is in it, what its manifest says, and what is found."""


@pytest.mark.parametrize(("name", "bundles", "version", "expected"), LAYOUTS)
def test_an_extension_has_the_bundles_of_its_folders_and_before_4_1_the_legacy_one(
    home: Path,
    name: str,
    bundles: tuple[str, ...],
    version: str | None,
    expected: tuple[str, tuple[str, ...], str | None],
) -> None:
    directory = extension(home, ".vscode", f"saoudrizwan.{name}", *bundles, version=version)
    [cline] = found_in(home).with_cline
    program = None if expected[2] is None else directory / expected[2]
    assert (cline.version, cline.bundles, cline.program_directory) == (expected[0], expected[1], program)
    assert (cline.editor, cline.directory) == ("VS Code", directory)


EXTENSION_FOLDERS = {
    "VS Code": ".vscode",
    "VS Code Insiders": ".vscode-insiders",
    "VSCodium": ".vscode-oss",
    "Cursor": ".cursor",
    "Windsurf": ".windsurf",
    "Windsurf Next": ".windsurf-next",
    "Antigravity": ".antigravity",
    "Kiro": ".kiro",
    "Positron": ".positron",
    "Trae": ".trae",
    "VS Code Server": ".vscode-server",
    "VS Code Server Insiders": ".vscode-server-insiders",
    "VSCodium Server": ".vscodium-server",
    "Cursor Server": ".cursor-server",
    "Windsurf Server": ".windsurf-server",
    "Antigravity Server": ".antigravity-server",
    "GitHub Codespaces": ".vscode-remote",
    "OpenVSCode Server": ".openvscode-server",
    "code-server": ".local/share/code-server",
}


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_extensions_are_found_in_every_editor_of_every_platform(home: Path, platform: str) -> None:
    for folder in EXTENSION_FOLDERS.values():
        extension(home, folder, "saoudrizwan.claude-dev-4.1.13", "next", "legacy", version="4.1.13")
    expected = [name for name in EXTENSION_FOLDERS if platform != "win32" or name != "code-server"]
    assert [cline.editor for cline in found_in(home, platform).with_cline] == expected


def test_an_editor_without_cline_is_found_by_its_settings_or_its_extensions(home: Path) -> None:
    (home / ".config" / "Cursor").mkdir(parents=True)
    (home / ".vscode-server" / "extensions" / "someone.else-1.0.0").mkdir(parents=True)
    extension(home, ".vscode", "saoudrizwan.claude-dev-3.89.2")
    found = found_in(home)
    assert [cline.editor for cline in found.with_cline] == ["VS Code"]
    assert found.without_cline == ("Cursor", "VS Code Server")


def test_an_extension_that_the_editor_is_about_to_delete_is_not_there(home: Path) -> None:
    for version in ("4.1.12", "4.1.13"):
        directory = extension(home, ".vscode", f"saoudrizwan.claude-dev-{version}", "next", version=version)
    (directory.parent / ".obsolete").write_text('{"saoudrizwan.claude-dev-4.1.12": true}')
    assert [cline.version for cline in found_in(home).with_cline] == ["4.1.13"]


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"version": 7}'])
def test_what_is_no_manifest_is_as_good_as_none(home: Path, text: str) -> None:
    directory = extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next")
    (directory / "package.json").write_text(text)
    (directory.parent / ".obsolete").write_text(text)
    (directory.parent / "saoudrizwan.claude-dev-9.9.9").write_text("a file")
    assert [cline.version for cline in found_in(home).with_cline] == ["4.1.13"]


@pytest.mark.parametrize(
    ("platform", "folder"),
    [
        ("linux", ".local/share/JetBrains/IntelliJIdea2026.2/cline"),
        ("darwin", "Library/Application Support/JetBrains/IntelliJIdea2026.2/plugins/cline"),
        ("win32", "AppData/Roaming/JetBrains/IntelliJIdea2026.2/plugins/Cline"),
    ],
)
def test_cline_for_jetbrains_is_found_in_the_folder_of_its_ide(home: Path, platform: str, folder: str) -> None:
    (home / folder / "lib").mkdir(parents=True)
    (home / folder).with_name("another plugin").mkdir()
    assert found_in(home, platform) == FoundEditors(
        (ClineInEditor("IntelliJIdea2026.2", home / folder, None, ("core",), None),), ()
    )


def test_without_a_home_directory_there_are_no_editors() -> None:
    assert find_editors(editor_places({}, None, "linux"), jetbrains_places({}, None, "linux")) == FoundEditors((), ())


@pytest.mark.parametrize("where", ["", "extensions", "agents"])
def test_the_plugin_loads_by_the_variable_or_by_a_bootstrap_and_never_in_the_legacy_bundle(
    home: Path, where: str
) -> None:
    directory = extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next", "legacy")
    [cline] = found_in(home).with_cline
    assert [cline.loading("next", variable_is_set=is_set) for is_set in (False, True)] == ["lacks_variable", "loads"]
    bootstrap = directory / "next" / "dist" / where / BOOTSTRAP_NAME
    bootstrap.parent.mkdir(exist_ok=True)
    bootstrap.write_text("")
    assert cline.loading("next", variable_is_set=False) == "loads"
    assert [cline.loading("legacy", variable_is_set=is_set) for is_set in (False, True)] == ["never", "never"]


@pytest.fixture
def npm_bootstrap(tmp_path: Path) -> Path:
    """Stands for the file in npm's ``cline``, in a place whose name has to be escaped."""
    path = tmp_path / 'npm of a user\'s %20 "choice"' / BOOTSTRAP_NAME
    path.parent.mkdir()
    path.write_text("console.log('the bootstrap of npm runs as', import.meta.url === undefined ? '' : 'a module')\n")
    (path.parent / "package.json").write_text('{"type": "module"}')
    return path


def test_a_bootstrap_is_written_once_and_taken_out_again(home: Path, npm_bootstrap: Path, tmp_path: Path) -> None:
    extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next", "legacy")
    extension(home, ".cursor", "saoudrizwan.claude-dev-3.89.2")
    before = set(home.rglob("*"))
    new, old = found_in(home).with_cline
    assert write_bootstrap(old, npm_bootstrap) is None
    assert [write_bootstrap(new, npm_bootstrap) for _ in range(2)] == ["written", "unchanged"]
    assert write_bootstrap(new, tmp_path / "moved" / BOOTSTRAP_NAME) == "updated"
    [file] = our_bootstraps(editor_places({}, home, "linux"))
    assert file == new.bootstrap_file
    take_bootstrap_out(file)
    assert set(home.rglob("*")) == before


def test_a_bootstrap_that_the_extension_brings_along_is_left_alone(home: Path, npm_bootstrap: Path) -> None:
    directory = extension(home, ".vscode", "saoudrizwan.claude-dev-4.9.0", "next")
    own = directory / "next" / "dist" / BOOTSTRAP_NAME
    own.write_text("// of Cline")
    [cline] = found_in(home).with_cline
    assert write_bootstrap(cline, npm_bootstrap) is None
    assert not is_our_bootstrap(own)
    assert list(our_bootstraps(editor_places({}, home, "linux"))) == []
    assert own.read_text() == "// of Cline"


def test_a_folder_that_cannot_be_written_is_one_clear_line(home: Path, npm_bootstrap: Path) -> None:
    directory = extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next")
    [cline] = found_in(home).with_cline
    shutil.rmtree(directory / "next" / "dist")
    with pytest.raises(PluginInstallError, match=f"^cannot write .*{BOOTSTRAP_NAME}: .*; check who owns"):
        write_bootstrap(cline, npm_bootstrap)


@pytest.mark.skipif(NODE is None, reason="needs node")
def test_a_bootstrap_runs_that_of_npm_whatever_its_path(home: Path, npm_bootstrap: Path) -> None:
    extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next")
    [cline] = found_in(home).with_cline
    write_bootstrap(cline, npm_bootstrap)
    answer = subprocess.run(
        [NODE or "node", str(cline.bootstrap_file)],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert answer.stdout == "the bootstrap of npm runs as a module\n"


def test_an_extension_that_is_updated_gets_a_bootstrap_again_if_that_was_asked_for(
    home: Path, npm_bootstrap: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    places = editor_places({}, home, "linux")
    directory = extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.13", "next", "legacy")
    assert renew_bootstraps(state, places) == []
    ask_for_bootstraps(state, npm_bootstrap)
    first = directory / "next" / "dist" / BOOTSTRAP_NAME
    assert renew_bootstraps(state, places) == [first]
    assert renew_bootstraps(state, places) == []

    updated = extension(home, ".vscode", "saoudrizwan.claude-dev-4.1.14", "next", "legacy")
    assert renew_bootstraps(state, places) == [updated / "next" / "dist" / BOOTSTRAP_NAME]
    # One that could not be written costs none of the others.
    shutil.rmtree(updated / "next" / "dist")
    first.unlink()
    assert renew_bootstraps(state, places) == [first]

    first.unlink()
    npm_bootstrap.unlink()
    assert renew_bootstraps(state, places) == []
    ask_for_bootstraps(state, None)
    assert read_record(state) == EditorRecord()
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", '{"bootstrap": 7}', "\xff"])
def test_a_record_that_cannot_be_read_asks_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "editors.json").write_text(text, encoding="latin-1")
    assert read_record(tmp_path) == EditorRecord()
