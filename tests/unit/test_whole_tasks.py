"""Tasks that classic Cline's telemetry tells as a whole, and that their files tell call by call."""

from __future__ import annotations

from collections.abc import Sequence

from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import CLAIM_WAIT_NS, MEMORY_NS, Translator
from corpus import SECOND_NS, closing_ticks, event_of, translate

ULID = "01M8CHJDK6SE1AEE2CC8WQVT05"
USED = {"gen_ai.usage.output_tokens": 10}

CREATED = event_of("log_event", "otlp", 1 * SECOND_NS, "task.created", ULID)
TOKENS = event_of("model_call.usage", "otlp", 2 * SECOND_NS, "task.tokens", ULID, attributes=USED)
TOOL = event_of("tool_call.named", "otlp", 3 * SECOND_NS, "task.tool_used", ULID, attributes={"auto_approved": True})
COMPLETED = event_of("log_event", "otlp", 4 * SECOND_NS, "task.completed", ULID)
TELEMETRY = [CREATED, TOKENS, TOOL, COMPLETED]

STARTED = event_of(
    "run.started", "classic-tasks", 1 * SECOND_NS, "run.started", "1", "1", "11", attributes={"task_ulid": ULID}
)
CALL = event_of(
    "model_call.finished", "classic-tasks", 2 * SECOND_NS, "model_call.finished", "", "1", "11", 1, attributes=USED
)
FINISHED = event_of("run.finished", "classic-tasks", 4 * SECOND_NS, "run.finished", "", "1", "11")
FILES = [STARTED, CALL, FINISHED]


def told(steps: Sequence[Event]) -> StepOutput:
    return translate([tick(SECOND_NS), *steps, *closing_ticks(steps)], CLAIM_WAIT_NS)


def total(outputs: StepOutput, metric: str) -> float:
    return sum(delta.value for delta in outputs.metrics if delta.metric == metric)


def sources(outputs: StepOutput) -> list[object]:
    return [dict(span.attributes)["cline.telemetry.source"] for span in outputs.spans if span.name.startswith("invoke")]


def test_a_task_is_a_span_from_its_creation_to_its_completion() -> None:
    (span,) = told(TELEMETRY).spans
    assert (span.started_at_ns, span.ended_at_ns) == (1 * SECOND_NS, 4 * SECOND_NS)
    attributes = dict(span.attributes)
    assert (attributes["cline.outcome"], attributes["gen_ai.conversation.id"]) == ("completed", ULID)


def test_the_tokens_of_a_task_are_no_number_of_calls() -> None:
    (span,) = told([CREATED, TOKENS, TOKENS, TOOL, COMPLETED]).spans
    attributes = dict(span.attributes)
    assert attributes["cline.prompt.output_tokens"] == 20
    assert attributes["cline.prompt.tool_calls"] == 1
    assert not {"cline.prompt.model_calls", "cline.run.model_calls", "cline.run.output_tokens"} & attributes.keys()


def test_what_is_used_after_a_task_s_completion_counts_in_the_metrics() -> None:
    outputs = told(
        [*TELEMETRY, event_of("model_call.usage", "otlp", 9 * SECOND_NS, "task.tokens", ULID, attributes=USED)]
    )
    assert (total(outputs, "cline.tokens"), len(outputs.spans)) == (20, 1)


def test_a_task_whose_creation_was_not_seen_begins_with_the_first_that_counts() -> None:
    (span,) = told([TOKENS, TOOL, COMPLETED]).spans
    assert (span.started_at_ns, span.ended_at_ns) == (2 * SECOND_NS, 4 * SECOND_NS)


def test_a_task_that_its_files_tell_counts_once_whoever_is_first() -> None:
    for steps in (
        [*FILES, *TELEMETRY],
        [*TELEMETRY, *FILES],
        [CREATED, STARTED, TOKENS, CALL, TOOL, FINISHED, COMPLETED],
    ):
        outputs = told(steps)
        assert sources(outputs) == ["classic-tasks"]
        assert (total(outputs, "cline.tokens"), total(outputs, "cline.sessions")) == (10, 1)
        assert total(outputs, "cline.task.started") == 1
        assert total(outputs, "cline.tool.calls") == 0


def test_a_task_that_was_told_as_a_whole_is_not_told_again_by_its_files() -> None:
    outputs = told([*TELEMETRY, tick(60 * SECOND_NS), *FILES])
    assert (sources(outputs), total(outputs, "cline.tokens")) == (["otlp"], 10)
    assert outputs.diagnostics["superseded", "classic-tasks", "model_call.finished"] == 1


def test_every_later_prompt_of_a_task_is_its_files_too() -> None:
    later = [
        event_of(
            "run.started",
            "classic-tasks",
            90 * SECOND_NS,
            "run.started",
            "1",
            "1",
            "12",
            attributes={"task_ulid": ULID},
        ),
        event_of("run.finished", "classic-tasks", 99 * SECOND_NS, "run.finished", "", "1", "12"),
    ]
    used = event_of("model_call.usage", "otlp", 95 * SECOND_NS, "task.tokens", ULID, attributes=USED)
    outputs = told([*FILES, *TELEMETRY, tick(80 * SECOND_NS), later[0], used, later[1]])
    assert sources(outputs) == ["classic-tasks", "classic-tasks"]
    assert total(outputs, "cline.tokens") == 10


def test_a_log_record_of_a_task_is_in_the_trace_that_its_files_tell() -> None:
    outputs = told([*FILES, *TELEMETRY])
    (root,) = [span for span in outputs.spans if span.name.startswith("invoke")]
    (created,) = [log for log in outputs.logs if log.event_name == "cline.task.started"]
    assert (created.trace_id, dict(created.attributes)["gen_ai.conversation.id"]) == (root.trace_id, "1")


def test_a_restart_in_between_changes_nothing() -> None:
    steps = [tick(SECOND_NS), CREATED, STARTED, TOKENS, CALL, TOOL, FINISHED, COMPLETED, *closing_ticks(TELEMETRY)]
    whole = told(steps)
    rows: dict[str, bytes] = {}
    metrics: list[object] = []
    spans = []
    for step in steps:
        translator = Translator(CATALOGUE, State.restore(rows.items()), claim_wait_ns=CLAIM_WAIT_NS)
        translator.step(step)
        taken = translator.take()
        spans += taken.spans
        metrics += taken.metrics
        for key, row in translator.state.changes().items():
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    assert spans == whole.spans
    assert metrics == whole.metrics


def test_a_task_is_forgotten_in_the_end() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=CLAIM_WAIT_NS)
    for step in [tick(SECOND_NS), *FILES, *TELEMETRY, tick(3 * MEMORY_NS)]:
        translator.step(step)
    translator.forget()
    assert translator.state.runs == {}


def test_what_subagents_used_counts_and_is_no_call() -> None:
    usage = event_of(
        "model_call.usage",
        "classic-tasks",
        3 * SECOND_NS,
        "model_call.usage",
        "",
        "1",
        "11",
        attributes={"gen_ai.usage.output_tokens": 7, "is_sum": True},
    )
    outputs = told([STARTED, CALL, usage, FINISHED])
    (root,) = [dict(span.attributes) for span in outputs.spans if span.name.startswith("invoke")]
    assert (root["cline.prompt.model_calls"], root["cline.prompt.output_tokens"]) == (1, 17)
    assert total(outputs, "cline.tokens") == 17
