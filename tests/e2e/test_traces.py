"""That the spans at the collector are what really happened: all of it, nothing else, in the right place and time."""

from __future__ import annotations

from collections import Counter

import pytest

from .matching import CALL_ID, Matching
from .telemetry import Span, Telemetry

_MILLISECOND_NS = 1_000_000
_TOOLS_BUILT_IN = {"search_codebase", "read_files", "editor", "run_commands", "spawn_agent"}


def test_no_span_comes_twice(telemetry: Telemetry) -> None:
    assert telemetry.spans
    assert not [span_id for span_id, count in Counter(span.span_id for span in telemetry.spans).items() if count > 1]


def test_every_model_call_is_one_chat_span(matching: Matching) -> None:
    for call in matching.evidence.model_calls:
        assert len(matching.chat_spans(call)) == 1, f"{call.agent} turn {call.turn}"


def test_every_chat_span_is_a_model_call(matching: Matching) -> None:
    told = {span.span_id for call in matching.evidence.model_calls for span in matching.chat_spans(call)}
    assert [span for span in matching.chats if span.span_id not in told] == []


def test_a_chat_span_contains_the_servers_interval_with_all_attempts(matching: Matching) -> None:
    for call in matching.evidence.model_calls:
        (span,) = matching.chat_spans(call)
        # Cline's clock has milliseconds, and cuts off the rest.
        assert span.started_at_ns <= call.started_at_ns
        assert span.ended_at_ns >= call.ended_at_ns // _MILLISECOND_NS * _MILLISECOND_NS


def test_a_chat_span_has_the_tokens_and_the_model_that_the_server_saw(matching: Matching) -> None:
    for call in matching.evidence.model_calls:
        (span,) = matching.chat_spans(call)
        assert span.attributes["gen_ai.request.model"] == call.attempts[-1].model
        assert span.attributes["gen_ai.provider.name"] == matching.evidence.scenario.provider
        if call.answer is not None:
            assert span.attributes["gen_ai.usage.input_tokens"] == call.answer.input_tokens
            cached = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
            read, written = (span.attributes.get(name, 0) for name in cached)
            assert (read, written) == (call.answer.cache_read_tokens, call.answer.cache_write_tokens)


def test_a_model_call_fails_only_if_it_is_never_answered(matching: Matching) -> None:
    for call in matching.evidence.model_calls:
        (span,) = matching.chat_spans(call)
        assert span.failed == (call.answer is None)
        assert ("error.type" in span.attributes) == (call.answer is None)


def test_every_tool_call_is_one_tool_span(matching: Matching) -> None:
    for tool in matching.evidence.tool_calls:
        assert len(matching.tool_spans(tool.call_id)) == 1, f"{tool.name} {tool.call_id}"


def test_every_tool_span_is_a_tool_call(matching: Matching) -> None:
    asked = {tool.call_id for tool in matching.evidence.tool_calls}
    assert [span for span in matching.tools if span.attributes.get(CALL_ID) not in asked] == []


def test_a_tool_span_has_clines_own_start_and_end(matching: Matching) -> None:
    for tool in matching.evidence.tool_calls:
        if tool.hook is not None:
            (span,) = matching.tool_spans(tool.call_id)
            assert (span.started_at_ns, span.ended_at_ns) == (tool.hook.started_at_ns, tool.hook.ended_at_ns)
            assert span.attributes["cline.agent.id"] == tool.hook.agent_id
            assert span.attributes["cline.iteration"] == tool.hook.iteration


def test_a_tool_span_tells_whether_the_tool_really_worked(matching: Matching) -> None:
    for tool in matching.evidence.tool_calls:
        (span,) = matching.tool_spans(tool.call_id)
        assert span.attributes["cline.outcome"] == tool.outcome, f"{tool.name} {tool.call_id}"
        assert span.failed == (tool.outcome != "success")
        assert ("error.type" in span.attributes) == span.failed


def test_a_tool_is_named_only_if_it_is_one_of_clines_own(matching: Matching) -> None:
    server = matching.evidence.words["server_word"]
    for tool in matching.evidence.tool_calls:
        (span,) = matching.tool_spans(tool.call_id)
        is_own = tool.name in _TOOLS_BUILT_IN or tool.name.startswith("team_")
        assert span.attributes["gen_ai.tool.name"] == (tool.name if is_own else "_OTHER")
        is_mcp = tool.name.startswith(server)
        assert (span.attributes.get("mcp.method.name") == "tools/call") == is_mcp


