"""The terminal view: nothing is lost, nothing is wider than the terminal, and errors read as errors."""

from __future__ import annotations

import io
import random
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest
from bench.svg import save_svg
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from cline_otel.aggregation.totals import Totals
from cline_otel.events import AttributeValue
from cline_otel.journal.records import KeptRequest, SignalStatus
from cline_otel.signals import (
    Attributes,
    DiagnosticKind,
    Diagnostics,
    LogRecord,
    MetricDefinition,
    MetricDelta,
    MetricTotal,
    Severity,
    SpanKind,
    SpanRecord,
    StatusCode,
    count,
)
from cline_otel.terminal.diagnostics import MEANINGS
from cline_otel.terminal.formatting import ASCII, UNICODE, Glyphs, compact, dollars, duration, tick_label
from cline_otel.terminal.metrics import percentile, render_metrics
from cline_otel.terminal.preview import PreviewView
from cline_otel.terminal.status import SourceStatus, _unread_text
from cline_otel.terminal.summary import render_summary
from cline_otel.terminal.time_axis import TimeAxis
from cline_otel.terminal.traces import render_traces

MS = 1_000_000
START_NS = 1_760_000_000 * 1_000 * MS
TRACE = bytes(range(16))
at_any_speed = settings(deadline=None)
TIMES = UNICODE.times
WIDTHS = (80, 100, 120, 160)

DEFINITIONS = {
    "cline.tool.calls": MetricDefinition("cline.tool.calls", "counter", "{call}", "", "int"),
    "cline.mode.switches": MetricDefinition("cline.mode.switches", "counter", "{switch}", "", "int"),
    "cline.cost": MetricDefinition("cline.cost", "counter", "{USD}", ""),
    "gen_ai.client.operation.duration": MetricDefinition(
        "gen_ai.client.operation.duration", "histogram", "s", "", "double", (0.1, 1.0, 10.0)
    ),
    "gen_ai.client.token.usage": MetricDefinition(
        "gen_ai.client.token.usage", "histogram", "{token}", "", "int", (16.0, 256.0, 4096.0)
    ),
}


def span(
    number: int,
    name: str,
    *,
    parent: int = 0,
    start_ms: int = 0,
    lasts_ms: int = 100,
    trace: bytes = TRACE,
    failed: bool = False,
    **values: AttributeValue,
) -> SpanRecord:
    attributes: Attributes = tuple((name.replace("__", "."), value) for name, value in values.items())
    return SpanRecord(
        trace,
        number.to_bytes(8, "big"),
        parent.to_bytes(8, "big") if parent else b"",
        name,
        SpanKind.INTERNAL,
        START_NS + start_ms * MS,
        START_NS + (start_ms + lasts_ms) * MS,
        attributes,
        status=StatusCode.ERROR if failed else StatusCode.UNSET,
    )


def a_run() -> list[SpanRecord]:
    return [
        span(3, "chat gpt-5", parent=1, start_ms=50, lasts_ms=400, **usage(5_400, 120), cline__cost_usd=0.028),
        span(4, "execute_tool read_files", parent=1, start_ms=500, lasts_ms=250, cline__outcome="success"),
        span(
            5,
            "execute_tool run_commands",
            parent=1,
            start_ms=510,
            lasts_ms=900,
            failed=True,
            cline__outcome="error",
            error__type="command_failed",
            process__exit__code=2,
        ),
        span(6, "chat gpt-5", parent=1, start_ms=1_450, lasts_ms=500, **usage(6_100, 80), cline__cost_usd=0.03),
        span(
            1,
            "invoke_agent cline",
            lasts_ms=2_000,
            cline__outcome="completed",
            cline__run__model_calls=2,
            cline__run__input_tokens=11_500,
            cline__run__output_tokens=200,
            cline__cost_usd=0.058,
        ),
    ]


def usage(sent: int, received: int) -> dict[str, AttributeValue]:
    return {"gen_ai__usage__input_tokens": sent, "gen_ai__usage__output_tokens": received}


