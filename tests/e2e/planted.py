"""Words planted where a person's secrets lie, made anew for each run, which must never leave the machine."""

from __future__ import annotations

import base64
import hashlib
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
    "mcp_tool_word": "the name of a tool of the MCP server",
    "skill_word": "the name of a skill",
    "agent_word": "the name of an agent that the user configured",
}
"""Where each word is planted, by the placeholder that stands for it."""

_TELLING_DIGEST_BYTES = 8
"""So many of a digest's first bytes are it, and not by chance."""


def plant() -> dict[str, str]:
    """A fresh word for every place: lower-case letters and digits that occur nowhere else."""
    return {name: f"x{secrets.token_hex(6)}z" for name in PLACES}


def find_planted(words: Mapping[str, str], roots: Iterable[Path]) -> list[str]:
    """One line for each planted word in the contents of a file below ``roots``: what leaked, and where.

    A word is found in any case of letters, in the usual encodings, and as a digest that anybody can make of it.
    """
    needles = {name: (_in_any_case(word), _as_it_is(word)) for name, word in words.items()}
    found = []
    for path in files_below(roots):
        content = path.read_bytes()
        lower_case = content.lower()
        for name, (in_any_case, as_it_is) in needles.items():
            if any(each in lower_case for each in in_any_case) or any(each in content for each in as_it_is):
                found.append(f"{PLACES[name]} is in {path}")
    return found


def files_below(roots: Iterable[Path]) -> Iterator[Path]:
    """Every file of the folders and files ``roots``."""
    for root in roots:
        if root.is_dir():
            yield from (path for path in sorted(root.rglob("*")) if path.is_file())
        elif root.is_file():
            yield root


def _in_any_case(word: str) -> set[bytes]:
    """Lower-case forms: plain, UTF-16, hexadecimal, escaped for JSON or a URL, and digests in hexadecimal."""
    plain = word.encode()
    return {
        plain,
        word.encode("utf-16-le"),
        word.encode("utf-16-be"),
        plain.hex().encode(),
        "".join(f"\\u{ord(character):04x}" for character in word).encode(),
        "".join(f"%{byte:02x}" for byte in plain).encode(),
        *(digest.hex().encode()[: 2 * _TELLING_DIGEST_BYTES] for digest in _digests(plain)),
    }


def _as_it_is(word: str) -> set[bytes]:
    """Forms that mean something else in another case: base64 wherever the word may begin, and digests."""
    forms = {digest[:_TELLING_DIGEST_BYTES] for digest in _digests(word.encode())}
    for bytes_before in range(3):
        # Whatever stands before and after the word shares its first and last letters with it.
        text = base64.b64encode(b"\0" * bytes_before + word.encode())
        whole = text[(0, 2, 3)[bytes_before] : (bytes_before + len(word)) * 8 // 6]
        forms |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms


def _digests(plain: bytes) -> list[bytes]:
    makers = (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.blake2b)
    return [make(plain).digest() for make in makers]
