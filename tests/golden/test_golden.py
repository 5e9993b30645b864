"""Golden pairs: what one event becomes, read by a person once and held ever after.

``tests/golden/EVENT/CASE.input.jsonl`` says what was told, a line each: ``{SOURCE: PART}``, by the source's name and a
part of one of its payloads (a line of a file, a request), or ``{"now": TIME}``. ``CASE.expected.json`` holds what
comes out, two ticks after the end of the input included. ``pytest --update-golden`` rewrites the expected files that
no longer hold, and fails for those alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import Diagnostics, LogRecord, MetricDelta, SpanEvent, SpanRecord
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from cline_otel.translate.step import Translator
from corpus import closing_ticks
from payloads import decoded

GOLDEN = Path(__file__).parent
INPUTS = sorted(GOLDEN.glob("*/*.input.jsonl"))
PROCESS = "100-1790000000000"


def events_of(path: Path, diagnostics: Diagnostics) -> Iterator[Event]:
    for line in path.read_text(encoding="utf-8").splitlines():
        ((kind, told),) = json.loads(line).items()
        if kind == "now":
            yield tick(time_ns(told))
        elif kind in SOURCES:
            # Sources whose records say themselves who wrote them look at no writer.
            yield from decoded(Payload(kind, [json.dumps(told).encode()], writer=PROCESS), diagnostics)
        else:
            raise LookupError(f"{path.name}: {kind} is no source; there are now, {', '.join(SOURCES)}")


def time_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000) * 1_000_000


def time_text(value_ns: int) -> str:
    return datetime.fromtimestamp(value_ns / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def readable_event(event: SpanEvent) -> dict[str, Any]:
    return {"name": event.name, "time": time_text(event.occurred_at_ns), "attributes": dict(event.attributes)}


def readable_span(span: SpanRecord) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "started": time_text(span.started_at_ns),
        "ended": time_text(span.ended_at_ns),
        "status": span.status.name,
        **({"status_message": span.status_message} if span.status_message else {}),
        "attributes": dict(span.attributes),
        "events": [readable_event(event) for event in span.events],
        "links": [{"trace": link.trace_id.hex(), "span": link.span_id.hex()} for link in span.links],
        **({"service": span.service} if span.service else {}),
    }


def readable_log(log: LogRecord) -> dict[str, Any]:
    return {
        "event": log.event_name,
        "severity": log.severity.name,
        "body": log.body,
        "time": time_text(log.occurred_at_ns),
        "trace": log.trace_id.hex(),
        "span": log.span_id.hex(),
        "attributes": dict(log.attributes),
        **({"service": log.service} if log.service else {}),
    }


def readable_metric(delta: MetricDelta) -> dict[str, Any]:
    return {"metric": delta.metric, "value": delta.value, "attributes": dict(delta.attributes)}


def made_of(path: Path) -> dict[str, Any]:
    diagnostics: Diagnostics = {}
    events = list(events_of(path, diagnostics))
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for event in [*events, *closing_ticks(events)]:
        translator.step(event)
    outputs = translator.take()
    for key, times in outputs.diagnostics.items():
        diagnostics[key] = diagnostics.get(key, 0) + times
    return {
        "spans": [readable_span(span) for span in outputs.spans],
        "logs": [readable_log(log) for log in outputs.logs],
        "metrics": [readable_metric(delta) for delta in outputs.metrics],
        "diagnostics": {" ".join(key): times for key, times in sorted(diagnostics.items())},
    }


@pytest.mark.parametrize(
    "path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name.removesuffix('.input.jsonl')}"
)
def test_an_event_becomes_what_its_golden_file_says(path: Path, request: pytest.FixtureRequest) -> None:
    made = json.loads(json.dumps(made_of(path)))
    expected = path.with_name(path.name.replace(".input.jsonl", ".expected.json"))
    name = expected.relative_to(GOLDEN)
    told = expected.read_text(encoding="utf-8") if expected.exists() else ""
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden") and text != told:
        expected.write_text(text, encoding="utf-8")
        pytest.fail(f"rewrote {name}; read the difference, then run again")
    assert told, f"no {name}; make it with --update-golden and read it"
    assert made == json.loads(told)


def test_what_no_source_tells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unknown.input.jsonl"
    path.write_text('{"plugni": {"event": "run.started"}}\n', encoding="utf-8")
    with pytest.raises(LookupError, match=r"unknown\.input\.jsonl: plugni is no source; there are now, plugin, "):
        made_of(path)


def meaningful_events() -> dict[str, str]:
    return {
        name: entry.kind
        for vocabulary in CATALOGUE.vocabularies.values()
        for name, entry in vocabulary.events.items()
        if entry.kind != "ignored"
    }


@pytest.mark.parametrize("name", sorted(meaningful_events()))
def test_every_event_of_the_catalogue_has_a_golden_pair(name: str) -> None:
    inputs = list((GOLDEN / name).glob("*.input.jsonl"))
    assert inputs, f"tests/golden/{name} holds no *.input.jsonl"
    told = [line for path in inputs for line in path.read_text(encoding="utf-8").splitlines() if f'"{name}"' in line]
    assert told, f"no input of tests/golden/{name} tells {name}"


def test_every_golden_folder_is_an_event_of_the_catalogue() -> None:
    assert {path.parent.name for path in INPUTS} == meaningful_events().keys()


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.parent.name)
def test_a_golden_file_shows_something(path: Path) -> None:
    made = made_of(path)
    assert made["spans"] or made["logs"] or made["metrics"] or made["diagnostics"]
    assert not [key for key in made["diagnostics"] if key.startswith(("unmapped_event", "dropped_field", "malformed"))]
