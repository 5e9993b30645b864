"""A tool's result has one outcome and an edit one size, whether the plugin or the bridge looks at it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from cline_otel.sources.conversations.edits import change_of
from cline_otel.sources.conversations.outcome import Outcome, outcome_of, output_of
from source_tree import needs_source
from waiting import PATIENCE_SECONDS

HERE: Final = Path(__file__).parent
OUTCOMES: Final[list[dict[str, Any]]] = json.loads((HERE / "outcomes.json").read_text(encoding="utf-8"))
NODE: Final = shutil.which("node")
needs_node: Final = pytest.mark.skipif(NODE is None, reason="needs node")
CREATED: Final = {"result": "File created successfully at: x", "success": True}
EDITED: Final = {"result": "Edited x", "success": True}


def by_the_plugin(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert NODE is not None
    finished = subprocess.run(
        [NODE, str(HERE / "results_of_calls.mjs")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    answers: list[dict[str, Any]] = json.loads(finished.stdout)
    return answers


def as_fields(outcome: Outcome) -> dict[str, object]:
    fields = outcome._asdict() | {"is_mcp": outcome.is_mcp or None}
    return {name: value for name, value in fields.items() if value is not None}


def by_the_bridge(call: dict[str, Any]) -> dict[str, object]:
    result = call["result"]
    is_error = result.get("isError") is True
    return as_fields(outcome_of(call["tool"], result.get("output"), is_error=is_error, ran=call["ran"]))


@pytest.mark.parametrize("case", OUTCOMES, ids=[case["name"] for case in OUTCOMES])
def test_the_bridge_sees_the_outcome_that_the_plugin_sees(case: dict[str, Any]) -> None:
    assert by_the_bridge(case) == case["expected"]


@pytest.mark.parametrize("case", OUTCOMES, ids=[case["name"] for case in OUTCOMES])
def test_a_result_says_the_same_as_the_text_that_cline_s_files_have(case: dict[str, Any]) -> None:
    output = case["result"].get("output")
    if isinstance(output, dict):
        assert output_of(json.dumps(output)) == output
    else:
        assert output_of(output) == output


@pytest.mark.parametrize("text", ["{", "{not json}", "[1]", "plain", "", "{" * 5_000, '{"a": 1}{'])
def test_a_text_that_is_no_object_stays_a_text(text: str) -> None:
    assert output_of(text) == text


@needs_node
@needs_source
def test_odd_results_have_one_outcome() -> None:
    odd: list[object] = [None, True, 0, "", "x", [], {}, [[]], [None, 1, "x"], {"error": 1}, {"error": ""}]
    odd += [{"success": 0}, {"isError": "yes"}, {"content": []}, {"iterations": 1.5, "finishReason": "error"}]
    odd += [{"iterations": True, "finishReason": "error"}, {"iterations": 2, "finishReason": ["error"]}]
    odd += [{"error": "Command exited with code 12345678901"}, [{"success": False}, {"error": "timed out after 3 s"}]]
    calls = [
        {"tool": tool, "input": None, "result": {"output": output, "isError": is_error}, "ran": ran}
        for output in odd
        for tool in ("editor", "crm__find", "__x", "x__", "a")
        for is_error in (True, False, "true")
        for ran in (True, False)
    ]
    for call, answer in zip(calls, by_the_plugin(calls), strict=True):
        assert by_the_bridge(call) == answer["outcome"], call


@needs_node
@needs_source
def test_edits_have_one_size() -> None:
    random = Random(7)

    def text() -> str:
        ends = ("\n", "\r\n")
        lines = "".join(random.choice("abc") + random.choice(ends) for _ in range(random.randrange(9)))
        return lines + random.choice(["", "d"])

    def patch() -> str:
        heads = ("+", "-", " ", "*** Add File: ", "*** Update File: ", "*** Move to: ", "*** Delete File: ", "@@")
        return "\n".join(random.choice(heads) + "x" for _ in range(random.randrange(9)))

    inputs: list[tuple[str, object]] = []
    for _ in range(300):
        inputs.append(("editor", {"new_text": text(), "old_text": text()}))
        inputs.append(("editor", {"new_text": text(), "insert_line": random.choice([None, 3])}))
        inputs.append(("apply_patch", random.choice([patch(), {"input": patch()}])))
    for size in (4_095, 4_096, 4_097):
        inputs += [("editor", {"new_text": "\n" * size, "old_text": "a"}), ("apply_patch", "+\n" * size)]
    for size in (512 * 1024, 512 * 1024 + 1):
        inputs += [("editor", {"new_text": "x" * size, "old_text": "a"}), ("apply_patch", "+" * size)]
    inputs += [("editor", {"new_text": 1}), ("editor", None), ("apply_patch", {"input": 1}), ("read_files", {})]
    for output in (CREATED, EDITED, "File created successfully", None):
        calls = [{"tool": tool, "input": given, "result": {"output": output}, "ran": True} for tool, given in inputs]
        for (tool, given), answer in zip(inputs, by_the_plugin(calls), strict=True):
            assert change_of(tool, given, output) == answer["change"], (tool, str(given)[:200], output)


@needs_node
@needs_source
def test_what_the_bridge_counts_in_larger_edits_is_what_the_plugin_counts_where_it_does() -> None:
    random = Random(11)
    counted = 0
    calls = []
    for _ in range(40):
        before = [f"line {random.randrange(200)}" for _ in range(random.randrange(400))]
        after = [line for line in before if random.random() > 0.2]
        for _ in range(random.randrange(60)):
            after.insert(random.randrange(len(after) + 1), f"new {random.randrange(50)}")
        given = {"old_text": "\n".join(before), "new_text": "\n".join(after)}
        calls.append({"tool": "editor", "input": given, "result": {"output": EDITED}, "ran": True})
    for call, answer in zip(calls, by_the_plugin(calls), strict=True):
        if "lines_added" in answer["change"]:
            counted += 1
            assert change_of("editor", call["input"], EDITED) == answer["change"]
    assert counted > len(calls) // 2
