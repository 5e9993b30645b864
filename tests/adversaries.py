"""Texts that make a pattern work the longer the longer they are: repeats of what patterns begin with and never end."""

from __future__ import annotations

from typing import Final

PIECES: Final = (
    "a.aa:", "a/", "a.", "ab-", "a1", "1", "1.", "::", "1:", "a:", "arn:", "/publishers/", "/models/", "projects/", " ",
    "a ", "@a.", "://", "sk-", "eyJa.", "'/", "%", "2025-01-01", "1b", "custom-", "A1a", "-", "_", "[1m]", "=", "x",
    '\\"', "\\", "1e", "key=",
)  # fmt: skip

ENDLESS: Final = tuple(piece * (200_000 // len(piece)) for piece in PIECES)
"""Longer than any name or id. A pattern that is quadratic in one takes minutes."""