def text_of(renderable: RenderableType, width: int = 120, encoding: str = "utf-8", *, colour: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(
        file=file,
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        no_color=False,
        legacy_windows=False,
    )
    console.print(renderable)
    file.flush()
    raw = file.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode(encoding)


@st.composite
def forests(draw: st.DrawFn) -> list[SpanRecord]:
    """Spans of a few traces whose parents may be missing, themselves, or each other's."""
    size = draw(st.integers(1, 12))
    spans = []
    for number in range(1, size + 1):
        values: dict[str, AttributeValue] = {}
        failed = draw(st.booleans())
        if failed:
            values["error__type"] = draw(st.sampled_from(["command_failed", "_OTHER", "AI_NoOutputGeneratedError"]))
        if draw(st.booleans()):
            values |= usage(draw(st.integers(0, 10**9)), draw(st.integers(0, 10**6)))
            values["cline__cost_usd"] = draw(st.floats(0, 1e4))
        values["cline__outcome"] = draw(st.sampled_from(["completed", "aborted", "incomplete", "rejected"]))
        spans.append(
            span(
                draw(st.sampled_from([number, number, number, 1])),
                f"{draw(st.sampled_from(['invoke_agent', 'chat', 'execute_tool']))} n{number}n",
                parent=draw(st.integers(0, size + 2)),
                start_ms=draw(st.integers(0, 10**7)),
                lasts_ms=draw(st.integers(0, 10**9)),
                trace=draw(st.sampled_from([TRACE, bytes(15) + b"\x01"])),
                failed=failed,
                **values,
            )
        )
    return spans


# --- traces -------------------------------------------------------------------------------------------


@given(forests())
@at_any_speed
def test_every_span_appears_exactly_once(spans: list[SpanRecord]) -> None:
    shown = text_of(render_traces(spans, 200, max_rows=None), 200)
    assert sorted(re.findall(r"n\d+n", shown)) == sorted(one.name.split()[1] for one in spans)


@given(forests(), st.integers(8, 180), st.sampled_from(["utf-8", "ascii"]))
@at_any_speed
def test_no_line_of_a_trace_is_wider_than_the_width(spans: list[SpanRecord], width: int, encoding: str) -> None:
    lines = text_of(render_traces(spans, width), 200, encoding).splitlines()
    assert max(map(len, lines)) <= width


@given(forests(), st.integers(8, 180))
@at_any_speed
def test_no_line_of_a_trace_wraps(spans: list[SpanRecord], width: int) -> None:
    lines = text_of(render_traces(spans, width), width).splitlines()
    traces = len({one.trace_id for one in spans})
    assert len(lines) == len(spans) + 3 * traces


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("encoding", "mark"), [("utf-8", "✗ command_failed"), ("ascii", "ERR command_failed")])
def test_a_failed_span_names_its_error_type_even_without_colour(width: int, encoding: str, mark: str) -> None:
    failed = [line for line in text_of(render_traces(a_run()), width, encoding).splitlines() if mark in line]
    assert len(failed) == 1
    assert "run_commands" in failed[0]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_longest_error_type_is_named_in_full_on_a_model_call_with_tokens(width: int) -> None:
    error_type = "AI_UnsupportedFunctionalityError"
    call = span(2, "chat gpt-5-mini", parent=1, failed=True, error__type=error_type, **usage(5_400, 120))
    assert f"✗ {error_type}" in text_of(render_traces([*a_run()[3:], call]), width)


def test_an_error_without_a_known_type_still_reads_as_an_error() -> None:
    spans = [span(1, "execute_tool editor", failed=True, cline__outcome="rejected", error__type="_OTHER")]
    assert "✗ rejected (_OTHER)" in text_of(render_traces(spans))
    assert "✗ error (_OTHER)" in text_of(render_traces([span(1, "chat m", failed=True)]))


def test_the_exit_code_is_told_where_there_is_room() -> None:
    assert "✗ command_failed, exit 2" in text_of(render_traces(a_run()), 160)


def test_failed_is_red_and_aborted_and_incomplete_are_yellow() -> None:
    red, yellow = "\x1b[1;31m", "\x1b[33m"
    assert f"{red}✗ command_failed" in text_of(render_traces(a_run()), colour=True)
    for outcome in ("aborted", "incomplete"):
        shown = text_of(render_traces([span(1, "invoke_agent cline", cline__outcome=outcome)]), colour=True)
        assert f"{yellow}! {outcome}" in shown
        assert red not in shown


def test_a_call_whose_end_was_never_told_says_incomplete() -> None:
    assert "! incomplete" in text_of(render_traces([span(1, "chat gpt-5", cline__incomplete=True)]))


