"""Where Cline keeps things and where ours are: plain data, between the settings that find it and whoever reads there.

The rules are Cline's own (its repository at commit 21cb8d25: ``resolveClineDataDir`` and its neighbours, the loggers
of the command line and of the desktop application, ``resolveHubEventLogPath``, ``resolveProductionHubOwnerContext``);
those of the editors are VS Code's (``getUserDataPath``, and the folders that a product's ``product.json`` names).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_LOG_NAMES: Final = ("cline.log", "code.log")
"""The command line's and the desktop application's."""

_DESKTOP_EDITORS: Final = (
    ("VS Code", "Code", ".vscode"),
    ("VS Code Insiders", "Code - Insiders", ".vscode-insiders"),
    ("VSCodium", "VSCodium", ".vscode-oss"),
    ("Cursor", "Cursor", ".cursor"),
    ("Windsurf", "Windsurf", ".windsurf"),
    ("Windsurf Next", "Windsurf - Next", ".windsurf-next"),
    ("Antigravity", "Antigravity", ".antigravity"),
    ("Kiro", "Kiro", ".kiro"),
    ("Positron", "Positron", ".positron"),
    ("Trae", "Trae", ".trae"),
)
"""What each is called, its folder where editors keep their data, and its folder in the home directory."""

_EDITOR_SERVERS: Final = (
    ("VS Code Server", ".vscode-server"),
    ("VS Code Server Insiders", ".vscode-server-insiders"),
    ("VSCodium Server", ".vscodium-server"),
    ("Cursor Server", ".cursor-server"),
    ("Windsurf Server", ".windsurf-server"),
    ("Antigravity Server", ".antigravity-server"),
    ("GitHub Codespaces", ".vscode-remote"),
    ("OpenVSCode Server", ".openvscode-server"),
)
"""What each is called, and its folder in the home directory of a machine that is worked on from elsewhere."""

_EXTENSION_STORAGE: Final = "User/globalStorage/saoudrizwan.claude-dev"


class ClinePlaces(NamedTuple):
    """Where one installation of Cline keeps things. Nothing of it need be there.

    Attributes:
        directory: Cline's own directory (``~/.cline``), which ``CLINE_DIR`` and ``cline --config`` name.
        data_directory: what it writes, which ``CLINE_DATA_DIR`` and ``cline --data-dir`` name.
        log_files: its logs; the first is the command line's.
        sessions_directory: a folder for each session.
        database_directory: ``sessions.db`` and the hub's databases.
        hub_database: all that happened in the hub.
        task_directories: a folder for each task of classic Cline; those of the user's editors are with the
            installation that the environment names.
        settings_directories: where its settings and its copies of a remote config may be. VS Code keeps some of them
            in ``directory`` whatever ``CLINE_DATA_DIR`` says.
        global_settings_files: each may hold Cline's own opt-out.
        hub_discovery_file: in which a hub says that it runs.
    """

    directory: Path
    data_directory: Path
    log_files: tuple[Path, ...]
    sessions_directory: Path
    database_directory: Path
    hub_database: Path
    task_directories: tuple[Path, ...]
    settings_directories: tuple[Path, ...]
    global_settings_files: tuple[Path, ...]
    hub_discovery_file: Path

    @property
    def plugins_directory(self) -> Path:
        """From which it loads plugins."""
        return self.directory / "plugins"

    @property
    def global_state_files(self) -> tuple[Path, ...]:
        """Each may hold the opt-out of classic Cline and of VS Code."""
        return tuple(directory / "globalState.json" for directory in self.settings_directories)


class EditorPlaces(NamedTuple):
    """Where one editor of VS Code's kin keeps things. Nothing of it need be there.

    Attributes:
        name: what it is called.
        user_data_directory: its settings and what extensions store.
        extensions_directory: a folder for each extension.
    """

    name: str
    user_data_directory: Path
    extensions_directory: Path


class JetBrainsPlaces(NamedTuple):
    """Where the IDEs of JetBrains keep their plugins.

    Attributes:
        directory: a folder for each IDE and release.
        pattern: of Cline's folder, from there.
    """

    directory: Path
    pattern: str


class Places(NamedTuple):
    """Of the settings, what a source may go by.

    Attributes:
        state_directory: what is ours.
        installations: what is Cline's; all of them are read.
        listening_on: the base URL on which OTLP is taken over HTTP; None if it is not.
        listening_on_grpc: that over gRPC.
    """

    state_directory: Path
    installations: tuple[ClinePlaces, ...]
    listening_on: str | None = None
    listening_on_grpc: str | None = None


def cline_places(variables: Mapping[str, Path], home: Path | None, platform: str) -> ClinePlaces | None:
    """Where the Cline that has these variables keeps things; None if that is not known for want of a home directory.

    Args:
        variables: those that name a place, by their names: ``CLINE_DIR`` and its kin, ``XDG_CONFIG_HOME``,
            ``XDG_DATA_HOME`` and ``APPDATA``; absolute paths.
        home: the user's home directory; None if there is none.
        platform: as ``sys.platform``.
    """
    directory = variables.get("CLINE_DIR") or (home / ".cline" if home is not None else None)
    if directory is None:
        return None
    data = variables.get("CLINE_DATA_DIR", directory / "data")
    databases = variables.get("CLINE_DB_DATA_DIR", data / "db")
    settings_directories = tuple(dict.fromkeys((data, directory / "data")))
    log = variables.get("CLINE_LOG_PATH")
    settings = variables.get("CLINE_GLOBAL_SETTINGS_PATH")
    return ClinePlaces(
        directory=directory,
        data_directory=data,
        log_files=tuple(data / "logs" / name for name in _LOG_NAMES) if log is None else (log,),
        sessions_directory=variables.get("CLINE_SESSION_DATA_DIR", data / "sessions"),
        database_directory=databases,
        hub_database=databases / "hub-events-hub-production.db",
        task_directories=(
            data / "tasks",
            *(storage / "tasks" for storage in _extension_storages(variables, home, platform)),
        ),
        settings_directories=settings_directories,
        global_settings_files=(
            *(() if settings is None else (settings,)),
            *(each / "settings" / "global-settings.json" for each in settings_directories),
        ),
        hub_discovery_file=variables.get("CLINE_HUB_DISCOVERY_PATH", data / "locks" / "hub" / "production.json"),
    )


def editor_places(variables: Mapping[str, Path], home: Path | None, platform: str) -> tuple[EditorPlaces, ...]:
    """Every editor of VS Code's kin that there may be: on a desktop, then on a machine that one connects to.

    Args:
        variables: as for :func:`cline_places`.
        home: the user's home directory; without one there are none.
        platform: as ``sys.platform``.
    """
    if home is None:
        return ()
    of_editors = _application_data(variables, home, platform)
    found = [
        EditorPlaces(name, of_editors / user_data, home / folder / "extensions")
        for name, user_data, folder in _DESKTOP_EDITORS
    ]
    found += [
        EditorPlaces(name, home / folder / "data", home / folder / "extensions") for name, folder in _EDITOR_SERVERS
    ]
    if platform != "win32":
        code_server = variables.get("XDG_DATA_HOME", home / ".local" / "share") / "code-server"
        found.append(EditorPlaces("code-server", code_server, code_server / "extensions"))
    return tuple(found)


def jetbrains_places(variables: Mapping[str, Path], home: Path | None, platform: str) -> JetBrainsPlaces | None:
    """Where Cline for JetBrains would be, by JetBrains' own rules; None without a home directory.

    Args:
        variables: as for :func:`cline_places`.
        home: the user's home directory.
        platform: as ``sys.platform``.
    """
    if home is None:
        return None
    if platform in ("win32", "darwin"):
        return JetBrainsPlaces(_application_data(variables, home, platform) / "JetBrains", "*/plugins/[Cc]line*")
    return JetBrainsPlaces(variables.get("XDG_DATA_HOME", home / ".local" / "share") / "JetBrains", "*/[Cc]line*")


def _extension_storages(variables: Mapping[str, Path], home: Path | None, platform: str) -> Iterator[Path]:
    """Where editors let the extension of VS Code 3.x and older keep its files."""
    for editor in editor_places(variables, home, platform):
        yield editor.user_data_directory / _EXTENSION_STORAGE


def _application_data(variables: Mapping[str, Path], home: Path, platform: str) -> Path:
    """In which applications have a folder each for what the user makes with them."""
    match platform:
        case "win32":
            return variables.get("APPDATA", home / "AppData" / "Roaming")
        case "darwin":
            return home / "Library" / "Application Support"
        case _:
            return variables.get("XDG_CONFIG_HOME", home / ".config")
