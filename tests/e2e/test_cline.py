"""That the scenarios are what they claim to be: Cline did its part, and the witnesses agree with each other."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from .evidence import Evidence
from .scripts import SCRIPTS

UNKNOWN_TOOLS = ("consult_", "no_such_tool")


def test_cline_plays_the_scenario_to_its_end(evidence: Evidence) -> None:
    assert not evidence.failure, f"{evidence.failure}; see {evidence.folder}"
    expected = [(run.script, run.exit_code) for run in evidence.scenario.runs]
    assert [(run["script"], run["exit_code"]) for run in evidence.runs] == expected


def test_the_model_is_asked_for_every_turn_of_every_script(evidence: Evidence) -> None:
    asked = Counter((call.agent, call.turn) for call in evidence.model_calls)
    for run, finished in zip(evidence.scenario.runs, evidence.runs, strict=True):
        for script in _scripts_of(run.script):
            turns = len(SCRIPTS[script]) - (1 if run.signalled else 0)
            missing = [turn for turn in range(turns) if not asked[(finished["play"], script), turn]]
            assert not missing, f"{script} was not asked for turns {missing}"


def test_cline_retries_a_refusal_and_gives_up_on_a_fatal_one(evidence: Evidence) -> None:
    for call in evidence.model_calls:
        turns = SCRIPTS[call.agent[1]]
        refusals = turns[call.turn].refusals if call.turn < len(turns) else ()
        statuses = tuple(attempt.status for attempt in call.attempts)
        assert statuses in {(*refusals, 200), refusals[:1] if 401 in refusals else (200,)}


def test_every_tool_runs_but_for_those_that_do_not_exist(evidence: Evidence) -> None:
    for tool in evidence.tool_calls:
        is_unknown = tool.name.startswith(UNKNOWN_TOOLS)
        assert (tool.outcome == "rejected") == is_unknown, f"{tool.name} {tool.call_id}"


def test_the_session_files_count_the_tokens_that_the_server_counted(evidence: Evidence) -> None:
    for run in evidence.runs:
        session = evidence.sessions[run["play"]]
        answers = [each for each in evidence.requests if each.play == run["play"] and each.status == 200]
        assert session.model_calls == len(answers)
        assert session.input_tokens == sum(answer.input_tokens for answer in answers)
        assert session.output_tokens == sum(answer.output_tokens for answer in answers)
        assert session.cache_read_tokens == sum(answer.cache_read_tokens for answer in answers)
        assert session.cache_write_tokens == sum(answer.cache_write_tokens for answer in answers)


def test_a_later_run_executes_in_the_hub_daemon_where_it_is_expected_to(evidence: Evidence) -> None:
    told_by_cline_itself = {
        record["properties"].get("sessionId")
        for record in _log_records(evidence)
        if record.get("event") == "task.provider_request_started"
    }
    for run, finished in zip(evidence.scenario.runs, evidence.runs, strict=True):
        if run.in_hub:
            assert evidence.sessions[finished["play"]].session_id not in told_by_cline_itself


def test_cline_has_nothing_to_say_of_the_plugin(evidence: Evidence) -> None:
    said = [record["msg"] for record in _log_records(evidence) if "event" not in record]
    assert said
    assert [message for message in said if "plugin" in message.lower()] == []


def _log_records(evidence: Evidence) -> list[dict[str, Any]]:
    (log,) = evidence.folder.glob("home-*/.cline/data/logs/cline.log")
    return [json.loads(line) for line in log.read_text().splitlines()]


def _scripts_of(script: str) -> list[str]:
    found = [script]
    for turn in SCRIPTS[script]:
        for tool in turn.tools:
            task = str(tool.arguments.get("task", ""))
            for child in SCRIPTS:
                if f"{{play:{child}}}" in task:
                    found += _scripts_of(child)
    return found