def test_a_row_tells_its_duration_tokens_and_cost() -> None:
    line = next(line for line in text_of(render_traces(a_run())).splitlines() if "5.4k" in line)
    assert re.search(r"├ chat gpt-5 .*400 ms +5\.4k → 120 +\$0\.028$", line)


def test_the_header_tells_the_trace_when_how_long_how_much_and_how_it_ended() -> None:
    header = text_of(render_traces(a_run())).splitlines()[0]
    expected = "trace 00010203  2025-10-09 08:53:20 UTC  2.00 s  11.5k → 200 tokens  $0.058  ✓ completed  1 error"
    assert header == expected


@pytest.mark.parametrize("width", range(44, 121, 4))
def test_a_header_keeps_the_trace_and_its_outcome_at_any_width(width: int) -> None:
    header = text_of(render_traces(a_run()), width).splitlines()[0]
    assert header.startswith("trace 00010203")
    assert "✓ completed" in header


def test_the_view_does_not_depend_on_the_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    views = set()
    for zone in ("UTC", "Pacific/Kiritimati", "America/St_Johns"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        views.add(text_of(render_traces(a_run())))
    monkeypatch.undo()
    time.tzset()
    assert len(views) == 1


def test_the_order_in_which_spans_come_does_not_matter() -> None:
    spans = a_run()
    view = text_of(render_traces(spans))
    random.Random(1).shuffle(spans)
    assert text_of(render_traces(spans)) == view


def test_children_stand_under_their_parent_in_the_order_in_which_they_started() -> None:
    names = [line.split("  ")[0] for line in text_of(render_traces(a_run())).splitlines()[2:-1]]
    assert names == [
        "invoke_agent cline",
        "├ chat gpt-5",
        "├ execute_tool read_files",
        "├ execute_tool run_commands",
        "└ chat gpt-5",
    ]


def test_a_span_whose_parent_is_missing_stands_beside_the_root_and_says_so() -> None:
    shown = text_of(render_traces([*a_run(), span(9, "chat lost", parent=77), span(10, "chat below", parent=9)]))
    lost = next(line for line in shown.splitlines() if "lost" in line)
    assert lost.startswith("chat lost")
    assert "! parent missing" in lost
    assert "\n└ chat below" in shown


def test_a_trace_without_its_root_says_so() -> None:
    assert "! root missing" in text_of(render_traces([span(2, "chat gpt-5", parent=1)])).splitlines()[0]


def test_all_traces_are_shown_in_the_order_in_which_they_started() -> None:
    spans = [span(1, "invoke_agent cline", trace=bytes([n]) * 16, start_ms=1_000 * n) for n in (30, 7, 200, 1)]
    assert re.findall(r"^trace (\w\w)", text_of(render_traces(spans)), re.MULTILINE) == ["01", "07", "1e", "c8"]


def test_rows_beyond_the_limit_are_counted_with_their_failures() -> None:
    spans = [span(n, f"execute_tool t{n}", parent=1, start_ms=n, failed=n > 38) for n in range(2, 41)]
    shown = text_of(render_traces([span(1, "invoke_agent cline"), *spans], max_rows=5)).splitlines()
    assert len(shown) == 2 + 5 + 1 + 1
    assert shown[-2] == "… 35 more spans, 2 of them failed"
    assert "… 1 more span\n" in text_of(render_traces([span(1, "a b"), span(2, "c d", parent=1)], max_rows=1))


def test_a_very_deep_trace_is_shown_to_its_last_row() -> None:
    deep = [span(n, f"execute_tool t{n}", parent=n - 1, start_ms=n) for n in range(1, 3_000)]
    assert "t2999" in text_of(render_traces(deep, max_rows=None))


def test_the_columns_make_room_for_the_bars_in_narrow_terminals() -> None:
    wide, narrow, narrower = (text_of(render_traces(a_run()), width) for width in (100, 60, 44))
    assert "$0.028" in wide
    assert "execute_tool run_commands" in wide
    assert "tool run_commands" in narrow
    assert "execute_tool" not in narrow
    assert "$0.028" not in narrower
    for view in (wide, narrow):
        root = next(line for line in view.splitlines() if " cline" in line)
        assert root.count("█") >= 10


def test_without_unicode_only_ascii_is_written() -> None:
    spans = [*a_run(), span(20, "chat modèle", parent=1)]
    totals = [MetricTotal("cline.tool.calls", (("gen_ai.tool.name", "outil-é"),), 2)]
    diagnostics: Diagnostics = {}
    count(diagnostics, "late", "plugin", "événement", 3)
    view = render_traces(spans), render_metrics(totals, DEFINITIONS), render_summary(spans, [], totals, diagnostics)
    for renderable in view:
        assert text_of(renderable, encoding="ascii").isascii()
        assert text_of(renderable, encoding="iso8859-1").isascii()


def test_control_characters_never_reach_the_terminal() -> None:
    spans = [span(1, "chat \x1b]0;title\x07\x1b[2J\n", failed=True, error__type="a\x1b[31m\rb")]
    shown = text_of(render_traces(spans), 200)
    assert shown.replace("\n", "").isprintable()
    assert "✗ a?[31m?b" in shown


def test_no_spans_no_metrics_and_nothing_at_all_say_so() -> None:
    assert text_of(render_traces([])).strip() == "No spans."
    assert text_of(render_metrics([], {})).strip() == "No metrics."
    assert text_of(render_summary([], [], [], {})).strip() == "0 traces, 0 spans, 0 log records, 0 metric series"


# --- the time axis ------------------------------------------------------------------------------------

INK = {character: eighths for eighths, character in enumerate(UNICODE.bar_blocks, 1)} | {UNICODE.right_half: 4}

intervals = st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)).map(sorted)


