"""A stream adds nothing to a prompt that any other source tells, however much that one knows, live and in a replay."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE, recording_of

from cline_otel.events import Event, tick
from cline_otel.replay import replay
from cline_otel.signals import SpanRecord
from cline_otel.translate.ownership import CLAIMED_WAIT_NS
from corpus import CAPTURES, DATA, SECOND_NS, decoded, end_of, translate

STREAMS = sorted((DATA / "streams").glob("*.jsonl"))
SUBSETS = [
    subset for size in (1, 2, 3, 4) for subset in combinations(("plugin", "session-files", "cline-log", "otlp"), size)
]

NOT_KNOWN = ("second_run_plugin_hub", ("cline-log",))
"""Of a run in the hub the log has no more than that a session began."""


def events_of(path: Path) -> list[Event]:
    return [event for stream in decoded(path)[0] for event in stream.events]


def ids(spans: list[SpanRecord]) -> Counter[bytes]:
    return Counter(span.span_id for span in spans)


def seconds_later(events: list[Event]) -> list[Event]:
    at_ns = end_of(events)
    return [
        tick(at_ns + seconds * SECOND_NS)
        for seconds in (1, CLAIMED_WAIT_NS // SECOND_NS + 1, 3 * CLAIMED_WAIT_NS // SECOND_NS)
    ]


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_a_replay_has_the_spans_of_the_others_alone(stream: Path, subset: tuple[str, ...]) -> None:
    folder = CAPTURES / stream.stem
    streams = [each for name in subset for each in recording_of([folder], name).streams]
    if not streams:
        pytest.skip("no such source in this recording")
    recording = recording_of([folder])
    recording.streams = streams
    alone = replay(recording, CATALOGUE).spans
    if not alone or (stream.stem, subset) == NOT_KNOWN:
        pytest.skip("they tell nothing of the prompt")
    recording.streams = [*streams, *recording_of([stream]).streams]
    assert ids(replay(recording, CATALOGUE).spans) == ids(alone)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["plugin", "session-files", "cline-log"])
def test_live_it_adds_nothing_when_it_is_left_at_its_end(stream: Path, name: str) -> None:
    others = [event for each in decoded(CAPTURES / stream.stem)[0] if each.source == name for event in each.events]
    alone = translate([*others, *seconds_later(others)], claim_wait_ns=2 * SECOND_NS).spans
    if not alone or (stream.stem, (name,)) == NOT_KNOWN:
        pytest.skip("it tells nothing of the prompt")
    told = events_of(stream)
    both = translate([*others, *told, *seconds_later([*others, *told])], claim_wait_ns=2 * SECOND_NS).spans
    assert ids(both) == ids(alone)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_by_itself_it_tells_live_what_a_replay_does(stream: Path) -> None:
    told = events_of(stream)
    live = translate([*told, *seconds_later(told)], claim_wait_ns=2 * SECOND_NS).spans
    assert live
    assert ids(live) == ids(replay(recording_of([stream]), CATALOGUE).spans)
