"""What ``exec`` and ``pipe`` say of what Cline did beside them: traces on stderr, and GitHub's step summary."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

import click

from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.beside import Beside
from cline_otel.cli.consent import consent_now
from cline_otel.cli.sources import known_sources
from cline_otel.cli.stderr_log import log_to_stderr
from cline_otel.defects import described
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.ci_jobs import job_attributes
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, installed_policy, present_policy
from cline_otel.settings.variables import COMMAND_PREFIX, CommandVariables
from cline_otel.sources.interface import StreamReader
from cline_otel.terminal.step_summary import Work, url_of

_MOST_TRACES: Final = 20


class CommandReport:
    """Collects what Cline does from now on."""

    def __init__(self) -> None:
        self._work = Work(time.time_ns())
        self._trace_url: str | None = None
        self._is_off = False
        self._settings: Settings | None = None

    def stream_readers(self) -> list[StreamReader]:
        """What reads a stream that goes through; nothing while telemetry is off, or where no bridge can be."""
        if self._settings is None or self._is_off:
            return []
        try:
            policy = installed_policy(self._settings.policy, self._settings.state_directory)
            return known_sources().stream_readers(self._settings.places, policy)
        except (PseudonymsFileError, CatalogueError, SettingsError) as error:
            say(f"the stream is not read: {error}")
            return []

    def bridge(self) -> Beside | None:
        """A bridge beside the command, which tells of it; None where none can be, for a reason that is said.

        While telemetry is off the bridge passes over what the command leaves, so that no later one reports it.
        """
        # The command line, and what embeds Cline's SDK, send nothing to a port of ours unless they are told to.
        os.environ.setdefault("CLINE_OTEL_BRIDGE_LISTEN", "none")
        try:
            settings = load_settings()
            self._trace_url = CommandVariables.read(COMMAND_PREFIX).trace_url
            consent = consent_now(settings)
            self._is_off = consent.state == "off"
            if not consent.is_on:
                say(f"telemetry is {consent.describe()}")
            job = job_attributes(os.environ, present_policy(settings.policy, settings.state_directory))
            log_to_stderr("WARNING")
            self._settings = settings
            return Beside(settings, job, self._work.add, say)
        except (SettingsError, PseudonymsFileError) as error:
            say(f"nothing is reported: {error}")
        except Exception as error:
            say(f"nothing is reported: a defect in cline-otel, {described(error)}")
        return None

    def finish(self, exit_code: int, duration_ns: int) -> None:
        """Says what was collected; nothing while telemetry is off."""
        if self._is_off:
            return
        trace_ids = self._work.trace_ids
        for trace_id in trace_ids[:_MOST_TRACES]:
            say(f"trace {trace_id}" + (f" {url_of(trace_id, self._trace_url)}" if self._trace_url else ""))
        if not trace_ids:
            say("no prompt was reported")
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path:
            try:
                with Path(path).open("a", encoding="utf-8") as file:
                    file.write(self._work.markdown(exit_code, duration_ns, self._trace_url))
            except OSError as error:
                say(f"GITHUB_STEP_SUMMARY: cannot be written ({error.strerror})")


def say(line: str) -> None:
    """One line on stderr, for people; nobody needs to read it."""
    try:
        click.echo(f"cline-otel: {line}", err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process