@given(st.lists(intervals, min_size=2, max_size=8), st.integers(1, 200))
@at_any_speed
def test_a_longer_spans_bar_is_not_shorter_than_a_shorter_ones(spans: list[list[int]], cells: int) -> None:
    axis = TimeAxis(min(s for s, _ in spans), max(e for _, e in spans), cells)
    spans.sort(key=lambda interval: interval[1] - interval[0])
    inks = [sum(INK[block] for block in axis.bar(*interval, UNICODE).blocks) for interval in spans]
    assert inks == sorted(inks)
    lengths = [len(axis.bar(*interval, ASCII).blocks) for interval in spans]
    assert lengths == sorted(lengths)


@given(st.lists(intervals, min_size=1, max_size=8), st.integers(1, 200), st.sampled_from([UNICODE, ASCII]))
@at_any_speed
def test_a_bar_is_seen_stays_on_the_axis_and_begins_where_its_span_does(
    spans: list[list[int]], cells: int, glyphs: Glyphs
) -> None:
    began, ended = min(s for s, _ in spans), max(e for _, e in spans)
    axis = TimeAxis(began, ended, cells)
    for interval in spans:
        bar = axis.bar(*interval, glyphs)
        assert bar.blocks
        assert bar.offset + len(bar.blocks) <= cells
        if ended > began:
            true_offset = (interval[0] - began) / (ended - began) * cells
            assert true_offset - 1.2 <= bar.offset <= true_offset + 1e-6


def test_spans_that_ran_side_by_side_have_bars_side_by_side() -> None:
    lines = text_of(render_traces(a_run()), encoding="ascii").splitlines()
    first, second = (
        {m.start() + i for m in [re.search("#+", line)] if m for i in range(len(m.group()))}
        for line in (next(x for x in lines if "read_files" in x), next(x for x in lines if "run_commands" in x))
    )
    assert first & second
    assert len(second) > len(first)


@given(st.integers(0, 10**18), st.integers(1, 200))
@at_any_speed
def test_tick_labels_begin_at_zero_rise_fit_and_leave_gaps(duration_ns: int, cells: int) -> None:
    ticks = TimeAxis(START_NS, START_NS + duration_ns, cells).ticks()
    assert ticks[0] == (0, "0")
    assert all(tick.cell + len(tick.label) <= cells for tick in ticks)
    for earlier, later in pairwise(ticks):
        assert earlier.cell + len(earlier.label) < later.cell


def test_a_trace_that_took_no_time_is_drawn() -> None:
    assert "▏" in text_of(render_traces([span(1, "invoke_agent cline", lasts_ms=0)]))


def test_a_span_that_ends_before_it_starts_is_drawn_as_an_instant() -> None:
    assert "0 ms" in text_of(render_traces([span(1, "invoke_agent cline", lasts_ms=-50)]))


