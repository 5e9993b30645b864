"""Where Cline writes its log, and what becomes of that file.

Cline 3.x writes JSON lines with O_APPEND from every CLI process at once. It never renames the file;
it truncates it in place: each process when it starts and the file was not written to for two days,
and again every two days while it lives, whatever is in the file then. (Read in the Cline repository
at commit 21cb8d25, ``apps/cli/src/logging/adapter.ts`` and ``sdk/packages/shared/src/storage/paths.ts``.)
So truncation is the case that happens; renaming is done by a user's logrotate only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

_LOG_NAME = "cline.log"


def cline_log_path(environment: Mapping[str, str], cline_directory: Path | None = None) -> Path:
    """The file Cline logs to: CLINE_LOG_PATH, else ``logs/cline.log`` in Cline's data directory.

    Args:
        environment: the variables Cline runs with; blank ones count as unset, as Cline has it.
        cline_directory: takes the place of CLINE_DIR and CLINE_DATA_DIR, for example from the command line.
    """
    moved = environment.get("CLINE_LOG_PATH", "").strip()
    if moved:
        return Path(moved)
    if cline_directory is not None:
        return cline_directory / "data" / "logs" / _LOG_NAME
    data = environment.get("CLINE_DATA_DIR", "").strip()
    if data:
        return Path(data) / "logs" / _LOG_NAME
    chosen = environment.get("CLINE_DIR", "").strip()
    base = Path(chosen) if chosen else Path(environment.get("HOME", "").strip() or Path.home()) / ".cline"
    return base / "data" / "logs" / _LOG_NAME
