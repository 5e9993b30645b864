"""One failure has one class and counts once, whichever sources tell it and in whichever order they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import SpanRecord, StatusCode, StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import CAPTURES, SECOND_NS, Stream, capture_paths, closing_ticks, event_of, streams_of

FAILED = ("plugin_api_500_exhaust", "plugin_api_fatal_401", "vscode_next_fatal401")
"""Recordings of one prompt whose only model call failed."""

LAGS_NS = (0, SECOND_NS)
"""How much later than it happened the first of several sources is read."""

COUNTED = {"model_call": "chat", "tool_call": "execute_tool"}
"""By kind of error the spans that it counts."""


def steps_of(streams: Sequence[Stream], lag_ns: int) -> list[Event]:
    """The streams by the time at which they are read, with the bridge's clock."""
    reads = [
        (event.occurred_at_ns + lag_ns * (number == 0), number, event)
        for number, stream in enumerate(streams)
        for event in stream.events
    ]
    reads.sort(key=lambda each: each[:2])
    steps = [step for at_ns, _, event in reads for step in (tick(at_ns), event)]
    return [*steps, *closing_ticks([event for _, _, event in reads])]


def made_of(steps: Sequence[Event]) -> StepOutput:
    translator = Translator(CATALOGUE)
    for step in steps:
        translator.step(step)
    translator.close_open_runs()
    return translator.take()


def read(streams: Sequence[Stream], lag_ns: int) -> StepOutput:
    return made_of(steps_of(streams, lag_ns))


def mixes(path: Path) -> list[tuple[Stream, ...]]:
    streams = [stream for stream in streams_of(path) if len(stream.events) > 1]
    return [mix for size in range(1, len(streams) + 1) for mix in combinations(streams, size)]


def errors(made: StepOutput) -> Counter[str]:
    """How many errors are counted, by what failed."""
    counted: Counter[str] = Counter()
    for delta in made.metrics:
        if delta.metric == "cline.errors":
            counted[str(dict(delta.attributes)["cline.error.kind"])] += int(delta.value)
    return counted


def failed(made: StepOutput, operation: str) -> list[SpanRecord]:
    return [span for span in made.spans if span.status is StatusCode.ERROR and span.name.startswith(operation)]


CASES = [
    (path, mix, lag_ns) for path in (CAPTURES / name for name in FAILED) for mix in mixes(path) for lag_ns in LAGS_NS
]
of_cases = pytest.mark.parametrize(
    ("path", "mix", "lag_ns"),
    CASES,
    ids=[f"{path.name}-{'+'.join(stream.source for stream in mix)}-{lag_ns}" for path, mix, lag_ns in CASES],
)


@of_cases
def test_a_model_call_that_fails_with_its_run_counts_once(path: Path, mix: tuple[Stream, ...], lag_ns: int) -> None:
    made = read(mix, lag_ns)
    told = [log for log in made.logs if "error.type" in dict(log.attributes)]
    assert errors(made).total() == (1 if told else 0)


@of_cases
def test_its_spans_and_metrics_have_one_class(path: Path, mix: tuple[Stream, ...], lag_ns: int) -> None:
    made = read(mix, lag_ns)
    of_spans = {value for span in made.spans for name, value in span.attributes if name == "error.type"}
    measured = [delta for delta in made.metrics if delta.metric.endswith(".duration")]
    of_metrics = {value for delta in measured for name, value in delta.attributes if name == "error.type"}
    counted = {dict(delta.attributes)["error.type"] for delta in made.metrics if delta.metric == "cline.errors"}
    assert of_spans == of_metrics
    assert len(of_spans | counted) <= 1


RECORDED = [(path, mix) for path in capture_paths() for mix in mixes(path)]


@pytest.mark.parametrize(
    ("path", "mix"),
    RECORDED,
    ids=[f"{path.name}-{'+'.join(stream.source for stream in mix)}" for path, mix in RECORDED],
)
def test_every_failed_call_counts_once_and_has_a_log_record(path: Path, mix: tuple[Stream, ...]) -> None:
    made = read(mix, 0)
    counted = errors(made)
    for kind, operation in COUNTED.items():
        spans = failed(made, operation)
        records = [log for log in made.logs if log.event_name == f"cline.{kind}.failed"]
        assert counted[kind] == len(spans)
        assert Counter((log.span_id, dict(log.attributes)["error.type"]) for log in records) == Counter(
            (span.span_id, dict(span.attributes)["error.type"]) for span in spans
        )


@pytest.mark.parametrize("lag_ns", LAGS_NS)
@pytest.mark.parametrize("name", ["plugin_basic", "plugin_plan_mode"])
def test_what_is_said_of_a_call_beside_the_plugin_counts_with_the_call(name: str, lag_ns: int) -> None:
    """A rejected edit, a command that is blocked in plan mode."""
    (plugin,) = (stream for stream in streams_of(CAPTURES / name) if stream.source == "plugin")
    alone = errors(read([plugin], 0))
    for mix in mixes(CAPTURES / name):
        if any(stream.source == "plugin" for stream in mix):
            assert errors(read(mix, lag_ns)) == alone


