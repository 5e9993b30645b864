"""What the opt-out sources say, from the environment and from files that are looked at again and again.

Where Cline keeps its settings (Cline's sources: ``resolveGlobalSettingsPath``, ``createStorageContext``):
``telemetryOptOut`` in ``global-settings.json``, which the command line, the hub, apps on the SDK and
VS Code from 4.x on share; ``telemetrySetting`` in ``globalState.json``, which the classic command line
(2.x) and VS Code keep. A classic extension before that kept it in the editor's own database, which is not
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from cline_otel.consent.decision import Answer, OptOutSource
from cline_otel.consent.off_file import OffFile
from cline_otel.settings.load import Settings
from cline_otel.settings.remote_config import RemoteConfigs
from cline_otel.settings.watched_file import WatchedFile
from cline_otel.state_directory import OFF_FILE_NAME
from cline_otel.user_directory import user_off_file

_NOT_SET: Final = frozenset({"", "0", "false"})
"""Values with which a variable says nothing (consoledonottrack.com: any other value opts out)."""


class OptOutSources:
    """Everything that may switch telemetry off.

    Attributes:
        off_file: the user's own switch.
        remote_configs: what the organization says.
    """

    def __init__(
        self,
        off_file: OffFile,
        global_settings: Iterable[Path],
        global_states: Iterable[Path],
        remote_configs: RemoteConfigs,
        environment: Mapping[str, str],
        further_off_files: Iterable[Path] = (),
    ) -> None:
        """Nothing is looked at before :meth:`look`. The environment of a process does not change, so it is read now."""
        self.off_file = off_file
        self.remote_configs = remote_configs
        self._off_files = (off_file, *map(OffFile, further_off_files))
        self._global_settings = [_Said(path, _opt_out) for path in dict.fromkeys(global_settings)]
        self._global_states = [_Said(path, _telemetry_setting) for path in dict.fromkeys(global_states)]
        self._fixed = {
            OptOutSource.DO_NOT_TRACK: _said_by(environment.get("DO_NOT_TRACK", "")),
            OptOutSource.SDK_DISABLED: _said_by(environment.get("OTEL_SDK_DISABLED", "")),
        }

    def look(self) -> dict[OptOutSource, Answer]:
        """What each source says now. Costs a stat a file where nothing changed."""
        return {
            **self._fixed,
            OptOutSource.OFF_FILE: _strictest(map(_switched_off, self._off_files)),
            OptOutSource.CLINE_OPT_OUT: _strictest(said.look() for said in self._global_settings),
            OptOutSource.CLINE_TELEMETRY_SETTING: _strictest(said.look() for said in self._global_states),
            OptOutSource.ORGANIZATION: self._organization(),
        }

    @property
    def is_switched_off(self) -> bool:
        """Whether the user's own switch is off, or was when it was last known."""
        return any(file.exists for file in self._off_files)

    def _organization(self) -> Answer:
        self.remote_configs.look()
        if self.remote_configs.telemetry_enabled is False:
            return Answer.OFF
        if not self.remote_configs.is_known:
            return Answer.UNKNOWN
        return Answer.ON if self.remote_configs.telemetry_enabled else Answer.SILENT


def opt_out_sources_of(settings: Settings, environment: Mapping[str, str]) -> OptOutSources:
    """The opt-out sources of all that is read. Where Cline may use one of several files, each of them counts.

    ``environment`` has ``DO_NOT_TRACK`` and ``OTEL_SDK_DISABLED``.

    Raises:
        SettingsError: a place is not known for want of a home directory.
    """
    installations = settings.installations
    return OptOutSources(
        OffFile(settings.state_directory / OFF_FILE_NAME),
        [file for each in installations for file in each.global_settings_files],
        [file for each in installations for file in each.global_state_files],
        settings.remote_configs(),
        environment,
        (*settings.further_off_files, *(() if (of_user := user_off_file()) is None else (of_user,))),
    )


def _said_by(value: str) -> Answer:
    return Answer.SILENT if value.strip().lower() in _NOT_SET else Answer.OFF


def _switched_off(file: OffFile) -> Answer:
    if not file.exists:
        return Answer.SILENT
    return Answer.OFF if file.is_known else Answer.UNKNOWN


class _Said:
    """What one file of settings last said. What cannot be read, a value of a wrong type too, changes nothing of it."""

    def __init__(self, path: Path, meaning: Callable[[Mapping[str, object]], Answer]) -> None:
        """``meaning`` gives what the fields say; UNKNOWN where they cannot be understood."""
        self._file = WatchedFile(path)
        self._meaning = meaning
        self._answer = Answer.UNKNOWN

    def look(self) -> Answer:
        self._file.look()
        answer = self._meaning(self._file.fields) if self._file.is_known else Answer.UNKNOWN
        if answer is not Answer.UNKNOWN:
            self._answer = answer
        return self._answer


def _opt_out(fields: Mapping[str, object]) -> Answer:
    value = fields.get("telemetryOptOut")
    if value is None:
        return Answer.SILENT
    return (Answer.OFF if value else Answer.ON) if isinstance(value, bool) else Answer.UNKNOWN


def _telemetry_setting(fields: Mapping[str, object]) -> Answer:
    value = fields.get("telemetrySetting")
    # Older builds kept a boolean (Cline's sources: ``normalizeLegacyTelemetrySetting``).
    if isinstance(value, bool):
        return Answer.ON if value else Answer.OFF
    if value is not None and not isinstance(value, str):
        return Answer.UNKNOWN
    return {"enabled": Answer.ON, "disabled": Answer.OFF}.get(value or "", Answer.SILENT)


def _strictest(answers: Iterable[Answer]) -> Answer:
    said = set(answers)
    return next((answer for answer in (Answer.OFF, Answer.UNKNOWN, Answer.ON) if answer in said), Answer.SILENT)
