"""``cline-otel install --service`` and ``uninstall --service``: the bridge as a service of its user."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from cline_otel.cli.errors import fail
from cline_otel.operating_system.users import SERVICE_MANAGER
from cline_otel.plugin.install import plugin_file_of, that_load_plugins
from cline_otel.running import Running, find_running
from cline_otel.service.install import (
    Service,
    contents,
    install,
    run_steps,
    service_of_user,
    shown,
    steps_to_enable,
    uninstall,
)
from cline_otel.service.interface import RESTART_AFTER_SECONDS, ServiceError, Step
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.places import find_state_directory

_STARTS_WITHIN_SECONDS: Final = 10.0
_LOOKS_EVERY_SECONDS: Final = 0.1
_SAID: Final = {"installed": "Installed", "updated": "Updated", "unchanged": "Already there, nothing to do:"}


def install_service(manager: str | None, *, dry_run: bool) -> None:
    """Installs and starts the service, or shows what that would be.

    Args:
        manager: a service manager; None for this system's.
        dry_run: nothing is written or run.
    """
    try:
        # A setting that cannot be used is said here and now, and not where nobody looks.
        settings = load_settings()
        service = service_of_user(settings.state_directory, manager or SERVICE_MANAGER)
        if dry_run:
            _show(service)
            return
        _need_tool(service)
        by_hand = _by_hand(settings.state_directory)
        done = install(service, os.environ)
    except SettingsError as error:
        fail(str(error), 2)
    except ServiceError as error:
        fail(str(error))
    click.echo(f"{_SAID[done.outcome]} {service.unit_file}")
    click.echo(f"Its settings are in {service.command.environment_file}: {', '.join(done.carried)}")
    if done.no_longer:
        click.echo(f"note: not set here, so it has these no longer: {', '.join(done.no_longer)}")
    steps = steps_to_enable(service, is_update=done.outcome == "updated")
    try:
        run_steps(steps)
    except ServiceError as error:
        later = " && ".join(shown(step) for step in steps if not step.may_fail)
        fail(
            f"{error}; the files are written: where it works, run `{later}`; "
            "`cline-otel uninstall --service` takes them away"
        )
    _say_how_it_runs(service, settings, by_hand)


def uninstall_service(manager: str | None, *, dry_run: bool) -> None:
    """Stops the service and takes it away, or shows what that would be.

    Args:
        manager: a service manager; None for this system's.
        dry_run: nothing is removed or run.
    """
    try:
        service = service_of_user(find_state_directory(), manager or SERVICE_MANAGER)
        is_installed = service.is_installed
        disabling = service.manager.disable(service.user) if is_installed else ()
        forgetting = service.manager.after_removal() if is_installed else ()
        if dry_run:
            _show_steps((*disabling, *forgetting))
            return
        _run_if_possible(disabling)
        removed = uninstall(service)
        _run_if_possible(forgetting)
    except SettingsError as error:
        fail(str(error), 2)
    except ServiceError as error:
        fail(str(error))
    for path in removed:
        click.echo(f"Removed {path}")
    if not is_installed:
        click.echo(f"Not installed: no {service.unit_file}")


def _run_if_possible(steps: Iterable[Step]) -> None:
    """Where the service manager does not answer, nothing of it runs either, and the files go all the same."""
    try:
        run_steps(steps)
    except ServiceError as error:
        click.echo(f"note: {error}", err=True)


def _need_tool(service: Service) -> None:
    if shutil.which(service.manager.tool) is None:
        raise ServiceError(
            f"there is no {service.manager.tool} here, so no {service.manager.name}, as in most containers: "
            "have `cline-otel run` started by what starts your other programs, or use `cline-otel exec`"
        )


def _by_hand(state_directory: Path) -> Running | None:
    running = find_running(state_directory)
    return None if running is None or running.service else running


def _say_how_it_runs(service: Service, settings: Settings, by_hand: Running | None) -> None:
    if by_hand is not None:
        click.echo(
            f"note: a bridge that was started by hand runs already (process {by_hand.process_id}): when it is "
            f"stopped, the service goes on within {RESTART_AFTER_SECONDS} s or a little later"
        )
    elif (running := _started(settings.state_directory)) is not None:
        click.echo(f"It runs, as process {running.process_id}.")
    else:
        click.echo(f"note: it does not run after {_STARTS_WITHIN_SECONDS:g} s; what it reports says why")
    for line in service.manager.advice(service.command):
        click.echo(line)
    click.echo(f"To stop it until the next login: {service.stop_command}")
    if settings.sdk_disabled:
        click.echo("note: OTEL_SDK_DISABLED is set: the service will read, store and send nothing")
    if not all(plugin_file_of(each).exists() for each in that_load_plugins(settings.installations)):
        click.echo("Next: cline-otel install, for the plugin")


def _started(state_directory: Path) -> Running | None:
    until = time.monotonic() + _STARTS_WITHIN_SECONDS
    while True:
        running = find_running(state_directory)
        if running is not None or time.monotonic() > until:
            return running
        time.sleep(_LOOKS_EVERY_SECONDS)


def _show(service: Service) -> None:
    unit, variables = contents(service, os.environ)
    encoding = "utf-16" if unit.startswith(b"\xff\xfe") else "utf-8"
    click.echo(f"{service.unit_file}:\n")
    click.echo(unit.decode(encoding, "replace"))
    click.echo(f"{service.command.environment_file}, for you alone, with the values of:\n")
    click.echo("".join(f"{name}\n" for name in variables))
    _show_steps(steps_to_enable(service, is_update=False))


def _show_steps(steps: Iterable[Step]) -> None:
    click.echo("Commands:\n")
    for step in steps:
        click.echo(f"{shown(step)}{'  (may fail)' if step.may_fail else ''}")
