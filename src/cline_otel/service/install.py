"""Puts the files of the service in place and has the service manager start it, and takes all of it away again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from cline_otel.operating_system.files import replace
from cline_otel.operating_system.home import home_directory
from cline_otel.operating_system.users import SERVICE_MANAGER, user_name, user_number
from cline_otel.own_files import read_own
from cline_otel.private_files import private_directory, written_beside
from cline_otel.service.environment import environment_text, parse_environment, service_variables
from cline_otel.service.interface import (
    MARKER,
    ServiceCommand,
    ServiceError,
    ServiceManager,
    ServiceUser,
    Step,
)
from cline_otel.service.launchd import Launchd
from cline_otel.service.systemd import Systemd
from cline_otel.service.task_scheduler import TaskScheduler
from cline_otel.settings.values import SettingsError

MANAGERS: Final[dict[str, ServiceManager]] = {each.name: each for each in (Systemd(), Launchd(), TaskScheduler())}

_COMMAND_SECONDS: Final = 60.0


class Service(msgspec.Struct, frozen=True):
    """The service of a user, whether or not it is installed.

    Attributes:
        manager: what starts it.
        user: whose it is.
        command: what is started.
    """

    manager: ServiceManager
    user: ServiceUser
    command: ServiceCommand

    @property
    def unit_file(self) -> Path:
        """Where its definition is."""
        return self.manager.unit_file(self.user, self.command)

    @property
    def is_installed(self) -> bool:
        """Whether a definition of ours is there.

        Raises:
            ServiceError: there is another one.
        """
        return _read_own(self.unit_file) is not None

    @property
    def installed_file(self) -> Path | None:
        """Its definition, if it is there and ours."""
        try:
            return self.unit_file if self.is_installed else None
        except ServiceError:
            return None

    @property
    def stop_command(self) -> str:
        """What a person types to stop it."""
        return self.manager.stop_command(self.user)


class Installed(msgspec.Struct, frozen=True):
    """What ``install`` did.

    Attributes:
        outcome: ``unchanged`` if definition and settings were the same before.
        carried: the variables that the service has.
        no_longer: variables that it had before.
    """

    outcome: Literal["installed", "updated", "unchanged"]
    carried: tuple[str, ...]
    no_longer: tuple[str, ...]


def service_of_user(state_directory: Path, manager: str = SERVICE_MANAGER) -> Service:
    """The service of the user that this process belongs to, with the interpreter that it runs.

    Raises:
        ServiceError: there is no home directory.
    """
    home = home_directory()
    if home is None:
        raise ServiceError("there is no home directory, and a service is a user's: set HOME")
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    # "All paths must be absolute": XDG Base Directory Specification.
    configuration = Path(configured) if Path(configured).is_absolute() else home / ".config"
    user = ServiceUser(home, configuration, user_number(), user_name())
    # Where it starts, and what else is there, must not decide which modules are found.
    command = ServiceCommand((sys.executable, "-P", "-m", "cline_otel"), state_directory.expanduser().absolute())
    return Service(MANAGERS[manager], user, command)


def contents(service: Service, environment: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """The definition that the service has, and its variables.

    Raises:
        ServiceError: a value or a path does not fit into a line.
        SettingsError: a path begins with a home directory that there is none of.
    """
    for argument in service.command.arguments_with_log:
        if any(each in argument for each in "\n\r"):
            raise ServiceError(f"{argument!r}: a service's paths have one line each: choose another one")
    unit = service.manager.unit(service.user, service.command)
    return unit, service_variables(environment, service.command.state_directory, service.manager.name)


def steps_to_enable(service: Service, *, is_update: bool) -> tuple[Step, ...]:
    """What is said to the service manager once the files are there."""
    return service.manager.enable(service.user, service.unit_file, is_update=is_update)


def install(service: Service, environment: Mapping[str, str]) -> Installed:
    """Writes the definition and the settings; the service manager is not told yet. Doing it twice changes nothing.

    Raises:
        ServiceError: a file of that name is not ours, or cannot be written.
        SettingsError: a path begins with a home directory that there is none of.
    """
    unit, variables = contents(service, environment)
    files = {service.unit_file: unit, service.command.environment_file: environment_text(variables)}
    before = {path: _read_own(path) for path in files}
    for path, content in files.items():
        if before[path] != content:
            _write(path, content, is_private=path == service.command.environment_file)
    names_before: Iterable[str] = ()
    with suppress(SettingsError):
        settings_before = before[service.command.environment_file] or b""
        names_before = parse_environment(settings_before.decode("utf-8", "replace"), service.command.environment_file)
    return Installed(
        "unchanged" if before == files else "installed" if before[service.unit_file] is None else "updated",
        tuple(variables),
        tuple(name for name in names_before if name not in variables),
    )


def uninstall(service: Service) -> tuple[Path, ...]:
    """Takes away what :func:`install` and the service itself wrote; gives what was there.

    Raises:
        ServiceError: a definition of that name is not ours, or cannot be removed.
    """
    command = service.command
    _read_own(service.unit_file)
    own = (service.unit_file, command.environment_file, command.log_file, older_log(command.log_file))
    removed: list[Path] = []
    for path in (*service.manager.left_behind(service.user), *own):
        if not (path.exists() or path.is_symlink()):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ServiceError(f"{path}: cannot be removed ({error.strerror}); remove it by hand") from error
        removed.append(path)
    return tuple(removed)


def older_log(log_file: Path) -> Path:
    """Where what was in a log before goes when it has grown."""
    return log_file.with_name(f"{log_file.name}.1")


def run_steps(steps: Iterable[Step]) -> None:
    """Runs commands of the service manager, one after the other.

    Raises:
        ServiceError: one failed that must not; it says which.
    """
    for step in steps:
        reason = ""
        for again in range(step.tries):
            if again:
                time.sleep(1)
            reason = _reason_of_failure(step.arguments)
            if not reason:
                break
        if reason and not step.may_fail:
            raise ServiceError(f"`{shown(step)}` failed: {reason}")


def shown(step: Step) -> str:
    """The command as a person types it."""
    return subprocess.list2cmdline(step.arguments)


def _reason_of_failure(arguments: tuple[str, ...]) -> str:
    """Why a command failed, in one line; empty if it did not."""
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed program, and arguments of ours
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except OSError as error:
        return error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return f"no answer within {_COMMAND_SECONDS:g} s"
    if not answer.returncode:
        return ""
    said = " ".join((answer.stderr or answer.stdout).decode("utf-8", "replace").split())
    return said or f"exit code {answer.returncode}"


def _read_own(path: Path) -> bytes | None:
    return read_own(path, _is_ours, ServiceError)


def _is_ours(content: bytes) -> bool:
    return MARKER.encode() in content or MARKER.encode("utf-16-le") in content


def _write(path: Path, content: bytes, *, is_private: bool) -> None:
    try:
        if is_private:
            private_directory(path.parent)
        else:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with written_beside(path, content) as temporary:
            replace(temporary, path)
    except OSError as error:
        raise ServiceError(f"{path}: cannot be written ({error.strerror}); check who owns its directory") from error
