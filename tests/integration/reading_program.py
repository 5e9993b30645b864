"""A program as users write it, on the public interface alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cline_otel


def counted(recording: Path) -> Counter[str]:
    """How many spans of each operation a recording becomes."""
    telemetry: cline_otel.Telemetry = cline_otel.read(recording)
    names: list[str] = [span.name for span in telemetry.spans if is_ours(span.attributes, span.kind)]
    return Counter(name.partition(" ")[0] for name in names)


def is_ours(attributes: cline_otel.Attributes, kind: cline_otel.SpanKind) -> bool:
    """Whether it is a span of Cline's own or of a model call."""
    operation: cline_otel.AttributeValue | None = dict(attributes).get("gen_ai.operation.name")
    return operation is not None and kind in (cline_otel.SpanKind.INTERNAL, cline_otel.SpanKind.CLIENT)
