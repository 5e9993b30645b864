"""What a service manager is told of the bridge, and what it must say of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import msgspec

SERVICE_NAME: Final = "cline-otel"
DESCRIPTION: Final = "cline-otel: what the Cline coding agent does, over OpenTelemetry"

MARKER: Final = "Made by cline-otel, which runs as a service by it."
"""Stands in every file that is made here: what has it not is not ours, whatever its name."""

RESTART_AFTER_SECONDS: Final = 10
"""Not sooner after a failure: what prevents a start, such as a port that is taken, seldom passes at once."""

STOP_WITHIN_SECONDS: Final = 20
"""Longer than a bridge takes to read what is left and to send what it can, which is bounded."""


class ServiceError(Exception):
    """The service cannot be installed or removed. The message is one line: what, and the remedy."""


class ServiceUser(msgspec.Struct, frozen=True):
    """Whose service it is.

    Attributes:
        home: the home directory, absolute.
        configuration: where the user's configuration is: ``XDG_CONFIG_HOME``, or ``.config`` in the home directory.
        number: the user's id; 0 where the system has none.
        name: as the system knows the user, on Windows with the domain.
    """

    home: Path
    configuration: Path
    number: int
    name: str


class ServiceCommand(msgspec.Struct, frozen=True):
    """What is run.

    Attributes:
        program: the interpreter, absolute, and its arguments up to the command of ours.
        state_directory: ours; the service's own files are in it.
    """

    program: tuple[str, ...]
    state_directory: Path

    @property
    def environment_file(self) -> Path:
        """The settings that it has."""
        return self.state_directory / "service.env"

    @property
    def log_file(self) -> Path:
        """What it reports of itself, where the service manager keeps nothing of the kind."""
        return self.state_directory / "service.log"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The whole command line."""
        return (*self.program, "run", "--environment-file", str(self.environment_file))

    @property
    def arguments_with_log(self) -> tuple[str, ...]:
        """The same, with its reports in a file."""
        return (*self.arguments, "--log-file", str(self.log_file))


class Step(msgspec.Struct, frozen=True):
    """A command of the service manager.

    Attributes:
        arguments: the program and its arguments.
        may_fail: whether it only makes sure of what may be so already.
        tries: how often it is run, a second apart, until it succeeds.
    """

    arguments: tuple[str, ...]
    may_fail: bool = False
    tries: int = 1


class ServiceManager(Protocol):
    """One of the systems that start programs and keep them running. It makes texts, and has no effect of its own."""

    name: str
    tool: str
    """The program that its commands are given to."""

    def unit_file(self, user: ServiceUser, command: ServiceCommand) -> Path:
        """Where the definition of the service is."""

    def unit(self, user: ServiceUser, command: ServiceCommand) -> bytes:
        """The definition of the service, with :data:`MARKER` in it and nothing of the settings."""

    def left_behind(self, user: ServiceUser) -> tuple[Path, ...]:
        """What enabling makes, and what is to go even if disabling cannot be asked for."""

    def enable(self, user: ServiceUser, unit_file: Path, *, is_update: bool) -> tuple[Step, ...]:
        """Starts the service now and at each login; ``is_update`` if an earlier definition may be in effect."""

    def disable(self, user: ServiceUser) -> tuple[Step, ...]:
        """Stops the service, and starts it no more. The definition is still there."""

    def after_removal(self) -> tuple[Step, ...]:
        """What is to be said once the definition is gone."""

    def advice(self, command: ServiceCommand) -> tuple[str, ...]:
        """What a user should know of it, a line each."""

    def stop_command(self, user: ServiceUser) -> str:
        """What a person types to stop it."""
