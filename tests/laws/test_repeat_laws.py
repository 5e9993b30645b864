"""What was reported before adds nothing, from whatever file, request, batch or process it comes again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, recording_of
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.replay import ReplayResult, decode_recording, replay
from cline_otel.signals import Diagnostics, LogRecord, MetricDelta, SpanRecord, add
from cline_otel.sources.interface import Payload
from corpus import CAPTURES, HOUR_NS, capture_paths
from payloads import decoded

ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", CATALOGUE.profile.schema_url)

SESSION_FILES = "session-files"

KEYED = frozenset(
    {
        *("run.started", "run.finished", "model_call.started", "model_call.finished"),
        *("tool_call.started", "tool_call.finished"),
        *("agent.run-started", "agent.run-finished", "agent.run-failed", "task.agent_created"),
        *("task.provider_request_started", "task.first_chunk_received", "agent.usage-updated"),
    }
)
"""Events of which there can't be two in one place that are equal: those of a run and its calls that have a key."""


# --- recordings --------------------------------------------------------------------------------------------


def files_of(folder: Path) -> list[tuple[Path, str]]:
    """The recordings in a folder, with their sources."""
    return recording_of([folder]).read


def is_document(path: Path) -> bool:
    """Whether a file is one JSON value, which has no lines."""
    return path.suffix == ".json"


def beside(path: Path, prefix: str) -> Path:
    """A name for another file beside one, which sorts by the prefix; of the plugin's it names another process."""
    return path.with_name(f"{prefix}{path.name}")


def copy_beside(path: Path, source: str, prefix: str) -> None:
    """Of a session its folder: a conversation is not a file of lines."""
    if source == SESSION_FILES:
        shutil.copytree(path.parent, beside(path.parent, prefix), dirs_exist_ok=True)
    else:
        shutil.copy(path, beside(path, prefix))


def with_a_copy_behind(path: Path, source: str) -> None:
    copy_beside(path, source, "z")


def with_a_copy_before(path: Path, source: str) -> None:
    copy_beside(path, source, "0")


