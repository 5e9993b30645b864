"""Replay: recordings through the very pipeline that live use takes, to files and to the terminal.

The output is a function of the input alone: no clock, no environment but the resource, no randomness.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cline_otel import ids
from cline_otel.aggregation.history import history
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.decode.times import without_outliers
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.encode.profile import shown_logs, shown_points, shown_spans
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.events import EVENT_TYPES, Event, LogEvent, RunClaimed, RunStarted, ToolCallFinished, ToolCallStarted
from cline_otel.export.interface import EncodedRequest
from cline_otel.findings.detection import Finding, Surroundings, detect
from cline_otel.pipeline import FlushResult, Pipeline
from cline_otel.private_files import make_directory, open_private
from cline_otel.signals import (
    Attributes,
    Diagnostics,
    HistogramAggregation,
    LogRecord,
    MetricDelta,
    MetricTotal,
    SignalName,
    SpanRecord,
    Temporality,
    add,
    count,
)
from cline_otel.sources.interface import MalformedPayload, Payload
from cline_otel.sources.recording import Recording
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.translate.repeats import Repeats
from cline_otel.translate.seen_events import SeenEvents
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.stored import RunKey
from cline_otel.translate.yielding import Told, same_prompt
from cline_otel.version import SCOPE_NAME, __version__

_Item = TypeVar("_Item")

ITEMS_PER_REQUEST: Final = 512

_INSTANCES: Final = uuid.UUID("2f0d9f5e-6d43-5c0f-9d0b-0c3a7f1f6a52")
"""The name space of replays' instance ids."""


class ReplayResult(msgspec.Struct):
    """All that a recording became.

    ``measurements`` are what the totals add up, ``findings`` what is missed in the recording. All have our names;
    ``requests`` have those of the catalogue's profile, and the metrics cumulative.
    """

    spans: list[SpanRecord]
    logs: list[LogRecord]
    measurements: list[MetricDelta]
    totals: list[MetricTotal]
    diagnostics: Diagnostics
    events: int
    ended_at_ns: int
    resource_and_scope: ResourceAndScope
    requests: dict[SignalName, list[EncodedRequest]]
    findings: list[Finding] = msgspec.field(default_factory=list)


def instance_id_of(recording: Recording) -> str:
    """The ``service.instance.id`` of a replay: the recording's own, told by what is in it, wherever and however often.

    So two recordings never share a series, nor does one with an installation, and a recording sent twice is the same.
    """
    parts = {
        hashlib.blake2b(part, digest_size=16).digest()
        for stream in recording.streams
        for payload in stream
        for part in payload.parts
    }
    content = hashlib.blake2b(b"".join(sorted(parts)), digest_size=16).hexdigest()
    return str(uuid.uuid5(_INSTANCES, content))


def resource_of(recording: Recording) -> Attributes:
    """Who a replay is from where nobody says otherwise."""
    return (("service.name", "cline"), ("service.instance.id", instance_id_of(recording)))


def decode_recording(
    recording: Recording, catalogue: Catalogue, diagnostics: Diagnostics, sources: Registry = SOURCES
) -> list[list[Event]]:
    """The events of each stream of a recording; a stream keeps its own order.

    What several report is in the one that reports most, so that a copy of a part leaves the whole as it is. A time of
    the far future is told by the recording's own times, so that it is the same whenever it is replayed.
    """
    payloads = [
        [(payload, decode_recorded(payload, catalogue, diagnostics, sources)) for payload in stream]
        for stream in recording.streams
    ]
    repeats = Repeats(SeenEvents(most_events=None), catalogue)
    streams: list[list[Event]] = [[] for _ in payloads]
    for number in sorted(range(len(payloads)), key=lambda number: -sum(len(events) for _, events in payloads[number])):
        for payload, events in payloads[number]:
            streams[number] += repeats.without(events, payload.place, diagnostics)
    return without_outliers(streams, diagnostics)


def decode_recorded(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics, sources: Registry) -> list[Event]:
    """The events of one payload; one that cannot be decoded is counted."""
    try:
        return list(sources.decode(payload, catalogue, diagnostics))
    except MalformedPayload:
        count(diagnostics, "malformed", payload.source, catalogue.sources[payload.source].piece)
        return []


