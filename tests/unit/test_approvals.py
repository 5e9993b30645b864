"""What was decided before tools ran is counted where a source knows it, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.translate.step import Translator
from corpus import SECOND_NS, event_of

START_NS = 1_790_000_000 * SECOND_NS


def told(kind: str, seconds: int, run: str = "a/r", **attributes: Any) -> Event:
    agent_id, _, run_id = run.partition("/")
    session_id = "s" if run else ""
    at_ns = START_NS + seconds * SECOND_NS
    return event_of(kind, "otlp", at_ns, kind, session_id, agent_id, run_id, 1, "", "", attributes)


def decisions(*steps: Event) -> list[object]:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (tick(START_NS), *steps, tick(START_NS + 9 * SECOND_NS)):
        translator.step(step)
    metrics = translator.take().metrics
    return [dict(delta.attributes)["cline.approval.decision"] for delta in metrics if delta.metric == "cline.approvals"]


def named(auto_approved: bool, success: bool, run: str = "a/r") -> Event:
    values = {"gen_ai.tool.name": "editor", "auto_approved": auto_approved, "cline.success": success}
    return told("tool_call.named", 4, run, **values)


@pytest.mark.parametrize("has_span", [True, False])
@pytest.mark.parametrize(
    ("auto_approved", "success", "counted"),
    [
        (True, True, ["auto_approved"]),
        (True, False, ["auto_approved"]),
        (False, True, ["approved"]),
        (False, False, []),
    ],
)
def test_of_a_run_s_call_that_failed_after_somebody_was_asked_no_decision_is_counted(
    has_span: bool, auto_approved: bool, success: bool, counted: list[str]
) -> None:
    """It was denied, or approved and threw: its source says the same of both."""
    call = (told("tool_call.started", 2), told("tool_call.finished", 3)) if has_span else ()
    assert decisions(told("run.started", 1), *call, named(auto_approved, success)) == counted


@pytest.mark.parametrize(("success", "decision"), [(True, "approved"), (False, "denied")])
def test_of_classic_cline_s_calls_success_is_the_decision(success: bool, decision: str) -> None:
    """Its handlers report a call when it is decided whether it may run, and none when it has."""
    assert decisions(named(auto_approved=False, success=success, run="")) == [decision]