def with_a_copy_of_a_part_before(path: Path, source: str) -> None:
    if source == SESSION_FILES:
        copy_beside(path, source, "0")
        copied = beside(path.parent, "0") / path.name
        conversation = json.loads(copied.read_bytes())
        conversation["messages"] = conversation["messages"][: len(conversation["messages"]) // 2]
        copied.write_text(json.dumps(conversation), encoding="utf-8")
        return
    lines = path.read_bytes().splitlines(keepends=True)
    beside(path, "0").write_bytes(b"".join(lines[len(lines) // 4 : len(lines) // 2 + 1]))


def with_every_line_twice(path: Path, source: str) -> None:
    """Requests, that is: lines of other sources are doubled where they have a key."""
    if is_document(path):
        return
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line * (1 + (source == "otlp" or name_of(line) in KEYED)) for line in lines))


def with_all_lines_again_at_the_end(path: Path, source: str) -> None:
    """A request's repetition may come long after it; other sources' lines in one file are all real."""
    if source == "otlp":
        path.write_bytes(path.read_bytes() * 2)


def as_two_that_overlap(path: Path, source: str) -> None:
    if is_document(path):
        return
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: 2 * len(lines) // 3]))
    beside(path, "z").write_bytes(b"".join(lines[len(lines) // 3 :]))


def with_requests_cut_otherwise(path: Path, source: str) -> None:
    """Beside the requests, the records of each two that follow one another in one."""
    if source != "otlp":
        return
    bodies = [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    requests = [body for each in bodies if "resourceLogs" in (body := each.get("body", each))]
    joined = [{"resourceLogs": a["resourceLogs"] + b["resourceLogs"]} for a, b in pairwise(requests)]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in [*bodies, *joined]), encoding="utf-8")


def name_of(line: bytes) -> str:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return ""
    return str(record.get("event", "")) if isinstance(record, dict) else ""


REPEATS: tuple[Callable[[Path, str], None], ...] = (
    with_a_copy_behind,
    with_a_copy_before,
    with_a_copy_of_a_part_before,
    with_every_line_twice,
    as_two_that_overlap,
)
REPEATS_OF_REQUESTS = (with_all_lines_again_at_the_end, with_requests_cut_otherwise)


def cases() -> Iterator[tuple[Path, Callable[[Path, str], None]]]:
    for path in capture_paths():
        sources = {source for _, source in files_of(path)}
        yield from ((path, repeat) for repeat in (REPEATS if sources else ()))
        yield from ((path, repeat) for repeat in (REPEATS_OF_REQUESTS if "otlp" in sources else ()))


@pytest.mark.parametrize(
    ("path", "repeat"), list(cases()), ids=lambda each: getattr(each, "name", None) or each.__name__
)
def test_a_recording_with_repeats_is_the_recording(
    path: Path, repeat: Callable[[Path, str], None], tmp_path: Path
) -> None:
    folder = tmp_path / "recording"
    shutil.copytree(path, folder)
    for recording in folder.glob("*.pb"):
        recording.unlink()
    once = replayed(folder)
    for file, source in files_of(folder):
        repeat(file, source)
    again = replayed(folder)
    assert again.requests == once.requests
    assert without_repeats(again.diagnostics) == without_repeats(once.diagnostics)


def replayed(folder: Path) -> ReplayResult:
    """Of one instance: requests that are cut otherwise are another recording."""
    return replay(recording_of([folder]), CATALOGUE, ORIGIN.resource)


def without_repeats(diagnostics: Diagnostics) -> set[tuple[str, str, str]]:
    return {key for key in diagnostics if key[0] != "duplicate"}


def test_every_repeat_is_counted_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    shutil.copytree(CAPTURES / "plugin_basic", folder)
    events = [event for stream in decode_recording(recording_of([folder]), CATALOGUE, {}) for event in stream]
    for file, source in files_of(folder):
        with_a_copy_behind(file, source)
    diagnostics: Diagnostics = {}
    decode_recording(recording_of([folder]), CATALOGUE, diagnostics)
    counted = sum(times for (kind, _, _), times in diagnostics.items() if kind == "duplicate")
    assert counted == sum(event.kind not in ("session.claimed", "process.exited") for event in events)


def test_a_copy_gives_a_run_to_no_source_that_reports_less(tmp_path: Path) -> None:
    """Of the log and OTLP, the one that says more owns a run; what it says again is not more."""
    folder = tmp_path / "recording"
    folder.mkdir()
    shutil.copy(CAPTURES / "plugin_basic" / "otlp_logs.jsonl", folder)
    lines = (CAPTURES / "plugin_basic" / "cline.log").read_bytes().splitlines(keepends=True)
    fewer = b"".join(line for line in lines if name_of(line) != "agent.tool-finished")
    (folder / "cline.log").write_bytes(fewer)
    once = replayed(folder)
    assert {dict(span.attributes).get("cline.telemetry.source") for span in once.spans} - {None} == {"otlp"}
    for number in range(3):
        (folder / f"cline.log.{number}").write_bytes(fewer)
    assert replayed(folder).requests == once.requests


# --- live ----------------------------------------------------------------------------------------------------


def batches_of(path: Path, lines_each: int) -> Iterator[Payload]:
    """What the readers of a recording's sources hand over; a file comes in several batches."""
    for number, stream in enumerate(recording_of([path]).streams):
        for payload in stream:
            if payload.source == "otlp":
                yield payload
                continue
            for first in range(0, len(payload.parts), lines_each):
                parts = payload.parts[first : first + lines_each]
                yield payload._replace(parts=parts, place=f"file {number}")


class Live(msgspec.Struct):
    """All that came of a bridge's life."""

    spans: list[SpanRecord] = []
    logs: list[LogRecord] = []
    metrics: list[MetricDelta] = []
    diagnostics: Diagnostics = {}
    totals: list[Any] = []


def live(steps: list[Payload | int | None]) -> Live:
    """Payloads one transaction each; a number is a tick, None a restart."""
    rows: dict[str, bytes] = {}
    made = Live()
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0)
    now_ns = 0
    for step in steps:
        if step is None:
            pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows.items(), claim_wait_ns=0)
            pipeline.advance_clock(now_ns)
        elif isinstance(step, int):
            now_ns = step
            pipeline.advance_clock(step)
        else:
            pipeline.take(step)
        flushed = pipeline.flush()
        made.spans += flushed.spans
        made.logs += flushed.logs
        made.metrics += flushed.metrics
        add(made.diagnostics, flushed.diagnostics)
        for key, value in flushed.state.items():
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
    made.totals = pipeline.totals
    return made


@settings(max_examples=40)
@given(st.sampled_from(capture_paths()), st.integers(1, 60), st.randoms(use_true_random=False))
def test_what_a_bridge_was_told_adds_nothing_when_it_comes_again(path: Path, lines_each: int, random: Random) -> None:
    """From another file or request, in any order and at any time after it, over restarts too."""
    payloads = list(batches_of(path, lines_each))
    now_ns = min((event.occurred_at_ns for payload in payloads for event in decoded(payload)), default=1)
    steps: list[Payload | int | None] = [now_ns]
    for payload in payloads:
        now_ns = max([now_ns, *(event.occurred_at_ns for event in decoded(payload))])
        steps += [payload, now_ns]
    steps += [now_ns + 2 * HOUR_NS, now_ns + 30 * HOUR_NS]
    repeated: list[Payload | int | None] = []
    reported: list[Payload] = []
    copies = 0
    for step in steps:
        repeated.append(step)
        if isinstance(step, Payload):
            reported.append(step)
        for _ in range(random.randint(0, 2)):
            if random.random() < 0.2:
                repeated.append(None)
            if reported:
                copies += 1
                repeated.append(random.choice(reported)._replace(place=f"copy {copies}", writer="another"))
    once, again = live(steps), live(repeated)
    assert again.spans == once.spans
    assert again.logs == once.logs
    assert again.metrics == once.metrics
    assert again.totals == once.totals
    assert without_repeats(again.diagnostics) == without_repeats(once.diagnostics)
