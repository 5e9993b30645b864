"""What sources count or report otherwise than the semantic conventions do, put in the conventions' terms."""

from __future__ import annotations

from cline_otel.events import AttributeValue, ModelCallUsage, ToolCallNamed


def with_inclusive_input(event: ModelCallUsage) -> dict[str, AttributeValue]:
    """The attributes of a call's usage: three disjoint token counts as the inclusive one.

    The log counts 2000 uncached + 4000 read + 3000 written where the convention has 9000 (captures).
    """
    values = dict(event.attributes)
    if event.uncached_input_tokens is not None:
        cached = number(values.get("gen_ai.usage.cache_read.input_tokens"))
        written = number(values.get("gen_ai.usage.cache_creation.input_tokens"))
        values["gen_ai.usage.input_tokens"] = event.uncached_input_tokens + cached + written
    return values


def with_reported_outcome(event: ToolCallNamed) -> dict[str, AttributeValue]:
    """``success`` is false only for thrown and rejected calls; true says nothing of the real outcome."""
    values = dict(event.attributes)
    values["cline.outcome"] = "error" if values.pop("cline.success", None) is False else "unverified"
    return values


def number(value: AttributeValue | None) -> int:
    """A count, 0 where there is none."""
    return value if type(value) is int else 0
