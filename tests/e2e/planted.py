"""Words planted where a person's secrets lie, made anew for each run, which must never leave the machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PLACES: Mapping[str, str] = {
    "prompt_word": "the prompt, tool arguments, tool outputs and what the model said",
    "file_word": "the contents of the workspace's files",
    "path_word": "the name of the workspace's folder",
    "home_word": "the name of the home folder",
    "git_word": "the password in the git remote's URL",
    "branch_word": "the git branch",
    "person_word": "the git author's name and address",
    "key_word": "the model provider's API key",
    "error_word": "the error texts of the model server",
    "server_word": "the name of the MCP server",
    "team_word": "the team's name",
    "teammate_word": "a teammate's name",
    "host_word": "the host's name",
    "tool_word": "the name of a tool that does not exist",
}
"""Where each word is planted, by the placeholder that stands for it."""

NAMES = frozenset({"server_word", "tool_word"})
"""Words planted in names of tools, which the plugin's spool holds and the bridge drops before its journal."""


def plant() -> dict[str, str]:
    """A fresh word for every place: lower-case letters and digits that occur nowhere else."""
    return {name: f"x{secrets.token_hex(6)}z" for name in PLACES}


def find_planted(words: Mapping[str, str], roots: Iterable[Path]) -> list[str]:
    """One line for each planted word in the contents of a file below ``roots``: what leaked, and where."""
    needles = {name: word.encode() for name, word in words.items()}
    return [
        f"{PLACES[name]} is in {path}"
        for path in _files(roots)
        for name, needle in needles.items()
        if needle in path.read_bytes().lower()
    ]


def _files(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_dir():
            yield from (path for path in sorted(root.rglob("*")) if path.is_file())
        elif root.is_file():
            yield root