def claims(streams: Iterable[Sequence[Event]], catalogue: Catalogue) -> list[RunClaimed]:
    """Who shall own each root run: with all of the past at hand, the source that knows it best.

    Those who know best come first, so that a run which another source names otherwise finds it owned.
    """
    reported: dict[RunKey, dict[str, int]] = {}
    began: dict[RunKey, Event] = {}
    sessions: dict[str, str] = {}
    nested: set[RunKey] = set()
    remote: dict[tuple[str, str, str], RunStarted] = {}
    first_calls: dict[RunKey, bytes] = {}
    for stream in streams:
        for event in stream:
            if event.agent_id and event.session_id:
                sessions.setdefault(event.agent_id, event.session_id)
            if event.run_id and event.agent_id and not isinstance(event, LogEvent):
                key = (event.agent_id, event.run_id)
                by_source = reported.setdefault(key, {})
                by_source[event.source] = by_source.get(event.source, 0) + 1
                if isinstance(event, ToolCallStarted | ToolCallFinished) and event.call_id:
                    first_calls[key] = first_calls.get(key) or ids.mark_of_call(event.call_id)
                if isinstance(event, RunStarted):
                    began.setdefault(key, event)
                    if event.parent_agent_id is not None:
                        nested.add(key)
                    elif event.remote_relation is not None:
                        remote.setdefault((*key, event.source), event)
    found = []
    owners = {
        key: max(by_source, key=lambda source: (catalogue.sources[source].rank, by_source[source], source))
        for key, by_source in reported.items()
        if key not in nested
    }
    told = {
        key: Told(key[0], began[key].occurred_at_ns if key in began else 0, first_calls.get(key, b""), owner)
        for key, owner in owners.items()
    }
    others = [each for each in told.values() if not catalogue.sources[each.owner].yields]
    for key, owner in owners.items():
        other = same_prompt(told[key], others) if catalogue.sources[owner].yields else None
        said = remote.get((*key, owner))
        found.append(
            RunClaimed(
                owner,
                began[key].occurred_at_ns if key in began else 0,
                RunClaimed.kind,
                attributes=began[key].attributes if key in began else {},
                session_id=sessions.get(key[0], ""),
                agent_id=key[0],
                run_id=key[1],
                remote_trace_id=None if said is None else said.remote_trace_id,
                remote_span_id=None if said is None else said.remote_span_id,
                remote_relation=None if said is None else said.remote_relation,
                owner=None if other is None else other.owner,
            )
        )
    return sorted(found, key=lambda claim: -catalogue.sources[claim.source].rank)


def replay(
    recording: Recording,
    catalogue: Catalogue,
    resource: Attributes | None = None,
    shift_to_ns: int | None = None,
    sources: Registry = SOURCES,
    metric_attributes: Attributes = (),
) -> ReplayResult:
    """A recording through the pipeline.

    Args:
        recording: what to replay.
        catalogue: what every name means, and what of it the user lets leave.
        resource: who it is from; None for an instance of the recording's own.
        shift_to_ns: moves all times so that the last event is then, nanoseconds since the Unix epoch; None
            leaves them as they were.
        sources: the sources that there are; the catalogue is theirs.
        metric_attributes: what every measurement has besides its own attributes.
    """
    diagnostics: Diagnostics = {}
    streams = decode_recording(recording, catalogue, diagnostics, sources)
    add(diagnostics, recording.diagnostics)
    profile = catalogue.profile
    resource_and_scope = ResourceAndScope(
        resource or resource_of(recording), SCOPE_NAME, __version__, profile.schema_url
    )
    pipeline = Pipeline(
        catalogue, resource_and_scope, resource_and_scope, sources=sources, metric_attributes=metric_attributes
    )
    if shift_to_ns is not None:
        shift_ns = shift_to_ns - _last_ns(streams)
        streams = [[_shifted(event, shift_ns) for event in stream] for stream in streams]
    last_ns = _last_ns(streams)
    flushed = take_streams(pipeline, streams)
    add(diagnostics, flushed.diagnostics)
    return ReplayResult(
        spans=flushed.spans,
        logs=flushed.logs,
        measurements=flushed.metrics,
        totals=pipeline.totals,
        diagnostics=diagnostics,
        events=sum(map(len, streams)),
        ended_at_ns=last_ns,
        resource_and_scope=resource_and_scope,
        requests={
            "traces": [
                EncodedRequest(encode_traces(part, resource_and_scope), len(part))
                for part in _parts(shown_spans(flushed.spans, profile))
            ],
            "metrics": metric_requests(flushed.metrics, catalogue, resource_and_scope, last_ns),
            "logs": [
                EncodedRequest(encode_logs(part, resource_and_scope), len(part))
                for part in _parts(shown_logs(flushed.logs, flushed.spans, profile))
            ],
        },
        findings=detect(pipeline.state, Surroundings(), pipeline.state.now_ns),
    )


