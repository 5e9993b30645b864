"""Pseudonyms: keyed hashes that distinguish names and reveal none.

HMAC-SHA-256 with a key of the installation's own. Without the key nobody can try names against them, and
those of two installations cannot be matched.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, Literal

PseudonymKind = Literal[
    "tool",
    "skill",
    "team",
    "mcp_server",
    "user",
    "device",
    "organization",
    "repository",
    "id",
    "model",
    "client",
    "ci_pipeline",
    "ci_job",
]
"""What is named. Equal names of two kinds have different pseudonyms."""

PSEUDONYM_DIGITS: Final = 32
PSEUDONYM: Final = re.compile(f"[0-9a-f]{{{PSEUDONYM_DIGITS}}}")
_CUSTOM_DIGITS: Final = 12
CUSTOM_NAME: Final = re.compile(f"custom-[0-9a-f]{{{_CUSTOM_DIGITS}}}")
"""What stands for a name that somebody chose where the known ones are in the clear: of models and clients."""
KEY_BYTES: Final = 32

GENERATED_ID: Final = re.compile(
    r"(?:(?:agent|run|conv|session|subagent|teammate|task)_)?1[6-9][0-9]{11}"  # with the time
    r"(?:_[a-z0-9]{4,8}(?:c[0-9]{1,3})?)?"
    r"|(?:run|msg)_[A-Za-z0-9_-](?=[a-z_-]*[A-Z0-9])[A-Za-z0-9_-]{7}"  # Cline's runs and messages; a word is none
    r"|msg_[k-p][a-z0-9]{7}_[a-z0-9]{1,5}"  # prompts in editors, with the time
    r"|[0-9A-HJKMNP-TV-Z]{26}"  # ULID: classic Cline's tasks
    r"|(?:error_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # UUID, also of what stands for an answer that failed
    r"|[0-9a-f]{32}"  # a UUID without dashes, or a pseudonym
)
"""Ids that a machine made up (captures). Whoever embeds Cline may choose others, and then they are names. What is drawn
by lot is hardly ever a word: the one in some hundred that is takes a pseudonym as well, the same from each source."""

_ONE_PROVIDER_ID: Final = (
    r"(?:(?:call|fc|toolu|toolu_bdrk|tooluse|srvtoolu|msg|msg_bdrk|resp|rs|req|gen|chatcmpl|chatcmpl-tool|cmpl)"
    r"[_-](?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]?[a-z]{5,}(?![A-Za-z0-9]))"
    r"(?!(?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}[_-](?:[A-Za-z0-9]*[_-]){0,9}[A-Za-z]{3,}(?![A-Za-z0-9]))"
    r"(?=[A-Za-z_-]*[0-9]|[A-Za-z]{1,2}(?![A-Za-z0-9_-]))[A-Za-z0-9_-]{1,72}"  # no word, nor two beside digits
    r"|[a-z]{2,12}-0[0-9]{3,7})"  # a counter
)
PROVIDER_ID: Final = re.compile(rf"{_ONE_PROVIDER_ID}(?:\|{_ONE_PROVIDER_ID})?")
"""Ids of answers and calls as those who serve models make them; two in one, as OpenAI's responses have them. Their
form says little, so a key could have it, and words are names."""


class Pseudonyms:
    """Makes the pseudonyms of one installation."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        """``key``: the installation's secret, ``KEY_BYTES`` bytes."""
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._key = key

    def __eq__(self, other: object) -> bool:
        """Equal keys make equal pseudonyms."""
        return isinstance(other, Pseudonyms) and hmac.compare_digest(self._key, other._key)

    def __hash__(self) -> int:
        """As equal ones have it."""
        return hash(self._key)

    def of(self, kind: PseudonymKind, value: str) -> str:
        """The pseudonym of a name: 32 hex digits, always the same under one key."""
        message = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:PSEUDONYM_DIGITS]

    def custom_name(self, kind: PseudonymKind, value: str) -> str:
        """What stands for a name among known ones: ``custom-`` and the first 12 digits of its pseudonym."""
        return f"custom-{self.of(kind, value)[:_CUSTOM_DIGITS]}"
