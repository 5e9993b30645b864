"""The summary of a step adds up what its spans say, and says nothing else."""

from __future__ import annotations

import re

from bench.fixed_key import replay_of

from cline_otel.signals import SpanRecord, StatusCode
from cline_otel.terminal.step_summary import Work, url_of
from corpus import CAPTURES, capture_paths

URL = "https://traces.example/t/{trace_id}?tab=spans"


def rows_of(work: Work, exit_code: int = 0, trace_url: str | None = None) -> dict[str, str]:
    return dict(re.findall(r"^\| ([A-Z][a-z ]+) \| (.*) \|$", work.markdown(exit_code, 1_500_000_000, trace_url), re.M))


def work_of(spans: list[SpanRecord], since_ns: int = 0) -> Work:
    work = Work(since_ns)
    work.add(spans)
    return work


def operations(spans: list[SpanRecord], name: str) -> list[SpanRecord]:
    return [span for span in spans if span.name.startswith(name)]


def test_it_counts_what_the_spans_of_a_recording_are() -> None:
    for path in capture_paths():
        spans = replay_of([path]).spans
        rows = rows_of(work_of(spans))
        for label, name in (("Model calls", "chat"), ("Tool calls", "execute_tool")):
            of_kind = operations(spans, name)
            failed = len([span for span in of_kind if span.status is StatusCode.ERROR])
            assert rows[label] == f"{len(of_kind):,}" + (f", {failed:,} of them failed" if failed else "")
        values = [dict(span.attributes) for span in operations(spans, "chat")]
        tokens = [sum(int(each.get(f"gen_ai.usage.{kind}_tokens", 0)) for each in values) for kind in ("input", "output")]  # type: ignore[arg-type]  # fmt: skip # noqa: E501
        assert rows["Tokens"] == f"{tokens[0]:,} in, {tokens[1]:,} out"


def test_the_order_of_spans_changes_nothing_but_the_order_of_traces() -> None:
    spans = replay_of([CAPTURES / "plugin_team"]).spans
    one, other = rows_of(work_of(spans)), rows_of(work_of(spans[::-1]))
    assert one | {"Trace": ""} == other | {"Trace": ""}


def test_what_began_earlier_is_not_counted() -> None:
    spans = replay_of([CAPTURES / "plugin_basic"]).spans
    last_ns = max(span.started_at_ns for span in spans)
    assert work_of(spans, last_ns + 1).trace_ids == []
    assert rows_of(work_of(spans, last_ns + 1))["Prompts"] == "none was reported to its end"
    assert len(work_of(spans, last_ns).trace_ids) == 1


def test_a_failure_says_its_class() -> None:
    rows = rows_of(work_of(replay_of([CAPTURES / "plugin_api_fatal_401"]).spans), exit_code=1)
    assert rows["Prompts"] == "failed (auth)"
    assert rows["Command"] == "exit code 1, 1.50 s"


def test_a_cost_that_nobody_knows_is_not_0() -> None:
    def call(**values: object) -> SpanRecord:
        attributes = tuple((name.replace("__", "."), value) for name, value in values.items())
        (span,) = operations(replay_of([CAPTURES / "plugin_basic"]).spans, "chat")[:1]
        return SpanRecord(span.trace_id, span.span_id, b"", "chat m", span.kind, 1, 2, attributes)  # type: ignore[arg-type]

    unknown = call(gen_ai__usage__output_tokens=5)
    known = call(gen_ai__usage__output_tokens=5, cline__cost_usd=0.25)
    failed = call(error__type="auth")
    assert rows_of(work_of([unknown]))["Cost"] == "unknown: 1 call without a price"
    assert rows_of(work_of([unknown, known]))["Cost"] == "$0.250 and 1 call without a price"
    assert rows_of(work_of([known, failed]))["Cost"] == "$0.250"
    assert rows_of(work_of([failed]))["Cost"] == "$0"


def test_a_trace_has_a_link_where_its_url_is_known() -> None:
    work = work_of(replay_of([CAPTURES / "plugin_basic"]).spans)
    (trace_id,) = work.trace_ids
    assert rows_of(work)["Trace"] == f"`{trace_id}`"
    link = f"https://traces.example/t/{trace_id}?tab=spans"
    assert url_of(trace_id, URL) == link
    assert rows_of(work, trace_url=URL)["Trace"] == f"[{trace_id}]({link})"
