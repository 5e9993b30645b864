"""``cline-otel run``: the bridge in a terminal or under a service manager."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from cline_otel.bridge import Bridge, Observer, Started, run_until_signal
from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.errors import fail
from cline_otel.cli.sources import known_sources
from cline_otel.cli.stderr_log import LogFile, log_to_stderr, now
from cline_otel.consent import Consent
from cline_otel.export.interface import ExporterError
from cline_otel.findings.detection import Finding
from cline_otel.journal.lock import StateDirectoryBusyError
from cline_otel.journal.records import JournalError, JournalStatus
from cline_otel.operating_system.home import home_directory
from cline_otel.plugin.bootstrap import renew_bootstraps
from cline_otel.running import find_running
from cline_otel.service.environment import read_environment
from cline_otel.service.interface import ServiceError
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.places import known_editors
from cline_otel.settings.pseudonyms_file import PseudonymsFileError
from cline_otel.sources.interface import ReceiverRefused
from cline_otel.terminal.status import status_line
from cline_otel.version import __version__

NEVER_SENT: Final = "prompts, code, file contents, paths, arguments, error texts, personal data, keys"

_LABEL_CELLS: Final = 15
_INDENT: Final = " " * (2 + _LABEL_CELLS + 2)


def run_bridge(
    *,
    listen: str | None,
    listen_grpc: str | None,
    listening: bool,
    environment_file: Path | None,
    log_file: Path | None,
) -> None:
    """Runs until a signal; every trouble that prevents it is one line and a non-zero exit."""
    log = _opened(log_file)
    if environment_file is not None:
        try:
            os.environ.update(read_environment(environment_file))
        except SettingsError as error:
            fail(str(error), 2)
    for variable, address in (("CLINE_OTEL_BRIDGE_LISTEN", listen), ("CLINE_OTEL_BRIDGE_LISTEN_GRPC", listen_grpc)):
        if not listening or address is not None:
            os.environ[variable] = address if listening and address is not None else "none"
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error), 2)
    log_to_stderr(settings.log_level)
    try:
        observer = _TerminalObserver(settings.state_directory, log)
        bridge = Bridge(settings, observer, known_sources())
    except SettingsError as error:
        fail(str(error), 2)
    try:
        run_until_signal(bridge)
    except StateDirectoryBusyError as error:
        fail(_as_service(settings.state_directory) or str(error))
    except (
        JournalError,
        ReceiverRefused,
        ExporterError,
        CatalogueError,
        PseudonymsFileError,
    ) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be used ({error.strerror}); set CLINE_OTEL_BRIDGE_STATE_DIR")
    _say(
        f"{now()} stopped; {observer.waiting} spans and log records wait in the journal for the next start"
        if observer.waiting
        else f"{now()} stopped"
    )


def _opened(log_file: Path | None) -> LogFile | None:
    if log_file is None:
        return None
    try:
        return LogFile(log_file)
    except OSError as error:
        fail(f"{log_file}: cannot be written ({error.strerror}); check who owns its directory")


def _as_service(state_directory: Path) -> str:
    """What to say of the service that holds the state directory; empty if none does."""
    running = find_running(state_directory)
    if running is None or not running.service:
        return ""
    # Known to few starts, and this module has much in it that no start needs.
    from cline_otel.service.install import service_of_user

    try:
        stop = service_of_user(state_directory, running.service).stop_command
    except (ServiceError, KeyError):
        return ""
    return (
        f"the service runs the bridge already (pid {running.process_id}), on state directory {state_directory}: "
        f"`cline-otel status` shows what it does, `{stop}` stops it"
    )


class _TerminalObserver(Observer):
    """Writes to the terminal."""

    def __init__(self, state_directory: Path, log: LogFile | None) -> None:
        self.waiting = 0
        self._state_directory = state_directory
        self._log = log

    def started(self, started: Started) -> None:
        _say(f"cline-otel {__version__} runs; stop it with Ctrl-C.")
        self._print(started.consent.state, () if started.consent.is_on else (_without_state(started.consent),))
        self._print("reads", started.reads)
        self._print("sends", started.sends)
        for opt_in in started.opt_ins:
            line = _labelled("also sent", opt_in.text)
            _say(click.style(line, fg="red") if opt_in.is_content else line)
        if started.excluded:
            self._print("excluded", (", ".join(started.excluded),))
        self._print("never sent", (NEVER_SENT + (", except what is also sent" if started.opt_ins else ""),))
        self._print("state directory", (str(started.state_directory),))
        self._print("note", started.notices)
        self._renew_bootstraps()

    def _print(self, label: str, lines: Iterable[str]) -> None:
        for line in lines:
            _say(_for_terminal(_labelled(label, line)))

    def consent(self, consent: Consent) -> None:
        _say(f"{now()} telemetry is {consent.describe() if not consent.is_on else 'on again, from now'}")

    def found(self, finding: Finding) -> None:
        _say(f"{now()} missed: {finding.describe()}")

    def resolved(self, finding: Finding) -> None:
        _say(f"{now()} missed no more: {finding.name}")

    def stopping(self, seconds: float) -> None:
        _say(f"{now()} stopping: sends what waits, {seconds:g} s at most; again to end at once")

    def status(self, status: JournalStatus, open_runs: int) -> None:
        self.waiting = sum(signal.pending_items for signal in status.signals.values())
        _say(f"{now()} {status_line(status, open_runs)}")
        self._renew_bootstraps()
        if self._log is not None:
            self._log.trim()

    def _renew_bootstraps(self) -> None:
        """For extensions that were updated meanwhile, if the user asked for it."""
        for file in renew_bootstraps(self._state_directory, known_editors().like_vs_code):
            _say(f"{now()} the extension's new folder got the plugin's bootstrap: {file}")


def _labelled(label: str, line: str) -> str:
    return f"  {label:<{_LABEL_CELLS}}  {line}"


def _without_state(consent: Consent) -> str:
    what = (
        "nothing is read, stored or sent" if consent.state == "off" else "nothing is read or sent until that is known"
    )
    return f"{'; '.join(consent.reasons)}: {what}"


def _say(line: str) -> None:
    try:
        click.echo(line, err=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            # A file, which has room again later.
            return
        # The bridge goes on when whoever read its words is gone, as with `| head`.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process


def _for_terminal(line: str) -> str:
    """In a terminal ``line`` with short paths, broken between words; elsewhere as it is."""
    if not sys.stderr.isatty():
        return line
    home = str(home_directory() or "")
    line = line.replace(f"{home}/", "~/") if len(home) > 1 else line
    width = max(shutil.get_terminal_size().columns, 40)
    return textwrap.fill(line, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
