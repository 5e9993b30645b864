"""Names of the programs that run Cline, as they call themselves, and the one that each is known by.

The plugin decides in the same way (src/cline-plugin/mapping/client_names.js); tests/plugin/client_names.json has the
one result of both.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_CLIENT_NAME: Final = 80
"""Characters; what is longer is no known client, and no pattern sees it."""

_WORD: Final = re.compile(r"[a-z0-9]+")
_FILLERS: Final = frozenset(re.findall(r"\w+", "cline for the extension plugin ide ides client insiders"))
_ALIASES: Final = {
    "vscode": "vscode",
    "vscodeinsiders": "vscode",
    "visualstudiocode": "vscode",
    "jetbrains": "jetbrains",
    "intellij": "jetbrains",
    "intellijidea": "jetbrains",
    "cli": "cli",
    "hub": "hub",
    "kanban": "kanban",
}


def known_client(name: str, values: frozenset[str]) -> str | None:
    """The listed client that a name means, whatever its case, spaces and suffixes; None for an unknown one.

    Args:
        name: as the client says it, of any length.
        values: the listed clients.
    """
    if name in values:
        return name
    if len(name) > LONGEST_CLIENT_NAME or not name.isascii():
        return None
    lower = name.lower()
    if lower in values:
        return lower
    return _ALIASES.get("".join(word for word in _WORD.findall(lower) if word not in _FILLERS))
