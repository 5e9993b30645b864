"""Ids are hashes of upstream keys; they are written down here, for they must never change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cline_otel import ids


def test_ids_are_what_they_have_always_been() -> None:
    assert ids.trace_id("agent", "run").hex() == "9881895ee6d81b5fce3102420c4b56b3"
    assert ids.run_span_id("agent", "run").hex() == "db922e0133670998"
    assert ids.model_call_span_id("agent", "run", 1).hex() == "6e8950260a092907"
    assert ids.tool_call_span_id("agent", "run", 1, 0).hex() == "c9b17fd7a04aa205"
    assert ids.log_record_uid("cline.run.started", "agent", "run") == "2e579550d4e9613ac863963ab77c93ce"


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_are_length_prefixed(a: str, b: str, c: str, d: str) -> None:
    assert (ids.trace_id(a, b) == ids.trace_id(c, d)) == ((a, b) == (c, d))
    assert (ids.run_span_id(a, b) == ids.run_span_id(c, d)) == ((a, b) == (c, d))


def test_one_and_twenty_three_is_not_twelve_and_three() -> None:
    assert ids.tool_call_span_id("a", "r", 1, 23) != ids.tool_call_span_id("a", "r", 12, 3)


@given(st.text(), st.text(), st.integers(0, 1000), st.integers(0, 50))
def test_spans_of_one_run_never_share_an_id(agent_id: str, run_id: str, iteration: int, ordinal: int) -> None:
    spans = {
        ids.run_span_id(agent_id, run_id),
        ids.model_call_span_id(agent_id, run_id, iteration),
        ids.tool_call_span_id(agent_id, run_id, iteration, ordinal),
    }
    assert len(spans) == 3
    assert all(any(span) for span in spans)


def test_half_a_surrogate_pair_has_an_id_too() -> None:
    assert len(ids.trace_id("\ud800", "r")) == 16
