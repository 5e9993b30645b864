"""How an exception that nobody expected is described: without its text, which may quote what it failed on."""

from __future__ import annotations

import traceback
from pathlib import Path


def described(error: Exception) -> str:
    """Its type, and the line of code that raised it, as in ``ValueError at decode.py:12``."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
