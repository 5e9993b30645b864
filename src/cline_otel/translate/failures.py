"""Failures that several tell: each counts once in ``cline.errors``, by the span that tells it.

Cline tells one failure up to four times: the model call, the run that it takes along, a record of its SDK that names
neither of them, and one of the session. The first two are spans. A report beside them waits until the sources that
tell spans have had their say; if a span tells of the same failure it counts there alone, with the span's class, else
the report counts itself. So the order in which sources are read does not matter, nor which of them there are.

A report is the failure of a span of the same session and call that failed at about the same time; of the same model
where they do not both say the session. Each span has at most one report of each name: what is told twice by one name
happened twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel import ids
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue
from cline_otel.translate.heard import ReportedFailure, ToldFailure
from cline_otel.translate.output import Output
from cline_otel.translate.state import State

SAME_FAILURE_NS: Final = 5_000_000_000
"""How far the times of one failure are apart at most: 1 to 20 ms in recordings, and a run ends a moment later."""

AWAITED_NS: Final = 10_000_000_000
"""How long a report waits for a span, by the bridge's clock: the plugin's spool is read seconds after OTLP came."""

REMEMBERED_NS: Final = 60_000_000_000
"""How long a failed span is remembered, by the bridge's clock: a report comes after it or shortly before."""

MOST_REMEMBERED: Final = 64
"""Failures, and as many reports that wait: of more than that the oldest are decided on."""

_TOLD_BY: Final[Mapping[str, frozenset[str]]] = {
    "run": frozenset({"run", "run_with_call", "model_call"}),
    "model_call": frozenset({"run", "model_call"}),
    "call": frozenset({"call", "edit"}),
    "edit": frozenset({"edit"}),
}
"""By whose failure a report tells, the spans that tell it."""


def tell(
    state: State,
    kind: str,
    occurred_at_ns: int,
    session_id: str,
    values: Mapping[str, AttributeValue],
    call_id: str = "",
) -> None:
    """A span tells of a failure; reports of it need no count of their own.

    Args:
        state: the translator's memory.
        kind: as ``ToldFailure`` has it.
        occurred_at_ns: when it failed, nanoseconds since the Unix epoch.
        session_id: empty if it is not known.
        values: the span's.
        call_id: of a tool call, empty if it has none.
    """
    heard = state.heard
    seen_at_ns = max(state.now_ns, occurred_at_ns)
    told = ToldFailure(kind, occurred_at_ns, seen_at_ns, session_id, _model_in(values), ids.mark_of_call(call_id))
    for report in list(heard.reported_failures):
        if _is_same(told, report):
            told.repeated_by.append(report.name)
            heard.reported_failures.remove(report)
    heard.told_failures.append(told)
    del heard.told_failures[:-MOST_REMEMBERED]
    state.touch("heard", "")


def report(
    state: State,
    output: Output,
    of: str,
    name: str,
    values: Mapping[str, AttributeValue],
    occurred_at_ns: int,
    owner: str,
) -> None:
    """A report of a failure; it counts once it is known that no span tells it.

    Args:
        state: the translator's memory.
        output: where it is counted.
        of: whose failure it is, as ``model.Repeat`` has it.
        name: of the log record.
        values: the log record's.
        occurred_at_ns: when it failed, nanoseconds since the Unix epoch.
        owner: the source whose service it counts for.
    """
    heard = state.heard
    reported = ReportedFailure(
        of,
        occurred_at_ns,
        max(state.now_ns, occurred_at_ns),
        str(values.get("gen_ai.conversation.id", "")),
        _model_in(values),
        ids.mark_of_call(str(values.get("gen_ai.tool.call.id", ""))),
        f"{name} {values.get('cline.operation', '')}",
        str(values.get("cline.error.kind", "")),
        str(values.get("error.type", OTHER)),
        owner,
    )
    same = [told for told in heard.told_failures if _is_same(told, reported)]
    state.touch("heard", "")
    if same:
        nearest = min(same, key=lambda told: abs(told.occurred_at_ns - reported.occurred_at_ns))
        nearest.repeated_by.append(reported.name)
        return
    heard.reported_failures.append(reported)
    for oldest in heard.reported_failures[:-MOST_REMEMBERED]:
        _count(state, output, oldest)


def look(state: State, output: Output) -> None:
    """What time it is: counts the reports that have waited long enough, and forgets the oldest failures.

    A report that came later than it is now came now: its clock is ahead, or ours was set back while we did not run.
    """
    heard, now_ns = state.heard, state.now_ns
    for waiting in list(heard.reported_failures):
        if waiting.seen_at_ns > now_ns:
            waiting.seen_at_ns = now_ns
            state.touch("heard", "")
        elif now_ns - waiting.seen_at_ns >= AWAITED_NS:
            _count(state, output, waiting)
    if heard.told_failures and now_ns - heard.told_failures[0].seen_at_ns > REMEMBERED_NS:
        heard.told_failures = [told for told in heard.told_failures if now_ns - told.seen_at_ns <= REMEMBERED_NS]
        state.touch("heard", "")


def count_waiting(state: State, output: Output) -> None:
    """Counts every report that waits: no span will tell of it."""
    for waiting in list(state.heard.reported_failures):
        _count(state, output, waiting)


def _count(state: State, output: Output, reported: ReportedFailure) -> None:
    state.heard.reported_failures.remove(reported)
    state.touch("heard", "")
    output.turn_to(reported.owner)
    values: dict[str, AttributeValue] = {"cline.error.kind": reported.error_kind, "error.type": reported.error_type}
    output.measure("cline.errors", 1, values, reported.occurred_at_ns)


def _is_same(told: ToldFailure, reported: ReportedFailure) -> bool:
    return (
        told.kind in _TOLD_BY[reported.of]
        and abs(told.occurred_at_ns - reported.occurred_at_ns) <= SAME_FAILURE_NS
        and reported.name not in told.repeated_by
        and _may_be_equal(told.call, reported.call)
        and (
            told.session_id == reported.session_id
            if told.session_id and reported.session_id
            else _may_be_equal(told.model, reported.model)
        )
    )


def _may_be_equal(one: str | bytes, other: str | bytes) -> bool:
    return not one or not other or one == other


def _model_in(values: Mapping[str, AttributeValue]) -> str:
    model = str(values.get("gen_ai.request.model", ""))
    return "" if model == OTHER else model
