"""How names that people choose are written down: as they are, or, where that would be on a disk, as the plugin does."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cline_otel.privacy.model_names import public_model_name
from cline_otel.privacy.pseudonyms import Pseudonyms

Fields = dict[str, str]
"""Fields of a record."""

_OTHER: Final = "_OTHER"


class PlainNames:
    """Names as they are, for what is decoded at once."""

    def tool(self, name: str) -> Fields:
        """The fields that name a tool."""
        return {"tool_name": name}

    def server(self, name: str) -> Fields:
        """The fields that name an MCP server."""
        return {"mcp_server": name}

    def model(self, name: str) -> str:
        """What stands for a model."""
        return name


class HiddenNames(PlainNames):
    """What is known is plain, and of all else the pseudonym, so that no name that somebody chose is written down.

    Args:
        pseudonyms: the installation's.
        built_in_tools: names of tools that are known.
    """

    def __init__(self, pseudonyms: Pseudonyms, built_in_tools: Collection[str]) -> None:
        self._pseudonyms = pseudonyms
        self._built_in_tools = frozenset(built_in_tools)

    def tool(self, name: str) -> Fields:
        """The fields that name a tool."""
        if name in self._built_in_tools:
            return {"tool_name": name}
        return {"tool_name": _OTHER, "tool_name_hash": self._pseudonyms.of("tool", name)}

    def server(self, name: str) -> Fields:
        """The fields that name an MCP server."""
        return {"mcp_server_hash": self._pseudonyms.of("mcp_server", name)}

    def model(self, name: str) -> str:
        """What stands for a model."""
        return public_model_name(name) or self._pseudonyms.custom_name("model", name)