# --- quantities ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "0 ms"),
        (-5, "0 ms"),
        (1_000, "<0.1 ms"),
        (400_000, "0.4 ms"),
        (371 * MS, "371 ms"),
        (999_499_999, "999 ms"),
        (999_500_000, "1.00 s"),
        (5_014 * MS, "5.01 s"),
        (9_995 * MS, "10.0 s"),
        (59_940 * MS, "59.9 s"),
        (59_950 * MS, "1m 00s"),
        (125_000 * MS, "2m 05s"),
        (3_720_000 * MS, "1h 02m"),
        (360_000_000 * MS, "4d 04h"),
    ],
)
def test_durations_are_readable(nanoseconds: int, shown: str) -> None:
    assert duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (55, "55"),
        (4.5, "4.5"),
        (999, "999"),
        (999.6, "1.0k"),
        (5_433, "5.4k"),
        (99_949, "99.9k"),
        (123_456, "123k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_234_567, "1.2M"),
        (10**13, "10T"),
    ],
)
def test_counts_are_compact(number: float, shown: str) -> None:
    assert compact(number) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [(0.00001, "<$0.0001"), (0.0012, "$0.0012"), (0.02836, "$0.028"), (0.9996, "$1.00"), (1234.5, "$1,234.50")],
)
def test_costs_keep_two_telling_digits(usd: float, shown: str) -> None:
    assert dollars(usd) == shown


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [(500 * MS, "500 ms"), (1_500 * MS, "1.5 s"), (90_000 * MS, "1m 30s"), (7_200_000 * MS, "2h"), (100_000, "0.1 ms")],
)
def test_tick_labels_have_no_needless_digits(nanoseconds: int, shown: str) -> None:
    assert tick_label(nanoseconds) == shown


# --- metrics ------------------------------------------------------------------------------------------


def some_totals() -> list[MetricTotal]:
    totals = Totals(DEFINITIONS)
    for tool, outcome in (("read_files", "success"), ("read_files", "success"), ("run_commands", "error")):
        totals.add(MetricDelta("cline.tool.calls", 1, (("gen_ai.tool.name", tool), ("cline.outcome", outcome))))
    totals.add(MetricDelta("cline.mode.switches", 2, (("cline.mode", "act"),)))
    totals.add(MetricDelta("cline.cost", 0.0284, (("gen_ai.request.model", "gpt-5"),)))
    for seconds in (0.2, 0.3, 0.4):
        totals.add(
            MetricDelta("gen_ai.client.operation.duration", seconds, (("gen_ai.operation.name", "chat"),)),
        )
    for token_type, tokens in (("input", 5_400), ("input", 5_600), ("output", 40)):
        totals.add(MetricDelta("gen_ai.client.token.usage", tokens, (("gen_ai.token.type", token_type),)))
    return totals.all()


def test_metrics_are_grouped_by_metric_with_values_and_units() -> None:
    assert text_of(render_metrics(some_totals(), DEFINITIONS), 100).splitlines() == [
        "metric                                            count    mean    ≈p50    ≈p95   total",
        "cline.cost  model=gpt-5                                                          $0.028",
        "cline.mode.switches  mode=act                                                         2 switches",
        "cline.tool.calls",
        "  tool=read_files outcome=success                                                     2 calls",
        "  tool=run_commands outcome=error                                                     1 call",
        "gen_ai.client.operation.duration  operation=chat      3  300 ms  300 ms  480 ms",
        "gen_ai.client.token.usage",
        "  token=input                                         2    5.5k    5.5k    6.8k  11,000 tokens",
        "  token=output                                        1      40      40      40      40 tokens",
        "",
    ]


def test_attributes_that_all_series_of_a_metric_share_are_told_once() -> None:
    shared = ("gen_ai.provider.name", "anthropic")
    totals = [MetricTotal("cline.cost", (shared, ("gen_ai.request.model", model)), 0.5) for model in ("a-1", "b-2")]
    shown = text_of(render_metrics(totals, DEFINITIONS))
    assert shown.count("anthropic") == 1
    assert "cline.cost  provider=anthropic" in shown
    assert "\n  model=a-1" in shown


names = st.sampled_from([*DEFINITIONS, "not.defined"])
values = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40)


