"""The facts of a release of the semantic conventions, out of its own model files: names, types, levels, values.

``python tests/conventions/extract.py REPOSITORY`` writes ``semconv-1.41.0.json`` beside this file; ``make conventions``
calls it. REPOSITORY is a clone of open-telemetry/semantic-conventions that has the commit below. Only facts are taken,
none of the conventions' sentences. A change of the release is a change of ``VERSION`` and ``COMMIT``.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

VERSION: Final = "1.41.0"
COMMIT: Final = "e018fe6f91862f5ed63c082f87697cddac596784"
FILE: Final = Path(__file__).with_name(f"semconv-{VERSION}.json")

NAMESPACES: Final = (
    "cicd.", "error.", "event.", "exception.", "gen_ai.", "http.response.", "log.", "mcp.", "otel.", "process.exit.",
    "server.", "service.", "session.", "user.",
)  # fmt: skip
"""Attributes of these are kept; of spans, metrics and events those of ``gen_ai`` and ``mcp``."""

SIGNALS: Final = ("gen_ai.", "mcp.")
MESSAGES: Final = "docs/gen-ai/gen-ai-output-messages.json"

Group = dict[str, Any]


def read_model(repository: Path) -> tuple[dict[str, Group], dict[str, Any]]:
    """The groups of the model by their ids, and the schema of a model's answers."""
    archive = subprocess.run(
        ["git", "-C", str(repository), "archive", COMMIT, "model", MESSAGES],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    groups: dict[str, Group] = {}
    messages: dict[str, Any] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            file = files.extractfile(member)
            if file is not None and member.name.endswith(".yaml"):
                groups |= {group["id"]: group for group in (yaml.safe_load(file) or {}).get("groups", ())}
            elif file is not None and member.name == MESSAGES:
                messages = json.load(file)
    return groups, messages


def facts(groups: dict[str, Group], messages: dict[str, Any]) -> dict[str, Any]:
    """What is kept of the model."""
    return {
        "of": {
            "repository": "open-telemetry/semantic-conventions",
            "version": VERSION,
            "commit": COMMIT,
            "license": "Apache-2.0",
        },
        "attributes": dict(sorted(_attributes(groups))),
        "spans": {
            group["id"].removeprefix("span."): {"kind": group["span_kind"], "attributes": _levels(group, groups)}
            for group in _of_type("span", groups)
        },
        "metrics": {
            group["metric_name"]: {
                "instrument": group["instrument"],
                "unit": group["unit"],
                "attributes": _levels(group, groups),
            }
            for group in _of_type("metric", groups)
        },
        "events": {group["name"]: {"attributes": _levels(group, groups)} for group in _of_type("event", groups)},
        "finish_reasons": messages["$defs"]["FinishReason"]["enum"],
    }


def _of_type(kind: str, groups: dict[str, Group]) -> Iterator[Group]:
    for name in sorted(groups):
        group = groups[name]
        if group["type"] == kind and name.removeprefix(f"{kind}.").startswith(SIGNALS) and "deprecated" not in group:
            yield group


def _attributes(groups: dict[str, Group]) -> Iterator[tuple[str, dict[str, Any]]]:
    for group in groups.values():
        for attribute in group.get("attributes", ()):
            name = attribute.get("id", "")
            if name.startswith(NAMESPACES):
                yield name, _attribute(attribute)


def _attribute(attribute: dict[str, Any]) -> dict[str, Any]:
    fact: dict[str, Any] = {"type": attribute["type"], "stability": attribute["stability"]}
    if isinstance(attribute["type"], dict):
        fact["type"] = "int" if isinstance(attribute["type"]["members"][0]["value"], int) else "string"
        fact["values"] = sorted({member["value"] for member in attribute["type"]["members"]})
    if "deprecated" in attribute:
        fact["deprecated"] = True
    return fact


def _levels(group: Group, groups: dict[str, Group]) -> dict[str, str]:
    """How much each attribute of a signal is asked for, those that it inherits included; the nearest word counts."""
    levels = _levels(groups[group["extends"]], groups) if "extends" in group else {}
    for attribute in group.get("attributes", ()):
        name = attribute.get("ref") or attribute["id"]
        level = attribute.get("requirement_level")
        if level is None:
            levels.setdefault(name, "recommended")
        else:
            levels[name] = level if isinstance(level, str) else next(iter(level))
    return dict(sorted(levels.items()))


if __name__ == "__main__":
    text = json.dumps(facts(*read_model(Path(sys.argv[1]))), indent=1)
    FILE.write_text(f"{text}\n", encoding="utf-8")
