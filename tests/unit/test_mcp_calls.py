"""An MCP call that the plugin and the VS Code extension both report counts once, whichever is read first."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import SECOND_NS, event_of

START_NS = 1_790_000_000 * SECOND_NS
SERVER = {"cline.mcp.server.hash": "b" * 32}


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def told(kind: str, seconds: float, **fields: Any) -> Event:
    values = {name.replace("__", "."): value for name, value in fields.items()}
    return event_of(kind, "plugin", at(seconds), kind, "s", "a", "r", 1, "", "p", values)


def started(seconds: float, ordinal: int = 0) -> Event:
    return told("tool_call.started", seconds, ordinal=ordinal, gen_ai__tool__name="_OTHER")


def finished(seconds: float, ordinal: int = 0, outcome: str = "success") -> Event:
    values = {"gen_ai__tool__name": "_OTHER", "cline__outcome": outcome, "is_mcp": True}
    return told("tool_call.finished", seconds, ordinal=ordinal, **values, cline__mcp__server__hash="b" * 32)


def extension(seconds: float, variant: str | None = "next") -> Event:
    values: dict[str, Any] = {"cline.reason": "success", "cline.outcome": "success", **SERVER}
    if variant is not None:
        values["cline.extension.variant"] = variant
    name = "task.mcp_tool_called"
    # Its id is made for the record.
    return event_of("log_event", "otlp", at(seconds), name, f"sdk-{seconds}", "", "", 0, "", "", values)


def outputs_of(*steps: Event, restarts: bool = False) -> StepOutput:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    rows: dict[str, bytes | None] = {}
    whole = StepOutput()
    for step in (tick(START_NS), told("run.started", 0), *steps, tick(at(60))):
        translator.step(step)
        taken = translator.take()
        whole.metrics += taken.metrics
        whole.logs += taken.logs
        whole.spans += taken.spans
        whole.diagnostics.update(taken.diagnostics)
        if restarts:
            rows |= translator.state.changes()
            stored = [(key, row) for key, row in rows.items() if row is not None]
            translator = Translator(CATALOGUE, State.restore(stored), claim_wait_ns=0)
    return whole


def counted(outputs: StepOutput, metric: str = "cline.mcp.calls") -> list[object]:
    return [dict(each.attributes).get("cline.outcome") for each in outputs.metrics if each.metric == metric]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_owner_counts_it_where_the_extension_reports_it_behind_its_end_or_while_it_is_open(restarts: bool) -> None:
    call = [started(1), finished(3, outcome="error")]
    for steps in ([*call, extension(3.001)], [call[0], extension(3), call[1]]):
        outputs = outputs_of(*steps, restarts=restarts)
        assert counted(outputs) == ["error"]
        assert len(counted(outputs, "cline.feature.used")) == 1
        assert [log.event_name for log in outputs.logs if log.event_name == "cline.mcp.called"] == []
        assert outputs.diagnostics["superseded", "otlp", "task.mcp_tool_called"] == 1


def test_what_is_read_before_the_call_began_counts_and_the_call_does_not_again() -> None:
    outputs = outputs_of(extension(3), started(1), finished(3, outcome="error"))
    assert counted(outputs) == ["success"]
    assert len(counted(outputs, "cline.feature.used")) == len(counted(outputs, "cline.tool.calls")) == 1
    assert [span.name for span in outputs.spans] == ["execute_tool _OTHER"]


def test_calls_beside_each_other_count_once_each_in_whatever_order_both_sources_are_read() -> None:
    own = [[started(1, 0), finished(3, 0)], [started(1.1, 1), finished(3.002, 1)]]
    others = [extension(3.001), extension(3.003)]
    for order in permutations([*own, *([each] for each in others)]):
        assert len(counted(outputs_of(*(step for steps in order for step in steps)))) == 2


@pytest.mark.parametrize("variant", ["legacy", None])
def test_what_classic_cline_reports_is_a_call_of_its_own(variant: str | None) -> None:
    assert len(counted(outputs_of(started(1), finished(3), extension(3, variant)))) == 2


def test_without_the_plugin_s_call_the_extension_s_report_counts() -> None:
    assert len(counted(outputs_of(extension(3), extension(3), extension(9)))) == 3
    assert len(counted(outputs_of(started(1), finished(3), extension(6)))) == 2


@pytest.mark.parametrize(
    ("name", "reported", "is_the_call"),
    [
        ("_OTHER", 1, True),
        ("files__read", 1, True),
        ("files__read", 5, True),
        ("files__read", 0.999, False),
        ("read_files", 1, False),
    ],
)
def test_a_report_is_of_a_call_that_is_open_then_and_may_be_one_by_its_name(
    name: str, reported: float, is_the_call: bool
) -> None:
    outputs = outputs_of(told("tool_call.started", 1, ordinal=0, gen_ai__tool__name=name), extension(reported))
    assert counted(outputs) == ([] if is_the_call else ["success"])


def test_a_call_that_has_ended_is_not_open() -> None:
    ended = told("tool_call.finished", 2, ordinal=0, gen_ai__tool__name="files__read", cline__outcome="success")
    outputs = outputs_of(told("tool_call.started", 1, ordinal=0, gen_ai__tool__name="files__read"), ended, extension(9))
    assert counted(outputs) == ["success"]
