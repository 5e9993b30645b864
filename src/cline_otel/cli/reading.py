"""What ``replay`` and ``preview`` begin with: the recordings that were named, and what the user lets leave of them."""

from __future__ import annotations

from pathlib import Path

from cline_otel.cli.errors import fail
from cline_otel.cli.sources import known_sources
from cline_otel.privacy.policy import Policy
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, present_policy
from cline_otel.sources.recording import Recording, UnreadableRecording, read_recording


def read_paths(paths: list[Path], only: str | None, *, purpose: str) -> tuple[Recording, Policy, Settings]:
    """The recordings, the user's decisions with the installation's pseudonyms, and the settings.

    What prevents it is one line.

    Args:
        paths: files and folders.
        only: the one source that counts; None for all.
        purpose: what is to be done with them, for the line that says that nothing is there.
    """
    try:
        settings = load_settings()
        installed = settings.known_state_directory
        policy = settings.policy if installed is None else present_policy(settings.policy, installed)
        recording = read_recording(paths, only, known_sources())
    except (SettingsError, UnreadableRecording) as error:
        fail(str(error), 2)
    except PseudonymsFileError as error:
        fail(str(error))
    if not recording.read:
        where = ", ".join(map(str, paths))
        if recording.explained:
            more = f" (and {len(recording.explained) - 1} more)" if len(recording.explained) > 1 else ""
            fail(f"{where}: nothing to {purpose} there: {recording.explained[0]}{more}", 2)
        fail(f"{where}: nothing to {purpose} there" + (f" for source {only}" if only else ""), 2)
    return recording, policy, settings
