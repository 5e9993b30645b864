"""A program as users write it, on the public interface alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cline_otel


def counted(recording: Path) -> Counter[str]:
    """How many spans of each operation a recording becomes."""
    telemetry: cline_otel.Telemetry = cline_otel.read(recording)
    names: list[str] = [span.name for span in telemetry.spans]
    return Counter(name.partition(" ")[0] for name in names)