# --- made-up failures -------------------------------------------------------------------------------------

START_NS = 1_790_000_000 * SECOND_NS
SAID = {"cline.operation": "provider.stream", "cline.component": "llms", "error.type": "network"}


def told(kind: str, second: float, **values: object) -> Event:
    attributes = {name.replace("__", "."): value for name, value in values.items()}
    iteration = 1 if kind.startswith("model_call") else 0
    at_ns = START_NS + int(second * SECOND_NS)
    return event_of(kind, "plugin", at_ns, kind, "s", "a", "r", iteration, process="p", attributes=attributes)  # type: ignore[arg-type]


def said(second: float, source: str = "cline-log") -> Event:
    """What Cline's SDK says of a failure that it does not name."""
    at_ns = START_NS + int(second * SECOND_NS)
    return event_of("log_event", source, at_ns, "sdk.error", attributes=SAID)  # type: ignore[arg-type]


def clock(second: float) -> Event:
    return tick(START_NS + int(second * SECOND_NS))


RUN = (clock(0), told("run.started", 0), told("model_call.started", 1))
CUT = (told("model_call.finished", 3, error__type="network", gen_ai__response__finish_reasons=("error",)),)
OVER = (told("run.finished", 3.01, cline__outcome="failed", error__type="network"), clock(60))


def test_a_report_that_no_span_tells_counts_by_itself_and_once() -> None:
    assert errors(made_of([clock(0), said(3), said(3, "otlp"), clock(3), clock(60)])) == {"sdk": 1}


@pytest.mark.parametrize("order", [(said(2.99), *CUT), (*CUT, said(2.99))], ids=["before", "after"])
def test_a_report_of_a_span_s_failure_counts_with_the_span_in_whatever_order_they_come(
    order: tuple[Event, ...],
) -> None:
    assert errors(made_of([*RUN, *order, *OVER])) == {"model_call": 1}


def test_two_reports_of_one_name_are_two_failures_of_which_one_is_the_span_s() -> None:
    assert errors(made_of([*RUN, said(2.5), *CUT, said(3.5), *OVER])) == {"model_call": 1, "sdk": 1}
    assert errors(made_of([*RUN, said(2.5), said(2.6), *CUT, *OVER])) == {"model_call": 1, "sdk": 1}


def test_a_report_long_after_a_failure_is_another_one() -> None:
    assert errors(made_of([*RUN, *CUT, *OVER, said(30), clock(90)])) == {"model_call": 1, "sdk": 1}


def test_a_run_that_fails_without_a_failed_call_counts_itself() -> None:
    answered = told("model_call.finished", 2, gen_ai__response__finish_reasons=("stop",))
    assert errors(made_of([*RUN, answered, *OVER])) == {"run": 1}


def test_a_failed_call_after_which_the_agent_went_on_does_not_count_for_the_run() -> None:
    again = (told("model_call.started", 4), told("model_call.finished", 5, gen_ai__response__finish_reasons=("stop",)))
    assert errors(made_of([*RUN, *CUT, *again, told("run.finished", 6, cline__outcome="failed"), clock(60)])) == {
        "model_call": 1,
        "run": 1,
    }


def test_a_report_still_waits_after_a_restart_and_then_counts() -> None:
    before = Translator(CATALOGUE)
    for step in (clock(0), said(3), clock(3)):
        before.step(step)
    assert not errors(before.take())
    rows = [(key, row) for key, row in before.state.changes().items() if row is not None]
    after = Translator(CATALOGUE, State.restore(rows))
    after.step(clock(60))
    assert errors(after.take()) == {"sdk": 1}


@pytest.mark.parametrize("ahead_s", [0, 3, 5 * 3_600])
def test_a_report_counts_once_it_has_waited_by_our_clock_whatever_the_sender_s_clock_says(ahead_s: int) -> None:
    ticks = [clock(second) for second in range(40)]
    made = Translator(CATALOGUE)
    for step in [clock(0), said(ahead_s), *ticks]:
        made.step(step)
    assert errors(made.take()).total() == 1


def test_a_report_counts_once_it_has_waited_also_after_the_clock_was_set_back_while_nothing_ran() -> None:
    before = Translator(CATALOGUE)
    for step in (clock(0), said(0)):
        before.step(step)
    rows = [(key, row) for key, row in before.state.changes().items() if row is not None]
    after = Translator(CATALOGUE, State.restore(rows))
    for second in range(-36_000, -35_960):
        after.step(clock(second))
    assert errors(after.take()).total() == 1
