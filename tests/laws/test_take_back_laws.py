"""A transaction that fails leaves no trace in memory, and what that costs depends on the transaction alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.fixed_key import CATALOGUE, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.sources.interface import MalformedPayload, Payload
from corpus import HOUR_NS, SECOND_NS, capture_paths

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
LINES = 7


@lru_cache(None)
def pieces_of(path: Path) -> tuple[Payload, ...]:
    """All that a recording holds, in pieces, the sources in turns."""
    streams = [
        [
            payload._replace(parts=payload.parts[start : start + LINES])
            for payload in stream
            for start in range(0, max(len(payload.parts), 1), LINES)
        ]
        for stream in recording_of([path]).streams
    ]
    longest = max(map(len, streams), default=0)
    return tuple(stream[number] for number in range(longest) for stream in streams if number < len(stream))


class Live:
    """A pipeline over stored rows; it may be asked for a transaction that fails first."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.made: list[Any] = []
        self.now_ns = self.ticked_at_ns = 1_795_400_000 * SECOND_NS
        self.pipeline = self.read_back()

    def read_back(self) -> Pipeline:
        return Pipeline(CATALOGUE, ORIGIN, ORIGIN, list(self.rows.items()))

    def step(self, piece: Payload | None, fails: str = "") -> None:
        """A piece, or a minute; a transaction that ``fails`` is one before or after its flush."""
        if fails:
            self.take(piece)
            written = self.pipeline.flush(self.now_ns).state.keys() if fails == "after" else set()
            differing = self.pipeline.discard() | written
            self.pipeline.take_back({key: self.rows.get(key) for key in differing})
            assert memory_of(self.pipeline) == memory_of(self.read_back())
            # As the next poll does.
            self.pipeline.advance_clock(self.ticked_at_ns)
        self.take(piece)
        if piece is None:
            self.ticked_at_ns = self.now_ns
        flushed = self.pipeline.flush(self.now_ns)
        self.made.append((flushed.spans, flushed.logs, flushed.metrics, flushed.diagnostics))
        self.rows |= {key: value for key, value in flushed.state.items() if value is not None}
        self.rows = {key: value for key, value in self.rows.items() if flushed.state.get(key, b"") is not None}

    def take(self, piece: Payload | None) -> None:
        if piece is None:
            self.pipeline.advance_clock(self.now_ns)
            return
        try:
            self.pipeline.take(piece)
        except MalformedPayload:
            return


def memory_of(pipeline: Pipeline) -> Mapping[str, Any]:
    """All that a pipeline remembers, to compare."""
    state, totals = pipeline.state, pipeline.metric_totals
    memory = {name: value for name, value in vars(state).items() if not name.startswith("_")}
    memory["prompts"] = {key: sorted(each, key=repr) for key, each in state.prompts.items()}
    memory["seen"] = (state.seen._told, state.seen._rows, state.seen.added)
    memory["heard"] = repr(state.heard)
    memory["totals"] = (totals.by_key, totals._keys, {name: n for name, n in totals._series_count.items() if n})
    return memory


@settings(max_examples=20)
@given(st.sampled_from([path for path in capture_paths() if pieces_of(path)]), st.data())
def test_memory_after_a_transaction_that_failed_is_that_of_before_and_all_goes_on_the_same(
    path: Path, data: st.DataObject
) -> None:
    steps: list[Payload | None] = [None]
    for piece in pieces_of(path):
        steps += [piece, None]
    failing = st.dictionaries(st.integers(1, len(steps) - 1), st.sampled_from(["before", "after"]), max_size=8)
    fails = data.draw(failing)
    untroubled, troubled = Live(), Live()
    for number, step in enumerate([*steps, None, None]):
        for live in (untroubled, troubled):
            live.now_ns += 30 * HOUR_NS if number >= len(steps) else SECOND_NS
        untroubled.step(step)
        troubled.step(step, fails.get(number, ""))
    assert troubled.made == untroubled.made
    assert troubled.rows == untroubled.rows


def test_an_unreadable_row_that_is_read_back_is_counted_and_deleted_anew() -> None:
    rows = {"run/a/b": b"no run", "session/1700000000000_abcde": b"no session", "total/x": b"no total"}
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, list(rows.items()))
    before = pipeline.flush()
    differing = pipeline.discard() | before.state.keys()
    pipeline.take_back({key: rows.get(key) for key in differing})
    after = pipeline.flush()
    assert json.dumps(sorted(map(repr, after.state.items()))) == json.dumps(sorted(map(repr, before.state.items())))
    assert after.diagnostics == before.diagnostics
