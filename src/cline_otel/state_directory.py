"""The names of what stands in the state directory, which the bridge, the plugin and the commands share."""

from __future__ import annotations

from typing import Final

JOURNAL_FILE_NAME: Final = "journal.db"
SPOOL_DIRECTORY_NAME: Final = "spool"
TELEMETRY_DIRECTORY_NAME: Final = "telemetry"
OFF_FILE_NAME: Final = "off"
PSEUDONYMS_FILE_NAME: Final = "pseudonyms.json"
EDITORS_FILE_NAME: Final = "editors.json"
