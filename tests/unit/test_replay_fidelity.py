"""What is made of the bundled recordings is as true as ``docs/fidelity.md`` says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from bench import fidelity
from bench.fixed_key import replay_of
from bench.truth import ModelCallTruth, UsageTruth, read_truth

from cline_otel.sources.registry import SOURCES
from corpus import CAPTURES

MEASURED = fidelity.measure_all(CAPTURES)
PLUGIN = next(measured for measured in MEASURED if measured.recording == "plugin_basic" and measured.source == "plugin")


def test_every_limit_is_met() -> None:
    assert fidelity.failures(MEASURED) == []


def test_the_page_is_up_to_date() -> None:
    """Else: ``python -m bench.fidelity --write``."""
    assert fidelity.PAGE.read_text(encoding="utf-8") == fidelity.as_page(fidelity.rows(MEASURED))


def test_every_bundled_recording_that_has_runs_is_measured() -> None:
    assert {m.recording for m in MEASURED} == {
        path.name for path in CAPTURES.iterdir() if not path.name.startswith(("kilo_code", "roo_code"))
    }


def test_figures_are_expected_of_known_sources_only() -> None:
    assert {source for sources in fidelity.expectations().values() for source in sources} <= SOURCES.keys()


@pytest.mark.parametrize("recording", sorted({m.recording for m in MEASURED if m.source == "plugin"}))
def test_the_plugin_is_expected_to_see_all_that_the_server_saw(recording: str) -> None:
    truth = read_truth(CAPTURES / recording)
    model_calls, tool_calls = fidelity.expectations()[recording]["plugin"]
    assert (model_calls, tool_calls) == (len(truth.model_calls), sum(len(call.tools) for call in truth.model_calls))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_calls": 7}, "7 model calls, expected 8"),
        ({"tool_calls": 9}, "9 tool calls, expected 7"),
        ({"unmatched": 1}, "1 chat spans have no call of the server"),
        ({"start_slack_ms": (-1.0,) * 8}, "8 chat spans do not contain the server's interval"),
        ({"tool_start_ms": (0.0, 1.0)}, "tool starts differ from Cline's clock by up to 1 ms"),
        ({"tool_end_ms": (-2.0, 1.0)}, "tool ends differ from Cline's clock by up to -2 ms"),
        ({"misnamed_tools": 2}, "2 tool spans have another tool's name"),
        ({"usage_differences": 1}, "1 chat spans have other tokens"),
        ({"cost_difference_usd": 0.01}, "cost differs by 0.010000000 USD"),
        ({"end_slack_ms": (21.0,) * 8}, "plugin: the median slack at the end is 21.0 ms"),
    ],
)
def test_a_limit_that_is_not_met_is_said(changes: dict[str, object], sentence: str) -> None:
    assert any(sentence in problem for problem in fidelity.failures([msgspec.structs.replace(PLUGIN, **changes)]))


@pytest.mark.parametrize("source", ["plugin", "cline-log", "otlp"])
def test_the_usage_of_subagents_counts_in_the_metrics_whoever_tells(source: fidelity.RecordingSource) -> None:
    """Without spans of their own where the log or OTLP tells; ``docs/sources.md`` says so."""
    folder = CAPTURES / "subagents_plugin"
    totals = replay_of([folder], source).totals
    used = [total for total in totals if total.metric == "gen_ai.client.token.usage"]
    by_type = {
        kind: sum(total.sum for total in used if ("gen_ai.token.type", kind) in total.attributes)
        for kind in ("input", "output")
    }
    usage = read_truth(folder).usage
    assert by_type == {
        "input": sum(item.input_tokens for item in usage),
        "output": sum(item.output_tokens for item in usage),
    }
    assert sum(total.sum for total in totals if total.metric == "cline.tool.calls") == 8


def test_attempts_of_one_call_are_one_call() -> None:
    (call,) = read_truth(CAPTURES / "plugin_api_500_exhaust").model_calls
    assert (call.attempts, call.error_status) == (6, 500)
    assert isinstance(call, ModelCallTruth)


def test_classic_cline_s_task_files_say_what_was_used_and_the_answers_text_which_tools_were_called(
    tmp_path: Path,
) -> None:
    messages = [
        {"say": "api_req_started", "text": '{"tokensIn":7,"tokensOut":2,"cacheReads":3,"cacheWrites":1,"cost":0.5}'},
        {"say": "text", "text": "Read."},
        {"say": "api_req_started", "text": '{"request":"never answered"}'},
        {"say": "subagent_usage", "text": '{"tokensIn":20,"tokensOut":4}'},
    ]
    task = tmp_path / "legacy" / "tasks" / "1"
    task.mkdir(parents=True)
    (task / "ui_messages.json").write_bytes(msgspec.json.encode(messages))
    answer = {"answer": {"text": "Read.\n<read_file>\n<path>a</path>\n</read_file>"}, "t_start_ns": 1, "t_end_ns": 2}
    (tmp_path / "truth_llm.jsonl").write_bytes(msgspec.json.encode(answer))
    truth = read_truth(tmp_path)
    assert truth.usage == (UsageTruth(True, 11, 2, 0.5), UsageTruth(True, 0, 0), UsageTruth(False, 20, 4))
    assert [call.tools for call in truth.model_calls] == [("read_file",)]
