"""That off is off for a real Cline: whoever says it, before a run or in its middle; and that a kill is no off."""

from __future__ import annotations

import pytest

from .live_evidence import LiveEvidence
from .switching import BRIDGE_KILLED, ERASED, FIRST_HELD_TURN, OFF_AND_ON, OPTED_OUT, REASONS

opted_out = pytest.mark.parametrize("live", OPTED_OUT, indirect=True, ids=lambda scenario: scenario.name)
off_in_the_middle = pytest.mark.parametrize("live", [OFF_AND_ON, ERASED], indirect=True, ids=lambda each: each.name)
off_and_on = pytest.mark.parametrize("live", [OFF_AND_ON], indirect=True, ids=lambda scenario: scenario.name)
erased = pytest.mark.parametrize("live", [ERASED], indirect=True, ids=lambda scenario: scenario.name)
bridge_killed = pytest.mark.parametrize("live", [BRIDGE_KILLED], indirect=True, ids=lambda scenario: scenario.name)


# --- switched off before a run, taken back after it ------------------------------------------------------


@opted_out
def test_the_plugin_leaves_no_spool_file_of_a_run_that_was_opted_out(live: LiveEvidence) -> None:
    before, off = live.stock("before").log_events, live.stock("off").log_events
    assert off["spool_sizes"] == {}
    # A file that came and went would have changed the folder.
    assert off["spool_changed_at_ns"] == before["spool_changed_at_ns"]


@opted_out
def test_nothing_is_stored_and_nothing_is_sent_of_a_run_that_was_opted_out(live: LiveEvidence) -> None:
    before, off = live.stock("before"), live.stock("off")
    assert off.log_events["requests"] == 0
    assert off.pending_items() == 0
    assert off.stored == before.stored


@opted_out
def test_status_says_off_and_who_decided(live: LiveEvidence) -> None:
    off = live.stock("off")
    reason = REASONS[live.scenario.name]
    assert off.status["telemetry"] == {"state": "off", "reasons": [reason]}
    assert f"off: {reason}" in off.status_text
    assert live.stock("end").status["telemetry"] == {"state": "on", "reasons": []}


@opted_out
def test_after_the_opt_out_is_taken_back_a_prompt_is_told_wholly_and_alone(live: LiveEvidence) -> None:
    live.assert_is_told_once_and_wholly("p2")
    assert live.spans_of("p2") == live.telemetry.spans
    assert live.telemetry.sum_of("cline.run.started") == 1
    assert live.telemetry.sum_of("cline.run.completed") == 1


@opted_out
def test_nothing_of_a_run_that_was_opted_out_ever_arrives_or_stays(live: LiveEvidence) -> None:
    assert live.traces_of("p2", live.folder / "endpoint")
    assert live.traces_of("p1", live.folder / "endpoint", live.folder / "bridge", live.folder / "stock") == []


# --- switched off in the middle of a run ---------------------------------------------------------------


@off_in_the_middle
def test_what_a_run_did_so_far_waited_when_it_was_switched_off(live: LiveEvidence) -> None:
    before = live.stock("before")
    assert before.pending_items() > 0
    assert live.traces_of("p1", before.state / "spool")
    assert live.traces_of("p1", before.folder / "rows.bin")


@off_in_the_middle
def test_nothing_more_is_stored_or_sent_while_it_is_off(live: LiveEvidence) -> None:
    off, still_off = live.stock("off"), live.stock("still off")
    assert still_off.status["telemetry"]["state"] == "off"
    assert still_off.stored == off.stored
    assert still_off.log_events["requests"] == off.log_events["requests"]


@off_in_the_middle
def test_the_plugin_writes_nothing_more_a_second_after_it_was_switched_off(live: LiveEvidence) -> None:
    assert live.stock("still off").log_events["spool_sizes"] == live.stock("off").log_events["spool_sizes"]


@off_in_the_middle
def test_a_later_prompt_is_told_wholly(live: LiveEvidence) -> None:
    live.assert_is_told_once_and_wholly("p2")


@off_and_on
def test_a_run_that_was_switched_off_ends_incomplete_at_its_last_sign_of_life(live: LiveEvidence) -> None:
    (root,) = (span for span in live.spans_of("p1") if not span.parent_span_id)
    assert root.attributes["cline.outcome"] == "incomplete"
    assert root.attributes["cline.incomplete"] is True
    last_before = max(
        call.ended_at_ns for call in live.model_calls if call.agent[0] == "p1" and _is_before_off(call.turn)
    )
    assert last_before <= root.ended_at_ns <= live.stock("off").log_events["at_ns"]


@off_and_on
def test_what_a_run_did_before_it_was_switched_off_is_told_once_and_nothing_of_what_it_did_then(
    live: LiveEvidence,
) -> None:
    for call in live.model_calls:
        if call.agent[0] == "p1":
            assert len(live.matching.chat_spans(call)) == _is_before_off(call.turn), f"{call.agent} turn {call.turn}"
    for tool in live.tool_calls:
        if tool.agent[0] == "p1":
            assert len(live.matching.tool_spans(tool.call_id)) == _is_before_off(tool.turn), tool.call_id
    spans = live.spans_of("p1")
    assert len({span.span_id for span in spans}) == len(spans)
    assert max(span.ended_at_ns for span in spans) <= live.stock("off").log_events["at_ns"]


@off_and_on
def test_a_run_that_was_switched_off_is_counted_as_incomplete(live: LiveEvidence) -> None:
    assert live.telemetry.sum_of("cline.run.completed", cline_outcome="incomplete") == 1
    assert live.telemetry.sum_of("cline.run.completed", cline_outcome="completed") == 1


@erased
def test_erasing_leaves_nothing_of_what_a_run_did_in_spool_journal_or_write_ahead_log(live: LiveEvidence) -> None:
    stock = live.stock("erased")
    assert list((stock.state / "spool").iterdir()) == []
    assert stock.pending_items() == 0
    assert stock.stored["outbox"] == stock.stored["dead_letters"] == []
    left = live.traces_of("p1", stock.state)
    # Ids of sessions and facts stay in the journal's state (docs/control.md).
    assert [line for line in left if not line.startswith(("session", "agent")) or "journal.db" not in line] == []


@erased
def test_nothing_of_an_erased_run_ever_arrives(live: LiveEvidence) -> None:
    assert live.spans_of("p2") == live.telemetry.spans
    assert live.traces_of("p1", *live.folder.glob("endpoint/*.jsonl")) == []


# --- the bridge is killed in the middle of a run -------------------------------------------------------


@bridge_killed
def test_a_bridge_that_is_killed_twice_in_a_run_tells_it_once_and_wholly(live: LiveEvidence) -> None:
    assert live.stock("killed with much that waits").pending_items() > 0
    live.assert_is_told_once_and_wholly("p1")
    assert live.spans_of("p1") == live.telemetry.spans
    uids = [log.attributes["log.record.uid"] for log in live.telemetry.logs]
    assert uids
    assert len(set(uids)) == len(uids)


@bridge_killed
def test_a_bridge_that_is_killed_counts_every_token_once(live: LiveEvidence) -> None:
    session = live.sessions["p1"]
    usage = "gen_ai.client.token.usage"
    assert live.telemetry.sum_of(usage, gen_ai_token_type="input") == session.input_tokens
    assert live.telemetry.sum_of(usage, gen_ai_token_type="output") == session.output_tokens
    assert live.telemetry.sum_of("cline.run.started") == 1
    assert live.telemetry.sum_of("cline.run.completed") == 1


def _is_before_off(turn: int) -> bool:
    return turn < FIRST_HELD_TURN
