"""Where telemetry is to be switched off: everything of ours that the user has, whatever this shell's variables say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cline_otel.consent import OffFile
from cline_otel.plugin.install import InstalledPlugin, installed_plugins
from cline_otel.running import Running, all_running, find_running
from cline_otel.settings import SettingsError
from cline_otel.settings.places import known_installations
from cline_otel.state_directory import OFF_FILE_NAME
from cline_otel.user_directory import registered, user_off_file


class OffPlaces:
    """What is to be switched off, as found at one time.

    Attributes:
        of_user: the switch that everything of ours obeys; None without a home directory.
        states: every state directory, this shell's first.
        plugins: every plugin.
    """

    def __init__(self, state_directory: Path) -> None:
        """Looks. ``state_directory`` is the one that this shell names."""
        of_user = user_off_file()
        self.of_user = None if of_user is None else OffFile(of_user)
        self.plugins: list[InstalledPlugin] = []
        with suppress(SettingsError):
            self.plugins = installed_plugins(known_installations())
        beside_plugins = [each.off_files[0].parent for each in self.plugins if each.off_files]
        of_bridges = [Path(each.state_directory) for each in all_running() if each.state_directory]
        others = [each for each in (*registered("states"), *beside_plugins, *of_bridges) if each.is_dir()]
        self.states = list(dict.fromkeys((state_directory, *others)))

    def off_files(self) -> Iterator[OffFile]:
        """Each file that is to be there for it to be off, the user's first."""
        of_user = [] if self.of_user is None else [self.of_user.path]
        of_states = [each / OFF_FILE_NAME for each in self.states]
        return map(OffFile, dict.fromkeys((*of_user, *of_states, *self._of_plugins())))

    def _of_plugins(self) -> list[Path]:
        """Of plugins whose state directory is gone, and which know no other."""
        user = None if self.of_user is None else self.of_user.path
        return [each.off_files[0] for each in self.plugins if each.off_files and user not in each.off_files]

    def are_off(self) -> list[Path]:
        """Where there is an ``off`` now."""
        return [each.path for each in self.off_files() if each.exists and each.is_known]


def unconfirmed_plugins(plugins: list[InstalledPlugin]) -> list[str]:
    """Those that nothing switches off, for people."""
    return [
        f"the plugin {each.file} looks for {' and '.join(map(str, each.off_files)) or 'no file'}, which is not there"
        for each in plugins
        if not any(OffFile(file).exists for file in each.off_files)
    ]


def bridges(state_directory: Path) -> list[Running]:
    """All that runs, on this shell's state directory too where it could not announce itself to the user."""
    found = all_running()
    here = find_running(state_directory)
    if here is not None and here.process_id not in {each.process_id for each in found}:
        found.append(here)
    return found
