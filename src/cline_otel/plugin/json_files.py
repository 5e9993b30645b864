"""Files of others that hold a JSON object, of which nothing is certain."""

from __future__ import annotations

import json
from pathlib import Path


def json_object(file: Path) -> dict[str, object]:
    """What a file holds, or nothing where that cannot be read or is something else: the others take defaults, too."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def version_in(package: Path) -> str | None:
    """What the ``package.json`` in a directory says."""
    version = json_object(package / "package.json").get("version")
    return version if isinstance(version, str) else None
