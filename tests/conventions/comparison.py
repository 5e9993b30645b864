"""The catalogue beside the facts of the conventions: where they differ, in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cline_otel.catalogue.load import Tables

HERE: Final = Path(__file__).parent
SEMCONV: Final[dict[str, Any]] = json.loads((HERE / "semconv-1.41.0.json").read_text(encoding="utf-8"))
GENAI: Final[dict[str, Any]] = json.loads((HERE / "genai-main.json").read_text(encoding="utf-8"))

SPANS: Final = {
    "invoke_agent": "gen_ai.invoke_agent.internal",
    "chat": "gen_ai.inference.client",
    "execute_tool": "gen_ai.execute_tool.internal",
}
"""Which span of the model each of ours is."""

TYPES: Final = {"string": "string", "int": "int", "double": "double", "bool": "boolean", "strings": "string[]"}
CONVENTIONS: Final = ("semconv", "genai")
REQUIRED: Final = ("required", "conditionally_required")


def differences(tables: Tables) -> list[str]:
    """Every way in which the catalogue is not as the conventions have it."""
    return [*_attributes(tables), *_spans(tables), *_metrics(tables)]


def _attributes(tables: Tables) -> Iterator[str]:
    known = SEMCONV["attributes"]
    roots = tuple({f"{name.split('.')[0]}." for name in known})
    for name, attribute in tables.attributes.attributes.items():
        if attribute.convention not in CONVENTIONS:
            if name.startswith(roots) and name not in known and attribute.convention != "specification":
                yield f"{name}: in a namespace of the conventions, which do not have it"
            continue
        fact = known.get(name)
        if fact is None:
            yield f"{name}: not in the conventions"
            continue
        if fact["type"] != TYPES[attribute.type]:
            yield f"{name}: {attribute.type}, there {fact['type']}"
        if fact.get("deprecated"):
            yield f"{name}: deprecated"
        ours = set(attribute.values or tables.attributes.values.get(attribute.values_from or "", ()))
        named = {tables.attributes.providers.get(value, value) for value in ours} if "provider" in name else ours
        listed = fact.get("values", SEMCONV["finish_reasons"] if name.endswith("finish_reasons") else None)
        if listed is not None and named - set(listed):
            yield f"{name}: has values of its own"
    for name, of_resource in tables.attributes.resource.items():
        if of_resource.convention != "semconv":
            continue
        if name not in known or known[name].get("deprecated"):
            yield f"{name}: not in the conventions, or deprecated"


def _spans(tables: Tables) -> Iterator[str]:
    for name, span in tables.spans.spans.items():
        if name.startswith("cline."):
            continue
        fact = SEMCONV["spans"][SPANS[name]]
        if fact["kind"] != span.kind.lower():
            yield f"{name}: {span.kind}, there {fact['kind']}"
        yield from _carried(name, span.attributes, fact["attributes"], tables)


def _metrics(tables: Tables) -> Iterator[str]:
    for name, metric in tables.metrics.metrics.items():
        if metric.convention not in CONVENTIONS:
            continue
        fact = (SEMCONV if metric.convention == "semconv" else GENAI)["metrics"].get(name)
        if fact is None:
            yield f"{name}: not in the conventions"
            continue
        for what in ("instrument", "unit"):
            if fact[what] != getattr(metric, what):
                yield f"{name}: {what} {getattr(metric, what)}, there {fact[what]}"
        levels = fact.get("attributes") or dict.fromkeys(fact["required"], "required")
        if metric.convention == "semconv":
            yield from _carried(name, metric.attributes, levels, tables)
        else:
            yield from (f"{name}: lacks {each}, required" for each in sorted({*levels} - {*metric.attributes}))


def _carried(what: str, ours: list[str], levels: dict[str, str], tables: Tables) -> Iterator[str]:
    """What is missing of what is asked for, and what is carried besides of what the conventions have."""
    for name, level in levels.items():
        if level in REQUIRED and name not in ours:
            yield f"{what}: lacks {name}, {level}"
    for name in ours:
        if tables.attributes.attributes[name].convention in CONVENTIONS and name not in levels:
            yield f"{what}: carries {name} besides"