@st.composite
def series(draw: st.DrawFn) -> list[MetricTotal]:
    totals = []
    for number in range(draw(st.integers(1, 8))):
        name = draw(names)
        attributes = (("cline.outcome", draw(values)), ("gen_ai.request.model", f"m{number}m"))
        boundaries = DEFINITIONS[name].boundaries if name in DEFINITIONS else ()
        buckets = [draw(st.integers(0, 10**6)) for _ in boundaries] + [0] * bool(boundaries)
        lowest = sum(n * lower for n, lower in zip(buckets, (0.0, *boundaries), strict=False))
        totals.append(MetricTotal(name, attributes, lowest + draw(st.integers(0, 10**9)), sum(buckets), buckets))
    return totals


@given(series(), st.integers(60, 160))
@at_any_speed
def test_every_series_appears_exactly_once_at_any_usual_width(totals: list[MetricTotal], width: int) -> None:
    shown = text_of(render_metrics(totals, DEFINITIONS, width), 200)
    assert sorted(re.findall(r"m\d+m", shown)) == sorted(str(total.attributes[1][1]) for total in totals)


@given(series(), st.integers(8, 160), st.randoms(use_true_random=False))
@at_any_speed
def test_metric_lines_fit_the_width_and_do_not_depend_on_the_order(
    totals: list[MetricTotal], width: int, shuffler: random.Random
) -> None:
    shown = text_of(render_metrics(totals, DEFINITIONS, width), 200)
    assert max(map(len, shown.splitlines())) <= width
    shuffled = list(totals)
    shuffler.shuffle(shuffled)
    assert text_of(render_metrics(shuffled, DEFINITIONS, width), 200) == shown


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.sampled_from([0.5, 0.95]))
@at_any_speed
def test_a_percentile_is_estimated_within_the_bucket_that_holds_it(recorded: list[float], share: float) -> None:
    definition = DEFINITIONS["gen_ai.client.operation.duration"]
    totals = Totals(DEFINITIONS)
    for value in recorded:
        totals.add(MetricDelta(definition.name, value))
    (total,) = totals.all()
    estimate = percentile(total, definition.boundaries, share)
    edges = (0.0, *definition.boundaries, max(*recorded, 10.0) * len(recorded))
    true = sorted(recorded)[-int(-share * len(recorded) // 1) - 1]
    lower, upper = next((low, high) for low, high in pairwise(edges) if true <= high)
    assert lower - 1e-9 <= estimate <= upper + 1e-6
    assert estimate <= total.sum + 1e-9


@given(st.floats(0, 1e6))
@at_any_speed
def test_a_single_value_is_told_exactly(value: float) -> None:
    totals = Totals(DEFINITIONS)
    totals.add(MetricDelta("gen_ai.client.operation.duration", value))
    estimate = percentile(totals.all()[0], DEFINITIONS["gen_ai.client.operation.duration"].boundaries, 0.95)
    assert estimate == pytest.approx(value, abs=1e-9)


# --- summary and picture ------------------------------------------------------------------------------


def test_the_summary_tells_how_much_there_is_of_each_signal() -> None:
    logs = [LogRecord(START_NS, "cline.run.started", Severity.INFO, "Run started")]
    shown = text_of(render_summary(a_run(), logs, some_totals(), {}))
    assert shown == "1 trace, 5 spans (1 failed), 1 log record, 7 metric series\n"


def test_the_summary_names_every_diagnostic_with_its_source_and_count() -> None:
    diagnostics: Diagnostics = {}
    count(diagnostics, "unmapped_event", "otlp", "task.novel", 3)
    count(diagnostics, "dropped_field", "cline-log", "task.tokens:extra")
    count(diagnostics, "dropped_field", "cline-log", "task.tokens:other", 1_200)
    count(diagnostics, "dropped_field", "plugin", "run.started:more")
    count(diagnostics, "superseded", "cline-log", "task.completed", 2)
    count(diagnostics, "late", "plugin", "tool_call.finished")
    assert text_of(render_summary([], [], [], diagnostics)).splitlines()[2:] == [
        "  3 unmapped_event: events that the catalogue does not know",
        f"    otlp: task.novel {TIMES}3",
        "  1 late: came after their run was closed",
        "    plugin: tool_call.finished",
        "  1,202 dropped_field: fields that the catalogue does not list",
        f"    cline-log: task.tokens:other {TIMES}1,200, task.tokens:extra",
        "    plugin: run.started:more",
        "  2 superseded: duplicates of the primary source",
        f"    cline-log: task.completed {TIMES}2",
    ]


def test_every_kind_of_diagnostic_means_something_and_is_shown_by_every_view() -> None:
    assert MEANINGS.keys() - {"switched_off"} == set(get_args(DiagnosticKind))
    diagnostics: Diagnostics = {(kind, "cline-log", f"name of {kind}"): 1 for kind in get_args(DiagnosticKind)}
    summary = text_of(render_summary([], [], [], diagnostics), 200)
    preview = io.StringIO()
    view = PreviewView(Console(file=preview, width=200))
    kept = KeptRequest("traces", "waits", b"", 0, 1, None, "", "", diagnostics)
    delivery = SignalStatus(1, 1, 1, None, 0, 0, 0, 0, 0, 0, 0, {}, None, "", "", "", None)
    view.print_request(kept, [], "", delivery)
    for kind in get_args(DiagnosticKind):
        assert f"1 {kind}: {MEANINGS[kind].text}" in summary
        assert f"name of {kind}" in summary
        assert MEANINGS[kind].label in preview.getvalue()
        assert f"name of {kind} (cline-log)" in preview.getvalue()


@pytest.mark.parametrize(
    ("unread", "shown"),
    [
        ({"unread_bytes": 12_000_000, "unread_lines": 3}, "3 lines, 12.0 MB"),
        ({"unread_bytes": 12_000_000, "unread_lines": None}, "12.0 MB"),
        ({"unread_bytes": 0, "unread_lines": 0}, "0"),
        ({}, "-"),
        ({"problem": "cannot be looked at"}, "not known"),
    ],
)
def test_what_is_unread_is_said_as_far_as_it_is_known(unread: dict[str, Any], shown: str) -> None:
    assert str(_unread_text(SourceStatus("a source", ("a place",), 0, 0, **unread))) == shown


def test_a_long_summary_wraps_within_the_width() -> None:
    diagnostics: Diagnostics = {}
    for number in range(60):
        count(diagnostics, "dropped_field", "otlp", f"workspace.init_error:field_{number}", number)
    lines = text_of(render_summary([], [], [], diagnostics), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("    ") for line in lines[3:])


def picture(path: Path, spans: list[SpanRecord]) -> bytes:
    view = [render_traces(spans), render_metrics(some_totals(), DEFINITIONS)]
    save_svg(view, path, "cline-otel demo", 100)
    return path.read_bytes()


def test_a_picture_has_the_same_bytes_in_any_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = picture(tmp_path / "first.svg", a_run())
    for name, value in {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40", "TZ": "Asia/Tokyo", "LANG": "C"}.items():
        monkeypatch.setenv(name, value)
    assert picture(tmp_path / "second.svg", a_run()) == first


def test_a_picture_is_well_formed_and_refers_to_nothing_outside_itself(tmp_path: Path) -> None:
    drawn = picture(tmp_path / "view.svg", a_run()).decode()
    ElementTree.fromstring(drawn)
    assert set(re.findall(r"\w+://[^\"\s)]+", drawn)) == {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"url\(([^)]+)\)", drawn)) <= {f"#{name}" for name in re.findall(r'id="([^"]+)"', drawn)}
    assert "@font-face" not in drawn


def test_a_picture_draws_each_bar_as_a_rectangle_as_long_as_its_characters(tmp_path: Path) -> None:
    drawn = picture(tmp_path / "view.svg", a_run()).decode()
    assert not set(drawn) & set(INK)
    widths = [float(width) for width in re.findall(r'<rect class="[\w-]+" x="[^"]+" y="[^"]+" width="([^"]+)"', drawn)]
    assert len(widths) == len(a_run())
    assert max(widths) == widths[0]


def test_a_picture_says_command_failed_in_red(tmp_path: Path) -> None:
    drawn = picture(tmp_path / "view.svg", a_run()).decode()
    (style,) = re.findall(r'class="([\w-]+)"[^>]*>✗&#160;command_failed', drawn)
    (fill,) = re.findall(rf"\.{style} {{ fill: (#\w+)", drawn)
    assert int(fill[1:3], 16) > 2 * int(fill[3:5], 16)