def test_calls_are_children_of_their_agents_run(matching: Matching) -> None:
    runs = matching.runs_of_agents()
    for call in matching.evidence.model_calls:
        (span,) = matching.chat_spans(call)
        assert span.parent_span_id in {run.span_id for run in runs[call.agent]}
    for tool in matching.evidence.tool_calls:
        (span,) = matching.tool_spans(tool.call_id)
        asked_by = {
            chat.parent_span_id
            for call in matching.evidence.model_calls
            if (call.agent, call.turn) == (tool.agent, tool.turn)
            for chat in matching.chat_spans(call)
        }
        assert {span.parent_span_id} == asked_by


def test_every_agents_run_has_model_calls_of_one_agent_only(matching: Matching) -> None:
    runs = matching.runs_of_agents()
    owners = Counter(run.span_id for spans in runs.values() for run in spans)
    assert owners == Counter(run.span_id for run in matching.agent_runs)


def role_of(span: Span) -> str:
    """What an agent is; its name on spans has a number besides, which tells it from others of the session."""
    return str(span.attributes["gen_ai.agent.name"]).partition(" ")[0]


def test_an_agent_is_below_the_call_that_set_it_to_work(matching: Matching) -> None:
    for agent, runs in matching.runs_of_agents().items():
        maker = matching.evidence.makers.get(agent)
        for run in runs:
            if maker is None:
                assert run.parent_span_id == ""
                assert run.attributes["gen_ai.agent.name"] == "cline"
            else:
                (tool,) = matching.tool_spans(maker.call_id)
                assert run.parent_span_id == tool.span_id
                is_spawned = maker.name == "spawn_agent"
                assert role_of(run) == ("subagent" if is_spawned else "teammate")


def test_a_span_is_in_the_trace_and_within_the_time_of_its_parent(telemetry: Telemetry) -> None:
    for span in telemetry.spans:
        parent = telemetry.by_id.get(span.parent_span_id)
        assert (parent is None) == (span.parent_span_id == "")
        if parent is not None:
            assert span.trace_id == parent.trace_id
            assert parent.started_at_ns <= span.started_at_ns <= span.ended_at_ns
            # A teammate works on after the call that set it to work.
            assert span.ended_at_ns <= parent.ended_at_ns or role_of(span) == "teammate"


def test_a_trace_has_one_root_and_later_roots_of_a_session_link_to_the_one_before(matching: Matching) -> None:
    roots = sorted((run for run in matching.agent_runs if not run.parent_span_id), key=lambda run: run.started_at_ns)
    assert len({root.trace_id for root in roots}) == len(roots)
    assert {span.trace_id for span in matching.telemetry.spans} == {root.trace_id for root in roots}
    last_of_session: dict[str, Span] = {}
    for root in roots:
        session_id = root.attributes["gen_ai.conversation.id"]
        before = last_of_session.get(session_id)
        assert root.links == (() if before is None else ((before.trace_id, before.span_id),))
        last_of_session[session_id] = root


def test_the_spans_of_a_session_sum_up_to_what_its_files_say(matching: Matching) -> None:
    for session in matching.evidence.sessions.values():
        chats = [chat for chat in matching.chats if chat.attributes["gen_ai.conversation.id"] == session.session_id]

        def total(name: str, spans: list[Span] = chats) -> float:
            return sum(float(span.attributes.get(name, 0)) for span in spans)

        assert total("gen_ai.usage.input_tokens") == session.input_tokens
        assert total("gen_ai.usage.output_tokens") == session.output_tokens
        assert total("gen_ai.usage.cache_read.input_tokens") == session.cache_read_tokens
        assert total("gen_ai.usage.cache_creation.input_tokens") == session.cache_write_tokens
        assert total("cline.cost_usd") == pytest.approx(session.cost_usd)


def test_a_run_ends_as_cline_did_and_belongs_to_clines_session(matching: Matching) -> None:
    outcomes = matching.evidence.outcomes
    runs = matching.runs_of_agents()
    assert {play for play, _ in runs} == outcomes.keys()
    for (play, _), spans in runs.items():
        for span in spans:
            assert span.attributes["cline.outcome"] == outcomes[play]
            assert span.failed == (outcomes[play] == "failed")
            assert span.attributes.get("error.type") == ("auth" if span.failed else None)
            assert span.attributes["cline.telemetry.source"] == "plugin"
            assert span.attributes["gen_ai.conversation.id"] == matching.evidence.sessions[play].session_id


def test_only_what_was_killed_lacks_an_end(matching: Matching) -> None:
    for span in matching.telemetry.spans:
        is_cut_short = span.attributes.get("cline.outcome") == "incomplete"
        assert span.attributes.get("cline.incomplete", False) == is_cut_short, span.name
        assert not is_cut_short or "incomplete" in matching.evidence.outcomes.values()
