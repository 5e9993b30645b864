"""What ``catalogue/spans.toml`` says of kinds of events, and of spans' parents, holds in the golden pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from bench.fixed_key import CATALOGUE
from test_golden import INPUTS, events_of

from cline_otel.catalogue.load import read_tables
from cline_otel.events import Event, LogEvent, ProcessExited, Tick, tick
from cline_otel.signals import SpanRecord, StepOutput
from cline_otel.translate.step import Translator
from corpus import closing_ticks

TABLES = read_tables()
KINDS = TABLES.spans.kinds
SILENCE = ProcessExited.kind
"""Time closes what is silent, or what no other process goes on with, as the end of its process does."""


class Step(NamedTuple):
    """What came of one event, or of those that had waited for an owner until then."""

    causes: list[Event]
    made: StepOutput


def steps_of(path: Path) -> Iterator[Step]:
    """The clock ticks after every event, so that nothing waits for an owner for long."""
    events = list(events_of(path, {}))
    ticked = [each for event in events for each in (event, tick(event.occurred_at_ns))]
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for event in [*ticked, *closing_ticks(events)]:
        waited = [each for run in translator.state.runs.values() for each in run.buffered]
        translator.step(event)
        yield Step([event, *waited], translator.take())


STEPS = {path: list(steps_of(path)) for path in INPUTS}


def kind_of(event: Event) -> str:
    return SILENCE if isinstance(event, Tick) else event.kind


def told(events: Iterable[Event]) -> Iterator[str]:
    """The log records that these events say something of by themselves."""
    for event in events:
        if isinstance(event, LogEvent):
            entry = CATALOGUE.sources[event.source].vocabulary.events[event.name]
            assert entry.log_event is not None
            yield entry.log_event


def counted(log_events: Iterable[str]) -> set[str]:
    return {metric for name in log_events for metric in TABLES.log_events.log_events[name].counts}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_whatever_an_event_makes_is_named_by_its_kind(path: Path) -> None:
    for causes, made in STEPS[path]:
        kinds = [KINDS[kind_of(event)] for event in causes]
        logs = {*told(causes), *(name for kind in kinds for name in kind.logs)}
        metrics = {*counted(logs), *(name for kind in kinds for name in kind.metrics)}
        named = f"what {[kind_of(event) for event in causes]} make: add it to kinds in catalogue/spans.toml"
        assert {log.event_name for log in made.logs} <= logs, named
        assert {delta.metric for delta in made.metrics} <= metrics, named


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.logs or kind.metrics])
def test_whatever_a_kind_names_is_made_by_an_event_of_it(name: str) -> None:
    steps = [made for each in STEPS.values() for causes, made in each if name in {kind_of(event) for event in causes}]
    assert {*KINDS[name].logs} <= {log.event_name for made in steps for log in made.logs}
    assert {*KINDS[name].metrics} <= {delta.metric for made in steps for delta in made.metrics}


def operation(span: SpanRecord) -> str:
    return span.name.partition(" ")[0]


def families() -> Iterator[tuple[str, str]]:
    """Each span's operation, with that of its parent: empty for a root."""
    for steps in STEPS.values():
        spans = {span.span_id: span for _, made in steps for span in made.spans}
        for span in spans.values():
            yield operation(span), operation(spans[span.parent_span_id]) if span.parent_span_id else ""


def test_the_parents_of_spans_are_those_that_are_named() -> None:
    named = {(name, parent) for name, span in TABLES.spans.spans.items() for parent in span.parent}
    assert set(families()) == named | {("invoke_agent", "")}


def test_every_metric_and_log_record_is_shown_by_some_golden_pair() -> None:
    made = [made for steps in STEPS.values() for _, made in steps]
    # What holds now is not measured by events: tests/unit/test_waits.py.
    of_events = {name for name, metric in TABLES.metrics.metrics.items() if metric.instrument != "gauge"}
    assert {delta.metric for each in made for delta in each.metrics} == of_events
    # That a call goes on for long is said while it does, and a recording is over: tests/unit/test_waits.py.
    of_the_past = TABLES.log_events.log_events.keys() - {"cline.call.overdue"}
    assert {log.event_name for each in made for log in each.logs} == of_the_past
