"""A task of Windows' Task Scheduler, at the user's logon. The form is that of Microsoft's schema of tasks, version 1.2.

Never run on Windows. A task that is ended is ended hard: what was committed is kept, what can be sent is sent at the
next start.
"""

from __future__ import annotations

import subprocess
from pathlib import Path, PureWindowsPath
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from cline_otel.service.interface import DESCRIPTION, MARKER, SERVICE_NAME, ServiceCommand, ServiceUser, Step

_NAMESPACE: Final = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_RESTART_INTERVAL: Final = "PT1M"
"""The shortest that the schema allows."""

_MOST_RESTARTS: Final = "255"
_WITHOUT_LIMIT: Final = "PT0S"


class TaskScheduler:
    """Task Scheduler, as the manager of one user's tasks."""

    name = "task-scheduler"
    tool = "schtasks"

    def unit_file(self, user: ServiceUser, command: ServiceCommand) -> Path:
        """Beside the other files of the service; Task Scheduler keeps a definition of its own."""
        return command.state_directory / "service.xml"

    def unit(self, user: ServiceUser, command: ServiceCommand) -> bytes:
        """A task with the user's own rights, without a window."""
        task = Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
        _add(task, "RegistrationInfo", {"Description": f"{DESCRIPTION}. {MARKER}"})
        triggers = SubElement(task, "Triggers")
        _add(triggers, "LogonTrigger", {"Enabled": "true", "UserId": user.name})
        principals = SubElement(task, "Principals")
        principal = _add(
            principals,
            "Principal",
            {"UserId": user.name, "LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"},
        )
        principal.set("id", "User")
        settings = _add(
            task,
            "Settings",
            {
                "MultipleInstancesPolicy": "IgnoreNew",
                "DisallowStartIfOnBatteries": "false",
                "StopIfGoingOnBatteries": "false",
                "AllowHardTerminate": "true",
                "StartWhenAvailable": "true",
                "AllowStartOnDemand": "true",
                "Enabled": "true",
                "Hidden": "false",
                "ExecutionTimeLimit": _WITHOUT_LIMIT,
                "Priority": "7",
            },
        )
        _add(settings, "RestartOnFailure", {"Interval": _RESTART_INTERVAL, "Count": _MOST_RESTARTS})
        actions = SubElement(task, "Actions", {"Context": "User"})
        program, *arguments = command.arguments_with_log
        _add(actions, "Exec", {"Command": _without_window(program), "Arguments": subprocess.list2cmdline(arguments)})
        text = f'<?xml version="1.0" encoding="UTF-16"?>\n{tostring(task, encoding="unicode")}\n'
        return b"\xff\xfe" + text.encode("utf-16-le")

    def left_behind(self, user: ServiceUser) -> tuple[Path, ...]:
        """Nothing in files."""
        return ()

    def enable(self, user: ServiceUser, unit_file: Path, *, is_update: bool) -> tuple[Step, ...]:
        """Ends a task of an earlier definition, and has the new one instead."""
        ended = (Step(("schtasks", "/End", "/TN", SERVICE_NAME), may_fail=True),) if is_update else ()
        return (
            *ended,
            Step(("schtasks", "/Create", "/TN", SERVICE_NAME, "/XML", str(unit_file), "/F")),
            Step(("schtasks", "/Run", "/TN", SERVICE_NAME)),
        )

    def disable(self, user: ServiceUser) -> tuple[Step, ...]:
        """Ends it, and has it no more."""
        return (
            Step(("schtasks", "/End", "/TN", SERVICE_NAME), may_fail=True),
            Step(("schtasks", "/Delete", "/TN", SERVICE_NAME, "/F"), may_fail=True),
        )

    def after_removal(self) -> tuple[Step, ...]:
        """Nothing."""
        return ()

    def advice(self, command: ServiceCommand) -> tuple[str, ...]:
        """Where its reports are, and how long it runs."""
        return (f"What it reports: {command.log_file}", "It runs while you are logged on.")

    def stop_command(self, user: ServiceUser) -> str:
        """Until the next logon."""
        return f"schtasks /End /TN {SERVICE_NAME}"


def _add(parent: Element, name: str, texts: dict[str, str]) -> Element:
    """An element with elements of text in it, in the order that the schema asks for."""
    element = SubElement(parent, name)
    for child, text in texts.items():
        SubElement(element, child).text = text
    return element


def _without_window(program: str) -> str:
    """The interpreter that opens no console, where it is beside the one that does."""
    quiet = PureWindowsPath(program).with_name("pythonw.exe")
    return str(quiet) if PureWindowsPath(program).name.lower() == "python.exe" and Path(quiet).exists() else program
