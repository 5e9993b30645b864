"""Where Cline keeps things, as a table: from variables, home directory and platform to places."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cline_otel.operating_system.home import home_directory
from cline_otel.places import ClinePlaces, cline_places, editor_places, jetbrains_places
from cline_otel.plugin.install import plugin_file_of, that_load_plugins
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.places import find_places, find_state_directory

EXTENSION = "User/globalStorage/saoudrizwan.claude-dev/tasks"

DEFAULT = {
    "directory": "/home/u/.cline",
    "data_directory": "/home/u/.cline/data",
    "log_files": ["/home/u/.cline/data/logs/cline.log", "/home/u/.cline/data/logs/code.log"],
    "sessions_directory": "/home/u/.cline/data/sessions",
    "database_directory": "/home/u/.cline/data/db",
    "hub_database": "/home/u/.cline/data/db/hub-events-hub-production.db",
    "settings_directories": ["/home/u/.cline/data"],
    "global_settings_files": ["/home/u/.cline/data/settings/global-settings.json"],
    "global_state_files": ["/home/u/.cline/data/globalState.json"],
    "hub_discovery_file": "/home/u/.cline/data/locks/hub/production.json",
    "plugins_directory": "/home/u/.cline/plugins",
}
ALL_IN_C: dict[str, Any] = json.loads(json.dumps(DEFAULT).replace("/home/u/.cline", "/c"))

TABLE: list[tuple[str, dict[str, str], str | None, dict[str, Any]]] = [
    ("nothing is set", {}, "/home/u", DEFAULT),
    ("cline --config", {"CLINE_DIR": "/c"}, "/home/u", ALL_IN_C),
    ("cline --config without a home", {"CLINE_DIR": "/c"}, None, {**ALL_IN_C, "task_directories": ["/c/data/tasks"]}),
    (
        "cline --data-dir",
        {"CLINE_DATA_DIR": "/d"},
        "/home/u",
        {
            "directory": "/home/u/.cline",
            "plugins_directory": "/home/u/.cline/plugins",
            "data_directory": "/d",
            "log_files": ["/d/logs/cline.log", "/d/logs/code.log"],
            "sessions_directory": "/d/sessions",
            "database_directory": "/d/db",
            "hub_database": "/d/db/hub-events-hub-production.db",
            "settings_directories": ["/d", "/home/u/.cline/data"],
            "global_settings_files": [
                "/d/settings/global-settings.json",
                "/home/u/.cline/data/settings/global-settings.json",
            ],
            "global_state_files": ["/d/globalState.json", "/home/u/.cline/data/globalState.json"],
            "hub_discovery_file": "/d/locks/hub/production.json",
        },
    ),
    (
        "the data directory goes before that of the directory",
        {"CLINE_DIR": "/c", "CLINE_DATA_DIR": "/d"},
        None,
        {"directory": "/c", "data_directory": "/d", "settings_directories": ["/d", "/c/data"]},
    ),
    ("the data directory is the usual one", {"CLINE_DATA_DIR": "/home/u/.cline/data"}, "/home/u", DEFAULT),
    (
        "single places have variables of their own",
        {
            "CLINE_LOG_PATH": "/l/mine.log",
            "CLINE_SESSION_DATA_DIR": "/s",
            "CLINE_DB_DATA_DIR": "/b",
            "CLINE_GLOBAL_SETTINGS_PATH": "/g.json",
            "CLINE_HUB_DISCOVERY_PATH": "/h.json",
        },
        "/home/u",
        {
            **DEFAULT,
            "log_files": ["/l/mine.log"],
            "sessions_directory": "/s",
            "database_directory": "/b",
            "hub_database": "/b/hub-events-hub-production.db",
            "global_settings_files": ["/g.json", "/home/u/.cline/data/settings/global-settings.json"],
            "hub_discovery_file": "/h.json",
        },
    ),
]


def shown(places: ClinePlaces) -> dict[str, Any]:
    every: dict[str, Any] = places._asdict() | {
        name: getattr(places, name) for name in ("plugins_directory", "global_state_files")
    }
    return {
        name: [each.as_posix() for each in value] if isinstance(value, tuple) else value.as_posix()
        for name, value in every.items()
    }


def places_of(variables: Mapping[str, str], home: str | None, platform: str = "linux") -> ClinePlaces | None:
    named = {name: Path(value) for name, value in variables.items()}
    return cline_places(named, None if home is None else Path(home), platform)


@pytest.mark.parametrize(("variables", "home", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_places_follow_from_clines_variables_and_the_home_directory(
    variables: dict[str, str], home: str | None, expected: dict[str, Any]
) -> None:
    places = places_of(variables, home)
    assert places is not None
    found = shown(places)
    assert {name: found[name] for name in expected} == expected
    assert set(expected) <= set(found)


def test_without_a_home_directory_nothing_is_known_unless_clines_own_directory_is() -> None:
    assert places_of({}, None) is None
    assert places_of({"CLINE_DATA_DIR": "/d", "CLINE_LOG_PATH": "/l"}, None) is None


WINDOWS = {"APPDATA": "D:/profiles/u/Roaming"}
XDG = {"XDG_CONFIG_HOME": "/x/config", "XDG_DATA_HOME": "/x/share"}
ON_PLATFORMS = [
    ("linux", "/home/u", {}, "/home/u/.config", "/home/u/.local/share/code-server"),
    ("linux", "/home/u", XDG, "/x/config", "/x/share/code-server"),
    ("darwin", "/Users/u", {}, "/Users/u/Library/Application Support", "/Users/u/.local/share/code-server"),
    ("win32", "C:/Users/u", {}, "C:/Users/u/AppData/Roaming", None),
    ("win32", "C:/Users/u", WINDOWS, "D:/profiles/u/Roaming", None),
]


@pytest.mark.parametrize(("platform", "home", "variables", "of_editors", "code_server"), ON_PLATFORMS)
def test_classic_tasks_are_in_clines_data_and_in_the_storage_of_every_editor(
    platform: str, home: str, variables: dict[str, str], of_editors: str, code_server: str | None
) -> None:
    places = places_of(variables, home, platform)
    assert places is not None
    found = [each.as_posix() for each in places.task_directories]
    editors = ("Code", "Code - Insiders", "VSCodium", "Cursor", "Windsurf", "Windsurf - Next")
    editors += ("Antigravity", "Kiro", "Positron", "Trae")
    servers = (".vscode-server", ".vscode-server-insiders", ".vscodium-server", ".cursor-server", ".windsurf-server")
    servers += (".antigravity-server", ".vscode-remote", ".openvscode-server")
    assert found == [
        f"{home}/.cline/data/tasks",
        *(f"{of_editors}/{editor}/{EXTENSION}" for editor in editors),
        *(f"{home}/{server}/data/{EXTENSION}" for server in servers),
        *([] if code_server is None else [f"{code_server}/{EXTENSION}"]),
    ]
    # Nothing else differs between platforms.
    assert shown(places)["log_files"] == [f"{home}/.cline/data/logs/{name}.log" for name in ("cline", "code")]


@pytest.mark.parametrize(("platform", "home", "variables", "of_editors", "code_server"), ON_PLATFORMS)
def test_extensions_are_in_the_home_directory_but_those_of_code_server(
    platform: str, home: str, variables: dict[str, str], of_editors: str, code_server: str | None
) -> None:
    named = {name: Path(value) for name, value in variables.items()}
    found = {each.name: each for each in editor_places(named, Path(home), platform)}
    assert len({each.extensions_directory for each in found.values()}) == len(found)
    for name, user_data, extensions in (
        ("VS Code", f"{of_editors}/Code", f"{home}/.vscode"),
        ("VSCodium", f"{of_editors}/VSCodium", f"{home}/.vscode-oss"),
        ("VS Code Server", f"{home}/.vscode-server/data", f"{home}/.vscode-server"),
        ("code-server", code_server, code_server),
    ):
        if user_data is None:
            assert name not in found
            continue
        assert found[name].user_data_directory.as_posix() == user_data
        assert found[name].extensions_directory.as_posix() == f"{extensions}/extensions"


@pytest.mark.parametrize(
    ("platform", "home", "variables", "expected"),
    [
        ("linux", "/home/u", {}, "/home/u/.local/share/JetBrains"),
        ("linux", "/home/u", XDG, "/x/share/JetBrains"),
        ("darwin", "/Users/u", XDG, "/Users/u/Library/Application Support/JetBrains"),
        ("win32", "C:/Users/u", WINDOWS, "D:/profiles/u/Roaming/JetBrains"),
    ],
)
def test_plugins_of_jetbrains_ides_are_where_applications_keep_their_data(
    platform: str, home: str, variables: dict[str, str], expected: str
) -> None:
    found = jetbrains_places({name: Path(value) for name, value in variables.items()}, Path(home), platform)
    assert found is not None
    assert found.directory.as_posix() == expected


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def listed(*directories: Path | str) -> str:
    return os.pathsep.join(map(str, directories))


def test_what_the_bridges_own_variables_name_is_read_beside_what_clines_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINE_LOG_PATH", str(home / "my.log"))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_CLINE_DIRS", listed("~/work", home / "other", "", home / ".cline"))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS", listed(home / "sandbox"))
    installations = load_settings().installations
    assert [(each.directory, each.data_directory) for each in installations] == [
        (home / ".cline", home / ".cline" / "data"),
        (home / "work", home / "work" / "data"),
        (home / "other", home / "other" / "data"),
        (home / ".cline", home / "sandbox"),
    ]
    assert [each.log_files[0] for each in installations] == [
        home / "my.log",
        home / "work" / "data" / "logs" / "cline.log",
        home / "other" / "data" / "logs" / "cline.log",
        home / "sandbox" / "logs" / "cline.log",
    ]
    # The user has his editors once.
    assert [len(each.task_directories) > 1 for each in installations] == [True, False, False, False]
    assert find_places().installations == installations
    assert [plugin_file_of(each) for each in that_load_plugins(installations)] == [
        home / name / "plugins" / "cline-otel.js" for name in (".cline", "work", "other")
    ]


def test_a_directory_that_is_given_goes_before_every_variable_but_that_of_the_data(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINE_DIR", str(home / "elsewhere"))
    monkeypatch.setenv("CLINE_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_CLINE_DIRS", str(home / "work"))
    [only] = load_settings(cline_directory=home / "given").installations
    assert (only.directory, only.data_directory) == (home / "given", home / "data")


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_variable_of_blanks_names_nothing_as_for_cline(
    home: Path, monkeypatch: pytest.MonkeyPatch, blank: str
) -> None:
    for name in ("CLINE_DIR", "CLINE_DATA_DIR", "CLINE_LOG_PATH", "CLINE_OTEL_BRIDGE_CLINE_DIRS"):
        monkeypatch.setenv(name, blank)
    [only] = load_settings().installations
    assert only.log_files[0] == home / ".cline" / "data" / "logs" / "cline.log"


@pytest.mark.parametrize(
    "name", ["CLINE_DATA_DIR", "CLINE_OTEL_BRIDGE_CLINE_DIRS", "CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS"]
)
def test_a_place_in_a_home_directory_that_there_is_none_of_is_refused_by_its_variable(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "~nobody-has-this-name/x")
    with pytest.raises(SettingsError, match=f"^{name}: .*give the whole path$"):
        load_settings()


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a process of a user that the system does not know, without variables that name a home directory."""
    pwd = pytest.importorskip("pwd", reason="Windows knows every user")

    def unknown(user_id: int) -> None:
        raise KeyError(user_id)

    for name in ("HOME", "USERPROFILE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("no_home")
def test_without_a_home_directory_settings_are_read_and_what_lacks_a_place_names_the_variable() -> None:
    assert home_directory() is None
    settings = load_settings()
    assert dict(settings.resource("i"))["service.name"] == "cline"
    # No local file may come to be in a directory that nobody named.
    assert settings.destinations == {"traces": (), "metrics": (), "logs": ()}
    for lacks_it in (lambda: settings.state_directory, lambda: settings.places, find_state_directory, find_places):
        with pytest.raises(SettingsError, match=r"^CLINE_OTEL_BRIDGE_STATE_DIR: there is no home directory"):
            lacks_it()
    with pytest.raises(SettingsError, match=r"^CLINE_DIR: there is no home directory"):
        assert settings.installations


@pytest.mark.usefixtures("no_home")
def test_without_a_home_directory_places_that_are_named_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_CLINE_DIRS", str(tmp_path / "c"))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_CLINE_DATA_DIRS", str(tmp_path / "d"))
    places = load_settings().places
    assert places.state_directory == tmp_path / "state"
    assert [(each.directory, each.data_directory) for each in places.installations] == [
        (tmp_path / "c", tmp_path / "c" / "data"),
        (tmp_path / "c", tmp_path / "d"),
    ]