def take_streams(pipeline: Pipeline, streams: Sequence[Sequence[Event]]) -> FlushResult:
    """All that comes of the streams of a recording, which are over: what is open in them is closed."""
    pipeline.take_events(claims(streams, pipeline.catalogue))
    events = list(merge(*streams, key=lambda event: event.occurred_at_ns))
    last_ns = _last_ns(streams)
    pipeline.advance_clock(events[0].occurred_at_ns if events else 0)
    pipeline.take_events(events)
    pipeline.advance_clock(last_ns + SILENCE_NS + 1)
    # What had to wait for an owner begins only now.
    pipeline.advance_clock(last_ns + 2 * (SILENCE_NS + 1))
    return pipeline.flush()


def metric_requests(
    measurements: Sequence[MetricDelta],
    catalogue: Catalogue,
    resource_and_scope: ResourceAndScope,
    ended_at_ns: int,
    temporality: Temporality = "cumulative",
    aggregation: HistogramAggregation = "explicit_bucket_histogram",
) -> list[EncodedRequest]:
    """The metrics of a recording over its own time, as requests in the order of time."""
    ordered = sorted(measurements, key=lambda each: each.occurred_at_ns)
    return list(history_requests(ordered, catalogue, resource_and_scope, ended_at_ns, temporality, aggregation))


def history_requests(
    measurements: Iterable[MetricDelta],
    catalogue: Catalogue,
    resource_and_scope: ResourceAndScope,
    ended_at_ns: int,
    temporality: Temporality,
    aggregation: HistogramAggregation,
) -> Iterator[EncodedRequest]:
    """The same of measurements that are in the order of time and need not all be in memory."""
    points = history(measurements, catalogue.metrics, ended_at_ns, temporality, aggregation)
    shown = (each for point in points for each in shown_points([point], catalogue.profile))
    while part := list(islice(shown, ITEMS_PER_REQUEST)):
        yield EncodedRequest(encode_metrics(part, catalogue.shown_metrics, resource_and_scope, temporality), len(part))


def write(replayed: ReplayResult, directory: Path) -> list[Path]:
    """Writes ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl``, an OTLP JSON request a line; returns the paths.

    The files have mode 0600, and the directory 0700 if it is made.

    Raises:
        OSError: one of them cannot be written.
    """
    make_directory(directory)
    paths = []
    for signal, requests in replayed.requests.items():
        path = directory / f"{signal}.jsonl"
        with os.fdopen(open_private(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(b"".join(to_json_line(signal, request.payload) + b"\n" for request in requests))
        paths.append(path)
    return paths


def _last_ns(streams: Iterable[Iterable[Event]]) -> int:
    return max((event.occurred_at_ns for stream in streams for event in stream), default=0)


def _shifted(event: Event, shift_ns: int) -> Event:
    times = {name: value for name in _TIMES if (value := getattr(event, name, None)) is not None}
    return msgspec.structs.replace(event, **{name: value + shift_ns for name, value in times.items()})


_TIMES: Final = frozenset(
    name for event in EVENT_TYPES.values() for name in event.__struct_fields__ if name.endswith("_at_ns")
)


def _parts(items: Sequence[_Item]) -> Iterable[Sequence[_Item]]:
    return (items[start : start + ITEMS_PER_REQUEST] for start in range(0, len(items), ITEMS_PER_REQUEST))
