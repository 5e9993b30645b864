"""What is made of the bundled recordings is as true as ``docs/fidelity.md`` says."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bench import fidelity
from bench.fixed_key import replay_of
from bench.mixes import IMPORTED, LIVE, WAYS, Mixed
from bench.truth import ModelCallTruth, UsageTruth, read_truth

from cline_otel.sources.registry import SOURCES
from corpus import CAPTURES

MEASURED = fidelity.measure_all(CAPTURES)
PLUGIN = next(measured for measured in MEASURED if measured.recording == "plugin_basic" and measured.source == "plugin")


@cache
def mixed() -> list[Mixed]:
    """It takes some time, so whoever needs none of it does not wait for it."""
    return fidelity.mix_all(CAPTURES)


def test_every_limit_is_met() -> None:
    assert fidelity.failures(MEASURED) == []


def test_each_mix_is_told_as_its_owners_tell_it_alone() -> None:
    assert list(fidelity.failures_of_mixes(mixed())) == []


def test_every_recording_with_two_sources_is_measured_in_each_way() -> None:
    """The sources of the bundled recordings that no mix has are those of folders of their own."""
    assert {name for m in mixed() for name in m.mix} == SOURCES.keys() - {"roo-code", "kilo-code"}
    assert {m.way for m in mixed()} == set(WAYS)
    assert {m.measured.recording for m in mixed() if len(m.mix) == 5} >= {"plugin_basic", "subagents_plugin"}


def test_only_what_a_stream_alone_told_live_is_told_twice() -> None:
    """``docs/sources.md`` says so."""
    twice = [m for m in mixed() if m.twice]
    assert {m.way for m in twice} == {IMPORTED}
    assert all("json-stream" in m.mix and "plugin" not in m.mix for m in twice)
    assert all(m.twice <= m.prompts / 2 for m in twice)


def test_the_page_is_up_to_date() -> None:
    """Else: ``python -m bench.fidelity --write``."""
    page = fidelity.as_page(fidelity.rows(MEASURED), fidelity.mix_rows(mixed()))
    assert fidelity.PAGE.read_text(encoding="utf-8") == page


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


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompts": 2}, "2 prompts, the owners tell 1"),
        ({"answered": 7}, "7 answered model calls, the owners tell 8"),
        ({"measured": {"model_calls": 16}}, "16 model calls, the owners tell 8"),
        ({"measured": {"tool_calls": 14}}, "14 tool calls, the owners tell 7"),
        ({"measured": {"unmatched": 8}}, "8 chat spans have no call of the server"),
        ({"measured": {"end_slack_ms": (0.0,) * 8}}, "calls begin or end at other times than their owners tell"),
        ({"measured": {"usage_differences": 1}}, "1 chat spans have other tokens"),
        ({"measured": {"cost_difference_usd": 0.01}}, "cost differs by 0.010000000 USD"),
        ({"sums": ("cline.cost is 2, of the owners 1",)}, "cline.cost is 2, of the owners 1"),
    ],
)
def test_a_mix_that_is_not_told_as_its_owners_tell_it_is_said(changes: dict[str, Any], sentence: str) -> None:
    (m, *_) = (m for m in mixed() if m.measured.recording == "plugin_basic" and m.way == LIVE)
    measured = msgspec.structs.replace(m.measured, **changes.get("measured", {}))
    changed = msgspec.structs.replace(m, **{**changes, "measured": measured})
    assert any(sentence in problem for problem in fidelity.failures_of_mixes([changed]))


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
