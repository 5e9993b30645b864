"""The file with the settings of a service: lines ``NAME=value``, for its user alone, because values may be secrets.

A value is what stands after the first ``=``, to the end of its line, with no quotes and no escapes: the form that
container engines take with ``--env-file``. Empty lines and those that begin with ``#`` say nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cline_otel.service.interface import MARKER, ServiceError
from cline_otel.settings.places import path_of
from cline_otel.settings.secret_files import read_secret_file
from cline_otel.settings.values import SettingsError
from cline_otel.settings.variables import STANDARD_PREFIX

SERVICE_VARIABLE: Final = "CLINE_OTEL_SERVICE"
STATE_DIRECTORY_VARIABLE: Final = "CLINE_OTEL_BRIDGE_STATE_DIR"

_OF_ONE_PROCESS: Final = frozenset(
    {
        "CLINE_OTEL_EXEC_ID",
        "CLINE_OTEL_TRACEPARENT_AS",
        "CLINE_OTEL_TRACEPARENT_TO_COMMANDS",
        "CLINE_OTEL_TRACE_URL",
        "CLINE_PLUGIN_IDLE_TIMEOUT_MS",
        "CLINE_PLUGIN_IMPORT_TIMEOUT_MS",
        "COLUMNS",
        "GITHUB_STEP_SUMMARY",
        "NO_COLOR",
        "PATH",
        "TRACEPARENT",
    }
)
"""Of a command, of Cline or of a terminal, and nothing to a bridge."""

_OF_LIBRARIES: Final = frozenset({"GRPC_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"})
_PATHS: Final = frozenset({"a path", "a directory", "a PEM file"})
_LISTS_OF_PATHS: Final = "directories, separated by"
"""What variables take, in the words of their models."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_BYTES: Final = 1024 * 1024


def service_variables(environment: Mapping[str, str], state_directory: Path, manager: str) -> dict[str, str]:
    """Of the variables of a shell, those that the bridge goes by, so that the service does as a bridge there would.

    Args:
        environment: the shell's. Paths in it that are relative, or begin with ``~``, become whole ones.
        state_directory: which one it is, whatever the service's own environment says.
        manager: the service manager, by its name.

    Raises:
        ServiceError: a value does not fit into a line.
        SettingsError: a path begins with a home directory that there is none of.
    """
    from cline_otel.settings.reference import variables

    taken = {each.name: each.takes for each in variables() if each.name not in _OF_ONE_PROCESS}
    found: dict[str, str] = {}
    for name in sorted(environment):
        value = environment[name]
        is_ours = name.upper() in taken.keys() | _OF_LIBRARIES or name.startswith(STANDARD_PREFIX)
        if not is_ours or not value:
            continue
        if "\n" in value or "\r" in value:
            raise ServiceError(f"{name}: its value has several lines, and a service's settings have one each: unset it")
        found[name] = _whole(name, value, taken.get(name.upper(), ""))
    return found | {STATE_DIRECTORY_VARIABLE: str(state_directory), SERVICE_VARIABLE: manager}


def _whole(name: str, value: str, takes: str) -> str:
    if takes in _PATHS:
        return str(path_of(value, name) or value)
    if takes.startswith(_LISTS_OF_PATHS):
        return os.pathsep.join(str(path_of(each, name)) for each in value.split(os.pathsep) if each.strip())
    return value


def environment_text(found: Mapping[str, str]) -> bytes:
    """The file's content."""
    lines = [f"# {MARKER} It holds what the shell had that installed it.", *(f"{k}={v}" for k, v in found.items())]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def read_environment(file: Path) -> dict[str, str]:
    """The variables in a file.

    Raises:
        SettingsError: it cannot be read, others may use it, or a line of it is none of these.
    """
    content = read_secret_file(
        file,
        _LARGEST_BYTES,
        not_regular=f"{file}: is not a regular file: name one with lines NAME=value",
        open_to_others=f"{file}: others may use it, and it may hold secrets: `chmod 600` it",
        unreadable=lambda reason: f"{file}: cannot be read ({reason}): name a file with lines NAME=value",
    )
    return parse_environment(content.decode("utf-8", "surrogateescape"), file)


def parse_environment(text: str, file: Path) -> dict[str, str]:
    """The variables in a text.

    Args:
        text: the whole of it.
        file: where it stands, for a message.

    Raises:
        SettingsError: a line of it is none of these.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, value = line.partition("=")
        if not separator or not _NAME.fullmatch(name) or "\0" in value:
            raise SettingsError(f"{file}: line {number} is not NAME=value: mend it or take it out")
        values[name] = value
    return values
